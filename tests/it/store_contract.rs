//! What a store promises, told once and held by both: PostgreSQL and the embedded SQLite.

use berth_tests::{eventually, postgres::Postgres};
use config_service::domain::{Assignments, Base, Batch, Change, Members, Model, Snapshot, Write};
use config_service::store::{self, Bid, EventFilter, Keep, Log, Store, StoreError};
use shared::backoff::Rng;
use shared::wire::control::AssignmentState;
use shared::{Epoch, LeaseId, Revision, Term};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

#[macro_use]
mod world;
mod discord;
mod moves;
mod plans;
mod records;
mod weights;

use moves::*;
use plans::*;
use records::*;
use world::*;

on_both![
    a_takeover_begins_a_new_term_and_fences_the_old_one_everywhere,
    nothing_of_an_old_term_is_committed_after_a_takeover,
    revisions_appear_in_the_order_of_commits,
    what_is_read_back_is_what_was_committed,
    whoever_followed_is_told_what_it_has_missed_or_that_it_has_to_read_everything,
    a_batch_whose_expectation_fails_changes_nothing,
    two_first_contacts_of_one_target_give_one_owner,
    epochs_grow_above_every_floor,
    the_log_says_where_it_begins_and_ends,
    tokens_and_settings_are_read_back_as_they_were_last_edited,
    the_audit_is_read_newest_first_and_by_what_is_asked,
    a_target_has_one_ownership_that_lasts_and_those_before_it,
    the_first_answer_under_a_key_stays,
    what_is_old_is_forgotten_and_what_lasts_is_not,
    a_life_that_is_buried_stays_buried,
    a_new_generation_issues_nothing_that_an_older_one_may_have_issued,
    a_move_and_its_new_owner_are_committed_together_or_not_at_all,
    moves_are_read_newest_first_and_by_what_is_asked,
    a_move_that_is_not_over_is_never_forgotten,
    what_operators_say_of_a_pod_outlives_its_registrations,
    a_plan_goes_on_from_the_state_that_was_expected_only,
    a_plan_that_runs_is_never_forgotten_and_one_that_was_never_applied_is,
    what_holds_a_target_is_read_back_until_nothing_does,
];

async fn a_life_that_is_buried_stays_buried(world: World) {
    let (store, term) = world.leading().await;
    store.commit(term, batch(vec![Write::Bury(record(1, 1))])).await.expect("committed");
    let read = store.load(term).await.expect("read");
    assert_eq!(read.pods.iter().map(|pod| pod.buried).collect::<Vec<_>>(), [false, true, false]);
    let twice = store.commit(term, batch(vec![Write::Bury(record(1, 1))])).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
    let back = Write::Pod { record: other_life(record(1, 2)), expected: Some(LeaseId(1)), floor: Epoch(0) };
    store.commit(term, batch(vec![back])).await.expect("another life");
    assert!(!store.load(term).await.expect("read").pods[1].buried);
}

