use super::*;

#[test]
fn a_pod_that_is_gone_is_buried_seven_seconds_after_its_last_grant() {
    let mut world = World::of(3);
    world.run(20_000, &[0, 1, 2]);
    world.done.clear();
    world.run(22_900, &[0, 1]);
    assert_eq!(world.wrote(|_| true), 0);
    world.run(23_000, &[0, 1]);
    assert_eq!(world.wrote(|intent| matches!(intent, Intent::Fencing { round: 1, .. })), 1);
    world.run(27_000, &[0, 1]);
    assert_eq!(world.buried(), []);
    let wait = Duration::from_millis(100);
    assert_eq!(world.leader.blocked(&name(2), at(27_000)), Some(Blocked::Time(wait)), "its grant was of 20.1 s");
    world.run(27_100, &[0, 1]);
    assert_eq!(world.buried(), [name(2)]);
    assert_eq!(world.leader.marks().collect::<Vec<_>>(), [Mark { pod: name(2), lease_id: LeaseId(1) }]);
    assert_eq!(world.beat(2), Some(Why::Buried));
    // It leaves the config, and comes back as another incarnation once nobody takes the old one for a witness.
    assert_eq!(world.leader.admits(&name(2), &incarnation(2)), Err(Why::Buried));
    assert_eq!(world.leader.admits(&name(2), &incarnation(9)), Err(Why::Suspended));
    world.run(30_000, &[0, 1]);
    assert_eq!(*world.leader.members(), Members { version: 4, now: set(0..2), before: BTreeSet::new() });
    assert_eq!(world.leader.admits(&name(2), &incarnation(9)), Ok(()));
}

#[test]
fn the_other_of_two_is_the_witness_and_one_alone_is_never_buried() {
    let mut world = World::of(2);
    world.run(10_000, &[0, 1]);
    world.run(18_000, &[0]);
    assert_eq!(world.buried(), [name(1)]);
    world.done.clear();
    world.run(600_000, &[]);
    assert_eq!(world.buried(), []);
}

#[test]
fn a_promise_that_a_witness_reports_is_waited_out() {
    let mut world = World::of(3);
    world.run(10_000, &[0, 1, 2]);
    world.run(12_900, &[0]);
    // 1 is well, and slow to answer.
    world.beat(1);
    world.run(13_000, &[0]);
    assert_eq!(world.leader.blocked(&name(2), at(13_000)), Some(Blocked::Quorum));
    world.run(15_000, &[0]);
    world.beat(1);
    let asked = Fence { pod: name(2), lease_id: LeaseId(1), term: Term(7), round: 1 };
    world.input(Input::Fenced(answer(name(1), &asked, 4_500)));
    world.run(17_900, &[0]);
    world.beat(1);
    world.run(19_400, &[0]);
    assert_eq!(world.buried(), []);
    world.run(19_500, &[0]);
    assert_eq!(world.buried(), [name(2)]);
}

#[test]
fn an_answer_of_an_earlier_round_does_not_count() {
    let mut world = World::of(2);
    world.run(10_000, &[0, 1]);
    world.run(13_000, &[0]);
    let asked = Fence { pod: name(1), lease_id: LeaseId(1), term: Term(7), round: 1 };
    // It is back under a new lease, and silent again: the round is a new one.
    assert_eq!(world.beat(1), Some(Why::Fenced));
    world.register(1, incarnation(1), 2);
    let heartbeat = world.heartbeat(1, 2);
    assert_eq!(world.send(1, heartbeat.clone()), None);
    world.run(13_100, &[0]);
    assert!(world.granted(&heartbeat));
    world.done.clear();
    while world.now < 30_000 {
        world.now += 100;
        world.beat(0);
        world.input(Input::Fenced(answer(name(0), &asked, 0)));
    }
    assert_eq!(world.wrote(|intent| matches!(intent, Intent::Fencing { round: 2, lease_id: LeaseId(2), .. })), 1);
    assert_eq!(world.buried(), []);
    assert!(world.done.contains(&Output::Note(Note::Stale(name(0)))));
}

