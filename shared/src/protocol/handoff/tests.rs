use super::*;
use crate::Revision;
use proptest::prelude::*;

const EPOCH: Epoch = Epoch(7);

fn pod(name: &str) -> PodId {
    name.parse().expect("a pod's name")
}

fn at(ms: u64) -> Mono {
    Mono::from_nanos(ms * 1_000_000)
}

fn handoff(state: MoveState) -> Handoff {
    let entry = Move {
        id: MoveId(3),
        target: "slack:guild:T1".parse().expect("a target"),
        from: pod("gateway-0"),
        to: pod("gateway-1"),
        state,
        epoch: EPOCH,
        revision: Revision(3),
        reason: "manual".to_owned(),
        actor: "test".to_owned(),
        started_ms: 1,
        frozen_ms: None,
        ended_ms: None,
        pause_ms: None,
        rows: 0,
        bytes: 0,
        detail: None,
        plan: None,
    };
    Handoff::new(&entry, at(1_000))
}

fn source(said: Said) -> Event {
    Event::Said { by: pod("gateway-0"), said }
}

fn destination(said: Said) -> Event {
    Event::Said { by: pod("gateway-1"), said }
}

fn imported(epoch: Epoch) -> Said {
    Said::Imported { epoch, rows: 5, bytes: 50 }
}

/// The states that follow from an event, one second after the move came into its state.
fn follow(state: MoveState, event: &Event) -> Vec<MoveState> {
    let decided = handoff(state).step(at(2_000), &Patience::default(), event);
    let states = decided.into_iter().filter_map(|decision| match decision {
        Decision::Become { state, detail } => {
            let says_why = state == MoveState::Aborted || matches!(event, Event::Closed(_));
            assert_eq!(detail.is_some(), says_why, "who ends a move early says why, and nobody else does");
            Some(state)
        }
        Decision::Progress { .. } | Decision::Paused(_) => None,
    });
    states.collect()
}

/// Every event there is, in every form that matters.
fn events() -> Vec<(&'static str, Event)> {
    let failed = || Said::Failed { detail: "disk full".to_owned() };
    let other = |said| Event::Said { by: pod("gateway-2"), said };
    vec![
        ("source: progress", source(Said::Progress { rows: 1, bytes: 10 })),
        ("source: frozen", source(Said::Frozen { epoch: EPOCH })),
        ("source: frozen, older epoch", source(Said::Frozen { epoch: Epoch(6) })),
        ("source: imported", source(imported(EPOCH))),
        ("source: serving", source(Said::Serving { pause_ms: 9 })),
        ("source: failed", source(failed())),
        ("destination: progress", destination(Said::Progress { rows: 1, bytes: 10 })),
        ("destination: frozen", destination(Said::Frozen { epoch: EPOCH })),
        ("destination: imported", destination(imported(EPOCH))),
        ("destination: imported, older epoch", destination(imported(Epoch(6)))),
        ("destination: imported, newer epoch", destination(imported(Epoch(8)))),
        ("destination: serving", destination(Said::Serving { pause_ms: 9 })),
        ("destination: failed", destination(failed())),
        ("other: frozen", other(Said::Frozen { epoch: EPOCH })),
        ("other: imported", other(imported(EPOCH))),
        ("other: serving", other(Said::Serving { pause_ms: 9 })),
        ("other: failed", other(failed())),
        ("source buried", Event::Buried(pod("gateway-0"))),
        ("destination buried", Event::Buried(pod("gateway-1"))),
        ("other buried", Event::Buried(pod("gateway-2"))),
        ("reassigned", Event::Reassigned),
        ("cancel", Event::Cancel("not wanted".to_owned())),
        ("closed", Event::Closed("its data is lost".to_owned())),
        ("tick", Event::Tick),
        ("given back", Event::GivenBack),
    ]
}