async fn a_new_generation_issues_nothing_that_an_older_one_may_have_issued(world: World) {
    let (store, term) = world.leading().await;
    store.commit(term, batch(vec![first(1, 0), Write::Bury(record(1, 1))])).await.expect("committed");
    let before = store.load(term).await.expect("read");
    let rows = Batch { generation: Some(2), ..batch(vec![first(2, 0)]) };
    assert!(matches!(store.commit(term, rows).await, Err(StoreError::Rejected(_))), "not together with rows");
    let again = Batch { generation: Some(1), ..Batch::default() };
    assert!(matches!(store.commit(term, again).await, Err(StoreError::Rejected(_))), "not one that was");
    let audits = vec![audit("cluster", "the database is a restored backup")];
    store.commit(term, Batch { generation: Some(2), audits, ..Batch::default() }).await.expect("committed");
    assert!(matches!(store.load(term).await, Err(StoreError::Fenced)), "the term is over");
    let after = take_over(&*store).await;
    let read = store.load(after).await.expect("read");
    let base = Base::of(2);
    assert!(after.0 > base.counter && read.revision.0 >= base.counter && read.epoch == base.epoch);
    assert!(read.pods.iter().all(|pod| pod.report && !pod.buried && pod.lease_id.0 >= base.counter));
    assert_eq!((read.settled, &read.assignments), (before.settled, &before.assignments));
    assert!(matches!(store.changes(before.revision, 9).await.expect("read"), Log::Gone), "watchers begin anew");
    let placed = store.commit(after, batch(vec![first(3, 0), Write::Settle(2)])).await.expect("committed");
    assert_eq!((placed.epoch, placed.revision.0), (Epoch::first(2), base.counter + 2));
    let changes = store.changes(read.revision, 9).await.expect("read");
    assert!(matches!(changes, Log::Changes(changes) if changes.len() == 2), "the log goes on from there");
    assert_eq!(store.load(after).await.expect("read").settled, 2);
}

async fn a_takeover_begins_a_new_term_and_fences_the_old_one_everywhere(world: World) {
    let (old, before) = world.leading().await;
    old.renew(before, LEASE).await.expect("its own term");
    let new = world.store().await;
    let after = take_over(&*new).await;
    assert!(after > before);
    let state = new.load(after).await.expect("read");
    assert!(matches!(old.renew(before, LEASE).await, Err(StoreError::Fenced)));
    assert!(matches!(old.load(before).await, Err(StoreError::Fenced)));
    assert!(matches!(old.trim(before, Revision(9)).await, Err(StoreError::Fenced)));
    assert!(matches!(old.commit(before, batch(vec![first(1, 0)])).await, Err(StoreError::Fenced)));
    assert_eq!(new.load(after).await.expect("read"), state, "nothing has changed");
    old.resign(before).await.expect("of no consequence");
    new.renew(after, LEASE).await.expect("still in force");
}

async fn nothing_of_an_old_term_is_committed_after_a_takeover(world: World) {
    let (old, before) = world.leading().await;
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let committing = shared::shutdown::spawn(async move {
        let (mut last, mut begun) = (Revision(0), Some(begun));
        for n in 0.. {
            match old.commit(before, batch((0..20).map(|i| first(n * 20 + i, 0)).collect())).await {
                Ok(committed) => {
                    last = committed.revision;
                    let _ = begun.take().map(|begun| begun.send(()));
                }
                Err(StoreError::Fenced) => break,
                Err(why) => panic!("{why}"),
            }
        }
        last
    });
    has_begun.await.expect("the old leader is at work");
    let new = world.store().await;
    let after = take_over(&*new).await;
    let seen = new.load(after).await.expect("read");
    let last = committing.await.expect("ends fenced");
    assert_eq!(last, seen.revision, "the new leader has read the last thing the old one committed");
    assert_eq!(new.load(after).await.expect("read"), seen);
}

async fn revisions_appear_in_the_order_of_commits(world: World) {
    let (store, term) = world.leading().await;
    let start = store.load(term).await.expect("read").revision;
    let (writers, each) = (6, 15);
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let store = world.store().await;
        tasks.spawn(async move {
            let mut rng = Rng::seeded(writer);
            for n in 0..each {
                let size = 1 + rng.next_u64() % 8;
                let from = (writer * each + n) * 10;
                let writes = (from..from + size).map(|n| first(n, n % 3)).collect();
                store.commit(term, batch(writes)).await.expect("committed");
            }
        });
    }
    // A watcher that reads along never sees a revision before all earlier ones.
    let reader = world.store().await;
    let (mut position, mut epochs) = (start, Vec::new());
    let mut writing = true;
    while writing {
        writing = !tasks.is_empty();
        while let Some(done) = tasks.try_join_next() {
            done.expect("no panic");
        }
        loop {
            let Log::Changes(changes) = reader.changes(position, 7).await.expect("read") else { panic!("in the log") };
            if changes.is_empty() {
                break;
            }
            for change in changes {
                assert_eq!(change.revision().0, position.0 + 1, "no gap");
                position = change.revision();
                if let Change::Assignment { assignment, .. } = change {
                    epochs.push(assignment.epoch);
                }
            }
        }
    }
    let end = store.load(term).await.expect("read");
    assert_eq!((position, epochs.len()), (end.revision, end.assignments.len()));
    assert!(epochs.is_sorted() && epochs.iter().collect::<BTreeSet<_>>().len() == epochs.len(), "each epoch once");
}