#[test]
fn only_the_folder_that_was_registered_as_a_witness_answers_for_it() {
    let (one, other, next) = (incarnation(1), incarnation(8), incarnation(9));
    // 1 was buried; whoever answers under its name has not registered. 2 is silent, and needs its mark or that of 0.
    let counts = |lives: Vec<Incarnation>| {
        let mut world = World::with(vec![known(0), Known { buried: true, ..known(1) }, known(2)], world_of_three());
        world.run(10_000, &[0, 2]);
        world.run(13_000, &[0]);
        let asked = Fence { pod: name(2), lease_id: LeaseId(1), term: Term(7), round: 1 };
        world.done.clear();
        world.input(Input::Fenced(Fenced { lives, ..answer(name(1), &asked, 0) }));
        !world.done.contains(&Output::Note(Note::Stranger(name(1))))
    };
    assert!(counts(vec![one.clone()]), "it has not heard that it is buried");
    assert!(counts(vec![next.clone(), one.clone()]), "it has begun the next life of the same folder");
    assert!(!counts(vec![other.clone()]), "another folder");
    assert!(!counts(vec![next, other]), "another folder, in its second life");
    assert!(!counts(vec![]), "one that does not say which");
}

#[test]
fn an_answer_of_another_folder_buries_nobody() {
    let mut world = World::of(2);
    world.run(10_000, &[0, 1]);
    while world.now < 60_000 {
        world.now += 100;
        world.beat(0);
        for (to, fence) in world.asked() {
            world.input(Input::Fenced(Fenced { lives: vec![incarnation(8)], ..answer(to, &fence, 0) }));
        }
    }
    assert_eq!(world.buried(), []);
    world.run(70_000, &[0]);
    assert_eq!(world.buried(), [name(1)], "its own answer does");
}

fn world_of_three() -> Members {
    Members { version: 3, now: set(0..3), before: BTreeSet::new() }
}

#[test]
fn nobody_is_asked_before_the_fencing_is_committed() {
    let mut world = World::of(3);
    world.run(10_000, &[0, 1, 2]);
    world.done.clear();
    world.store = false;
    while world.now < 16_000 {
        world.now += 1_000;
        world.beat(0);
        world.beat(1);
    }
    assert!(world.wrote(|intent| matches!(intent, Intent::Fencing { .. })) > 1);
    assert_eq!(world.asked(), []);
    // Nobody was asked: the lease may go on.
    world.store = true;
    assert_eq!(world.beat(2), None);
}

#[test]
fn every_config_that_a_pod_may_hold_has_to_fence_it() {
    // The step to {0, 3, 4, 5} is committed; 0 has acknowledged the {0, 1, 2} before it only. 1 and 2 are buried since, and
    // do not answer.
    let members = Members { version: 3, now: set([0, 3, 4, 5]), before: set(0..3) };
    let dead = |number| Known { buried: true, ..known(number) };
    let old = |number| Known { acknowledged: 2, ..known(number) };
    let all = vec![old(0), dead(1), dead(2), known(3), known(4), known(5)];
    let mut world = World::with(all.clone(), members.clone());
    world.run(60_000, &[3, 4, 5]);
    assert_eq!(world.buried(), []);
    assert_eq!(world.leader.blocked(&name(0), at(60_000)), Some(Blocked::Quorum));
    let mut all = all;
    all[0] = known(0);
    let mut world = World::with(all, members);
    world.run(60_000, &[3, 4, 5]);
    assert_eq!(world.buried(), [name(0)], "it has acknowledged the newest");
}

#[test]
fn a_new_leader_buries_nobody_before_every_grant_of_the_one_before_is_over() {
    for proof in [None, Some(Proof::Reaped), Some(Proof::Declared)] {
        let mut world = World::of(3);
        if let Some(of) = proof {
            world.input(Input::Proof { pod: name(2), of });
        }
        world.run(6_900, &[0, 1]);
        assert_eq!(world.buried(), []);
        world.run(7_000, &[0, 1]);
        assert_eq!(world.buried(), [name(2)], "{proof:?}");
    }
}

#[test]
fn a_new_leader_goes_on_from_what_is_fenced_in_the_database() {
    let mut all: Vec<_> = (0..3).map(known).collect();
    all[2].fenced = Some((LeaseId(1), 4));
    let mut world = World::with(all, Members { version: 3, now: set(0..3), before: BTreeSet::new() });
    assert_eq!(world.beat(2), Some(Why::Fenced), "only a new lease of it is granted");
    world.run(7_000, &[0, 1]);
    assert_eq!(world.wrote(|intent| matches!(intent, Intent::Fencing { round: 5, .. })), 1);
    assert_eq!(world.buried(), [name(2)]);
}