#[test]
fn every_state_meets_every_event_as_the_protocol_says() {
    use MoveState::{Aborted, Cleaned, Committed, Copying, Frozen, Imported};
    for (name, event) in events() {
        let expected = |state: MoveState| -> Vec<MoveState> {
            let ends = ["source buried", "destination buried", "reassigned", "cancel"].contains(&name);
            match state {
                Copying if name == "source: frozen" => vec![Frozen],
                Copying | Frozen if name == "destination: imported" => vec![Imported, Committed],
                Copying | Frozen if ends || name == "source: failed" || name == "destination: failed" => vec![Aborted],
                Imported if ends => vec![Aborted],
                Imported if ["other buried", "closed", "given back"].contains(&name) => vec![],
                Imported => vec![Committed],
                Committed if name == "given back" => vec![Aborted],
                Committed if name == "destination: serving" || name == "closed" => vec![Cleaned],
                _ => vec![],
            }
        };
        for state in [Copying, Frozen, Imported, Committed, Cleaned, Aborted] {
            assert_eq!(follow(state, &event), expected(state), "{name} while {}", state.as_str());
        }
    }
}

#[test]
fn a_freeze_ends_in_an_abort_after_its_time_and_not_before() {
    let (frozen, patience) = (handoff(MoveState::Frozen), Patience::default());
    assert_eq!(frozen.wake_at(&patience), Some(at(3_000)));
    assert_eq!(frozen.step(at(2_999), &patience, &Event::Tick), vec![]);
    let decided = frozen.step(at(3_000), &patience, &Event::Tick);
    assert!(matches!(&decided[..], [Decision::Become { state: MoveState::Aborted, .. }]), "{decided:?}");
}

#[test]
fn progress_prolongs_a_copy_and_never_a_freeze() {
    let (mut copying, mut frozen, patience) =
        (handoff(MoveState::Copying), handoff(MoveState::Frozen), Patience::default());
    for handoff in [&mut copying, &mut frozen] {
        handoff.progressed(at(20_000));
    }
    assert_eq!(copying.wake_at(&patience), Some(at(80_000)));
    assert_eq!(frozen.wake_at(&patience), Some(at(3_000)));
    assert_eq!(copying.step(at(79_999), &patience, &Event::Tick), vec![]);
    assert_eq!(copying.step(at(80_000), &patience, &Event::Tick).len(), 1);
}

#[test]
fn an_import_carries_its_figures_and_a_destination_that_serves_its_pause() {
    let decided = handoff(MoveState::Copying).step(at(2_000), &Patience::default(), &destination(imported(EPOCH)));
    assert_eq!(decided[0], Decision::Progress { rows: 5, bytes: 50 });
    let serving = destination(Said::Serving { pause_ms: 9 });
    let decided = handoff(MoveState::Committed).step(at(2_000), &Patience::default(), &serving);
    assert_eq!(decided[0], Decision::Paused(9));
}

#[test]
fn time_wakes_only_what_waits_for_it() {
    let patience = Patience::default();
    assert_eq!(handoff(MoveState::Imported).wake_at(&patience), Some(at(1_000)));
    for over in [MoveState::Committed, MoveState::Cleaned, MoveState::Aborted] {
        assert_eq!(handoff(over).wake_at(&patience), None);
    }
}

proptest! {
    /// Whatever happens in whatever order, over any change of leaders: a move has one outcome, and only the destination's
    /// word that it holds what was released under the move's own epoch commits it. That the target is given back, which the
    /// leader does itself when that destination is dead, is no such event.
    #[test]
    fn a_move_has_one_outcome(steps in prop::collection::vec((0_usize..23, 0_u64..3_000, any::<bool>()), 0..60)) {
        let (patience, all) = (Patience::default(), events());
        let (mut handoff, mut now) = (handoff(MoveState::Copying), at(1_000));
        let (mut seen, mut released) = (vec![MoveState::Copying], false);
        for (which, after, new_leader) in steps {
            now = now.after(Duration::from_millis(after));
            if new_leader {
                handoff.since = now;
            }
            let (name, event) = &all[which];
            released |= *name == "destination: imported";
            for decision in handoff.step(now, &patience, event) {
                if let Decision::Become { state, .. } = decision {
                    handoff.become_at(now, state);
                    seen.push(state);
                }
            }
        }
        let was = |state| seen.contains(&state);
        prop_assert!(!(was(MoveState::Committed) && was(MoveState::Aborted)));
        prop_assert!(!was(MoveState::Committed) || released);
        prop_assert!(!was(MoveState::Cleaned) || was(MoveState::Committed));
        prop_assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "states only go on: {:?}", seen);
        prop_assert!(seen.iter().filter(|state| state.is_over()).count() <= 1);
    }
}