async fn what_is_read_back_is_what_was_committed(world: World) {
    let (store, term) = world.leading().await;
    let mut model = Model::new(store.load(term).await.expect("read"));
    let mut rng = Rng::seeded(11);
    let mut known = Vec::new();
    for round in 0..12_u64 {
        known.push(model.clone());
        let mut writes: Vec<_> = (0..40).map(|n| first(round * 100 + n, rng.next_u64() % 3)).collect();
        let moved = model.assignments(None).filter(|_| rng.next_u64().is_multiple_of(3));
        writes.extend(moved.map(|assignment| Write::Assign {
            target: assignment.target.clone(),
            parent: assignment.parent.clone(),
            pod: name(2),
            expected: Some((assignment.pod.clone(), assignment.epoch)),
            reason: "move",
            state: AssignmentState::Quarantined,
            data: Some(data_at(1, 2, assignment.epoch)),
        }));
        let again = record(1, 2 + round);
        writes.push(Write::Pod { record: again, expected: Some(LeaseId(1 + round)), floor: Epoch(0) });
        let before = model.members();
        writes.push(Write::Members(Members {
            version: before.version + 1,
            now: (0..=round % 3).map(name).collect(),
            before: before.now.clone(),
        }));
        writes.push(Write::Fencing(fencing(round % 2, 1 + round / 4, round + 1)));
        writes.extend((round == 9).then(|| Write::Bury(record(2, 1))));
        writes.push(Write::Settle(1 + round as u32 % 2));
        let audits = vec![audit("gateway-1", "it's \"so\"")];
        let committed = store.commit(term, Batch { writes, audits, ..Batch::default() }).await.expect("committed");
        for change in committed.changes {
            model.apply(change);
        }
        model.issued(committed.epoch);
    }
    let read = world.store().await.load(term).await.expect("read");
    let kept = Snapshot {
        members: model.members().clone(),
        fencing: model.fencing().cloned().collect(),
        settled: model.settled(),
        revision: model.revision(),
        epoch: model.epoch(),
        pods: model.pods().cloned().collect(),
        assignments: model.all().clone(),
        ..Snapshot::default()
    };
    assert_eq!(read, kept);
    // Whatever a copy knew that followed up to some time: what the database has counts.
    known.push(model.clone());
    for copy in known {
        assert_eq!(store.load_again(term, copy.all().clone()).await.expect("read"), kept);
        let missed = store.catch_up(term, copy.revision(), 10_000).await.expect("read").expect("the log has it");
        assert_eq!(missed.rest, Snapshot { assignments: Assignments::default(), ..kept.clone() });
        assert_eq!(missed.changes.len() as u64, kept.revision.0 - copy.revision().0);
        let caught = Model::caught_up(copy, missed.rest, missed.changes);
        assert_eq!((caught.revision(), caught.epoch(), caught.all()), (kept.revision, kept.epoch, model.all()));
        assert!(
            caught.pods().eq(&kept.pods) && caught.fencing().eq(&kept.fencing) && caught.members() == &kept.members
        );
        let counts = |of: &Model| (of.len(), of.guilds(), of.targets_by_platform().collect::<Vec<_>>());
        assert_eq!(counts(&caught), counts(&model));
        for pod in (0..3).map(name) {
            assert!(caught.assignments_of(&pod, None).eq(model.assignments_of(&pod, None)), "{pod}");
            assert_eq!(caught.quarantined_at(&pod), model.quarantined_at(&pod), "{pod}");
        }
        assert!(caught.quarantined(None).eq(model.quarantined(None)));
    }
}