#[test]
fn when_most_pods_are_silent_nobody_is_failed_over() {
    let mut world = World::of(3);
    world.run(10_000, &[0, 1, 2]);
    world.done.clear();
    world.run(100_000, &[0]);
    assert_eq!(world.wrote(|_| true), 0);
    assert!(world.done.contains(&Output::Note(Note::Silence(Turn::Mass))));
    // One is back: the other has as long as if it had just fallen silent.
    world.now = 101_000;
    world.beat(1);
    world.beat(0);
    world.run(103_900, &[0, 1]);
    assert_eq!(world.wrote(|_| true), 0);
    world.run(112_000, &[0, 1]);
    assert_eq!(world.buried(), [name(2)]);
}

#[test]
fn after_a_mass_silence_failovers_are_paced() {
    let mut world = World::of(9);
    let all: Vec<_> = (0..9).collect();
    world.run(10_000, &all);
    world.run(30_000, &[]);
    world.done.clear();
    let mut buried = vec![];
    while world.now < 120_000 {
        world.run(world.now + 1_000, &[0, 1, 2, 3, 4]);
        buried.extend(world.buried().into_iter().map(|_| world.now / 1_000));
        world.done.clear();
    }
    assert_eq!(buried.len(), 4);
    assert!(buried.windows(2).all(|two| two[1] > two[0]), "a second apart: {buried:?}");
    assert!(buried[3] - buried[0] >= 55, "three in a minute: {buried:?}");
}

#[test]
fn without_a_quorum_it_takes_a_proof_of_death() {
    for (of, wait) in [(Proof::Reaped, 0), (Proof::Terminated, 0), (Proof::Goodbye, 0)] {
        let mut world = World::of(3);
        world.run(20_000, &[0, 1, 2]);
        world.input(Input::Proof { pod: name(1), of });
        world.run(20_000 + wait, &[0]);
        assert_eq!(world.buried(), [name(1)]);
    }
    for of in [Proof::OutOfService, Proof::Declared] {
        let mut world = World::of(3);
        world.run(20_100, &[0, 1, 2]);
        world.input(Input::Proof { pod: name(1), of });
        assert_eq!(world.beat(1), Some(Why::Fenced), "it is granted nothing any more");
        world.run(27_000, &[0]);
        assert_eq!(world.buried(), [], "somebody's word: the lease is waited out");
        world.run(27_100, &[0]);
        assert_eq!(world.buried(), [name(1)]);
        // The witness that answers late hears of it all the same.
        world.done.clear();
        world.run(29_000, &[0]);
        world.now += 1_000;
        world.input(Input::Tick);
        assert!(world.asked().iter().any(|(to, fence)| *to == name(2) && fence.pod == name(1)));
    }
}

#[test]
fn a_pod_that_said_goodbye_has_time_to_restart() {
    let mut world = World::of(3);
    world.run(10_000, &[0, 1, 2]);
    let heartbeat = Heartbeat { leaving: true, ..world.heartbeat(2, 1) };
    world.send(2, heartbeat);
    world.done.clear();
    world.run(69_900, &[0, 1]);
    assert_eq!(world.wrote(|_| true), 0);
    world.run(80_000, &[0, 1]);
    assert_eq!(world.buried(), [name(2)]);
}

#[test]
fn a_leader_that_is_too_slow_begins_no_fencing() {
    let mut world = World::of(3);
    world.run(10_000, &[0, 1, 2]);
    world.input(Input::Degraded(true));
    world.done.clear();
    world.run(30_000, &[0, 1]);
    assert_eq!(world.wrote(|_| true), 0);
    world.input(Input::Degraded(false));
    world.run(32_900, &[0, 1]);
    assert_eq!(world.wrote(|_| true), 0);
    world.run(40_000, &[0, 1]);
    assert_eq!(world.buried(), [name(2)]);
}

#[test]
fn a_burial_that_was_not_written_is_tried_again_unless_the_pod_is_back() {
    let mut world = World::of(3);
    world.run(10_000, &[0, 1, 2]);
    world.run(17_000, &[0, 1]);
    let bury = world.leader.handle(at(17_100), Input::Tick);
    let [Output::Write(intent @ Intent::Bury { .. }), Output::Check] = &bury[..] else { panic!("{bury:?}") };
    world.input(Input::Checked { began: at(17_100), ok: true });
    world.now = 17_100;
    assert_eq!(world.beat(2), Some(Why::Fenced));
    world.input(Input::NotWritten(intent.clone()));
    assert_eq!(world.buried(), []);
    world.run(17_300, &[0, 1]);
    assert_eq!(world.buried(), [name(2)]);
}