async fn whoever_followed_is_told_what_it_has_missed_or_that_it_has_to_read_everything(world: World) {
    let (store, term) = world.leading().await;
    let begun = store.load(term).await.expect("read").revision;
    store.commit(term, batch((0..40).map(|n| first(n, n % 3)).collect())).await.expect("committed");
    let seen = store.load(term).await.expect("read").revision;
    store.commit(term, batch((40..50).map(|n| first(n, n % 3)).collect())).await.expect("committed");
    let missed = async |after, limit| store.catch_up(term, after, limit).await.expect("read");
    let ten = missed(seen, 10).await.expect("the log has it");
    assert_eq!(
        ten.changes.iter().map(|change| change.revision().0).collect::<Vec<_>>(),
        (seen.0 + 1..=seen.0 + 10).collect::<Vec<_>>()
    );
    assert!(missed(seen, 9).await.is_none(), "more than is wanted");
    assert!(missed(Revision(seen.0 + 10), 0).await.is_some_and(|none| none.changes.is_empty()), "nothing to tell");
    assert!(missed(Revision(seen.0 + 11), 10).await.is_none(), "what nobody has committed");
    store.trim(term, Revision(begun.0 + 1)).await.expect("trimmed");
    assert!(missed(begun, 100).await.is_none(), "the log has not all of it any more");
    assert!(missed(Revision(begun.0 + 1), 100).await.is_some());

    let after = world.store().await;
    let next = take_over(&*after).await;
    assert!(matches!(store.catch_up(term, seen, 100).await, Err(StoreError::Fenced)), "the term is over");
    assert_eq!(after.catch_up(next, seen, 100).await.expect("read"), Some(ten));
    // A new generation's log begins anew, and so does whoever followed.
    let last = after.load(next).await.expect("read").epoch;
    let batch = Batch { generation: Some(last.generation() + 1), ..Batch::default() };
    after.commit(next, batch).await.expect("committed");
    let next = take_over(&*after).await;
    assert_eq!(after.catch_up(next, seen, 100).await.expect("read"), None);
}

async fn a_batch_whose_expectation_fails_changes_nothing(world: World) {
    let (store, term) = world.leading().await;
    store.commit(term, batch(vec![first(1, 0), Write::Fencing(fencing(0, 5, 7))])).await.expect("committed");
    let before = store.load(term).await.expect("read");
    let owned = before.assignments.told().next().expect("one is there");
    let moved = |pod: u64, epoch: Epoch| Write::Assign {
        target: owned.target.clone(),
        parent: None,
        pod: name(1),
        expected: Some((name(pod), epoch)),
        reason: "move",
        state: AssignmentState::Serving,
        data: None,
    };
    for (why, write) in [
        ("it has an owner", first(1, 1)),
        ("another epoch", moved(0, owned.epoch.next())),
        ("another owner", moved(2, owned.epoch)),
        (
            "nobody's",
            Write::Assign {
                target: target(99),
                parent: None,
                pod: name(1),
                expected: Some((name(0), owned.epoch)),
                reason: "move",
                state: AssignmentState::Serving,
                data: None,
            },
        ),
        ("a pod nobody knows", first(2, 77)),
        ("the pod is known", pod(0)),
        ("another lease", Write::Pod { record: record(0, 9), expected: Some(LeaseId(8)), floor: Epoch(0) }),
        ("a lease that it never had is over", Write::Bury(record(0, 2))),
        ("a life that it never had is over", Write::Bury(other_life(record(0, 1)))),
        ("a witness config is left out", Write::Members(Members { version: 2, ..Members::default() })),
        ("a lease less is fenced", Write::Fencing(fencing(0, 4, 8))),
        ("a round comes again", Write::Fencing(fencing(0, 6, 7))),
    ] {
        let refused = store.commit(term, batch(vec![first(50, 0), write, first(51, 0)])).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{why}: {refused:?}");
        assert_eq!(store.load(term).await.expect("read"), before, "{why}");
    }
    let large = batch((0..5_001).map(|n| first(n, 0)).collect());
    assert!(matches!(store.commit(term, large).await, Err(StoreError::Rejected(_))));
    assert_eq!(store.load(term).await.expect("read"), before);
}

async fn two_first_contacts_of_one_target_give_one_owner(world: World) {
    let (_, term) = world.leading().await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = world.store().await;
        tasks.spawn(async move { store.commit(term, batch(vec![first(1, n % 3)])).await });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(StoreError::Conflict(_)))));
}

async fn epochs_grow_above_every_floor(world: World) {
    let (store, term) = world.leading().await;
    let issued = store.commit(term, batch(vec![first(1, 0)])).await.expect("committed").epoch;
    assert_eq!(issued, Epoch::first(1));
    let floor = Epoch(issued.0 + 1_000);
    let seen = Write::Pod { record: record(0, 2), expected: Some(LeaseId(1)), floor };
    store.commit(term, batch(vec![seen, first(2, 0)])).await.expect("committed");
    let lower = Write::Pod { record: record(0, 3), expected: Some(LeaseId(2)), floor: issued };
    store.commit(term, batch(vec![lower, first(3, 0)])).await.expect("committed");
    let read = store.load(term).await.expect("read");
    let epochs: Vec<_> = read.assignments.told().map(|assignment| assignment.epoch.0).collect();
    assert_eq!(epochs, [issued.0, floor.0 + 1, floor.0 + 2]);
}

async fn the_log_says_where_it_begins_and_ends(world: World) {
    let (store, term) = world.leading().await;
    store.commit(term, batch((0..20).map(|n| first(n, 0)).collect())).await.expect("committed");
    let end = store.load(term).await.expect("read").revision;
    assert_eq!(end, Revision(23));
    let positions = async |after: u64, limit: usize| match store.changes(Revision(after), limit).await.expect("read") {
        Log::Changes(changes) => Some(changes.iter().map(|change| change.revision().0).collect::<Vec<_>>()),
        Log::Gone => None,
    };
    assert_eq!(positions(20, 2).await, Some(vec![21, 22]));
    assert_eq!(positions(23, 9).await, Some(vec![]), "the end is a position too");
    assert_eq!(positions(24, 9).await, None, "beyond the end");
    assert_eq!(store.trim(term, Revision(10)).await.expect("trimmed"), 10);
    assert_eq!(positions(9, 9).await, None, "10 is gone");
    assert_eq!(positions(10, 1).await, Some(vec![11]));
    assert_eq!(store.trim(term, Revision(10)).await.expect("trimmed"), 0);
    store.trim(term, end).await.expect("trimmed");
    assert_eq!((positions(22, 9).await, positions(23, 9).await), (None, Some(vec![])));
}

async fn a_target_has_one_ownership_that_lasts_and_those_before_it(world: World) {
    let (store, term) = world.leading().await;
    let mut epoch = store.commit(term, batch(vec![first(1, 0), first(2, 0)])).await.expect("committed").epoch;
    epoch = Epoch(epoch.0 - 1);
    for to in [1, 2] {
        let expected = Some((name(to - 1), epoch));
        let moved = moved(1, to, expected);
        epoch = store.commit(term, batch(vec![moved])).await.expect("committed").epoch;
    }
    let owners = store.history(target(1), None, 9).await.expect("read");
    let pods: Vec<_> =
        owners.iter().map(|one| (one.pod.to_string(), one.from.as_ref().map(ToString::to_string))).collect();
    let pod = |n| format!("gateway-{n}");
    assert_eq!(pods, [(pod(2), Some(pod(1))), (pod(1), Some(pod(0))), (pod(0), None)]);
    assert_eq!((owners[0].until_ms, owners[0].epoch), (None, epoch));
    for (newer, older) in owners.iter().zip(&owners[1..]) {
        assert_eq!(older.until_ms, Some(newer.since_ms), "one ends where the next begins");
    }
    let older = store.history(target(1), Some(owners[0].revision), 1).await.expect("read");
    assert_eq!(older, owners[1..2]);
    assert_eq!(store.history(target(2), None, 9).await.expect("read").len(), 1);
    assert!(store.history(target(3), None, 9).await.expect("read").is_empty());
}

async fn what_is_old_is_forgotten_and_what_lasts_is_not(world: World) {
    let (store, term) = world.leading().await;
    let epoch = store.commit(term, batch(vec![first(1, 0)])).await.expect("committed").epoch;
    let expected = Some((name(0), epoch));
    let moved = moved(1, 1, expected);
    let (audits, kept) = (vec![audit("x", "y")], vec![answer("a", "k", "1")]);
    store.commit(term, Batch { audits, kept, ..batch(vec![moved]) }).await.expect("committed");
    let day = Duration::from_secs(86_400);
    let keep = Keep { audit: day, history: day, answers: day, moves: day };
    assert_eq!(store.forget(term, keep).await.expect("done"), 0, "nothing is a day old");
    let none = Duration::ZERO;
    eventually("the database's clock has moved on", PATIENCE, async || {
        let rows = store.forget(term, Keep { audit: none, ..keep }).await.expect("done");
        (rows == 1).then_some(())
    })
    .await;
    assert_eq!(
        store.forget(term, Keep { audit: none, history: none, answers: none, moves: none }).await.expect("done"),
        2
    );
    assert!(store.events(EventFilter::default(), 9).await.expect("read").is_empty());
    let owners = store.history(target(1), None, 9).await.expect("read");
    assert_eq!((owners.len(), owners[0].until_ms), (1, None), "who owns it is never forgotten");
    assert_eq!(store.kept("a".into(), "k".into()).await.expect("read"), None);
}

/// What only a server between processes can do wrong.
mod only_on_postgres {
    use super::*;
    use sqlx::{Connection, PgConnection, Row};

    async fn parts(world: &World) -> (PgConnection, Arc<dyn Store>, Term) {
        let (store, term) = world.leading().await;
        let World::Postgres { url, .. } = world else { panic!("made with PostgreSQL") };
        (PgConnection::connect(url).await.expect("the server answers"), store, term)
    }

    #[tokio::test]
    async fn a_term_in_force_is_not_taken_over() {
        let world = World::postgres().await;
        let (first, second) = (world.store().await, world.store().await);
        let long = Duration::from_secs(60);
        let Bid::Won(term) = first.lead("10.0.0.1:3001".into(), long).await.expect("a bid") else {
            panic!("nobody leads")
        };
        let Bid::Held { address, remaining } = second.lead("10.0.0.2:3001".into(), long).await.expect("a bid") else {
            panic!("two leaders")
        };
        assert_eq!(address, "10.0.0.1:3001");
        assert!(remaining > long / 2 && remaining <= long);
        first.resign(term).await.expect("given up");
        assert!(matches!(second.lead("10.0.0.2:3001".into(), long).await, Ok(Bid::Won(next)) if next > term));
    }

    #[tokio::test]
    async fn of_many_bids_at_once_one_wins() {
        let world = World::postgres().await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..8 {
            let store = world.store().await;
            tasks.spawn(async move {
                store.lead(format!("10.0.0.{n}:3001"), Duration::from_secs(60)).await.expect("a bid")
            });
        }
        let bids = tasks.join_all().await;
        assert_eq!(bids.iter().filter(|bid| matches!(bid, Bid::Won(_))).count(), 1, "{bids:?}");
    }

    #[tokio::test]
    async fn a_renewal_never_waits_for_a_running_transaction() {
        let world = World::postgres().await;
        let (mut other, store, term) = parts(&world).await;
        let mut running = other.begin().await.expect("begins");
        sqlx::raw_sql("UPDATE leader SET revision = revision").execute(&mut *running).await.expect("locked");
        // Nobody else ends what runs: who waited for it would wait for ever.
        let renewed = tokio::time::timeout(PATIENCE, store.renew(term, LEASE)).await;
        renewed.expect("without waiting").expect("renewed");
        running.rollback().await.expect("ends");
    }

    #[tokio::test]
    async fn a_commit_that_is_cut_off_is_uncertain_and_a_refused_one_is_not() {
        let world = World::postgres().await;
        let (mut other, store, term) = parts(&world).await;
        sqlx::raw_sql(
            "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON assignment DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION cut()",
        )
        .execute(&mut other)
        .await
        .expect("a trigger");
        let cut = store.commit(term, batch(vec![first(1, 0)])).await;
        assert!(matches!(cut, Err(StoreError::Uncertain(_))), "{cut:?}");
        sqlx::raw_sql(
            "ALTER TRIGGER cut ON assignment RENAME TO early; ALTER TABLE assignment DISABLE TRIGGER early;
             CREATE TRIGGER now AFTER INSERT ON assignment FOR EACH ROW EXECUTE FUNCTION cut()",
        )
        .execute(&mut other)
        .await
        .expect("another trigger");
        let refused = store.commit(term, batch(vec![first(1, 0)])).await;
        assert!(matches!(refused, Err(StoreError::Rejected(_))), "{refused:?}");
        sqlx::raw_sql("DROP TRIGGER now ON assignment").execute(&mut other).await.expect("dropped");
        store.commit(term, batch(vec![first(1, 0)])).await.expect("the pool has healed");
    }

    #[tokio::test]
    async fn a_store_that_was_away_is_used_again() {
        let mut world = World::postgres().await;
        let (store, term) = world.leading().await;
        let World::Postgres { server, .. } = &mut world else { panic!("made with PostgreSQL") };
        server.halt();
        let refused = store.commit(term, batch(vec![first(1, 0)])).await;
        assert!(matches!(refused, Err(StoreError::Rejected(_))), "{refused:?}");
        server.resume().await;
        store.commit(term, batch(vec![first(1, 0)])).await.expect("committed");
    }

    #[tokio::test]
    async fn a_password_in_a_broken_url_is_not_shown() {
        let why = store::Postgres::new("postgres://u:hunter2@[/x", 8, LEASE).expect_err("no URL").to_string();
        assert!(!why.contains("hunter2"), "{why}");
    }

    #[tokio::test]
    async fn the_schema_is_made_once_by_whoever_comes_first() {
        let server = Postgres::start().await;
        let url = server.database().await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let store = store::Postgres::new(&url, 2, Duration::from_secs(45)).expect("a URL");
            tasks.spawn(async move { store.prepare().await });
        }
        for done in tasks.join_all().await {
            done.expect("prepared");
        }
        let mut other = PgConnection::connect(&url).await.expect("the server answers");
        let sql = "SELECT count(*), max(version) FROM schema_migration";
        let rows = sqlx::query(sql).fetch_one(&mut other).await.expect("a row");
        assert_eq!(rows.get::<i64, _>(0), rows.get::<i64, _>(1), "each step once");
        sqlx::raw_sql("UPDATE schema_migration SET hash = 'other'").execute(&mut other).await.expect("changed");
        let store = store::Postgres::new(&url, 2, Duration::from_secs(45)).expect("a URL");
        assert!(matches!(store.prepare().await, Err(StoreError::Unusable(_))));
    }
}
