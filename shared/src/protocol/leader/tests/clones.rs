use super::*;

/// Two processes of pod 2 send heartbeats in turn under `lease`, every 500 ms, until the leader has noticed.
fn side_by_side(world: &mut World, lease: u64) {
    for turn in 0.. {
        assert!(turn < 20, "not noticed");
        let heartbeat = world.heartbeat(2, lease);
        let chain = Chain { id: 500 + turn % 2, ..heartbeat.chain };
        world.send(2, Heartbeat { chain, ..heartbeat });
        if world.done.contains(&Output::Note(Note::Cloned(name(2)))) {
            return;
        }
        world.run(world.now + 500, &[0, 1]);
    }
}

#[test]
fn a_cloned_pod_is_revoked_and_granted_again_when_one_of_the_two_is_gone() {
    let mut world = World::of(3);
    world.run(10_000, &[0, 1, 2]);
    side_by_side(&mut world, 1);
    assert_eq!(world.wrote(|intent| matches!(intent, Intent::Fencing { lease_id: LeaseId(1), .. })), 1);
    assert!(matches!(world.beat(2), Some(Why::Fenced | Why::Cloned)));
    // Both register anew. While both are there, neither is granted.
    world.register(2, incarnation(2), 2);
    world.register(2, incarnation(2), 3);
    let began = world.now;
    while world.now < began + 30_000 {
        for id in [500, 501] {
            let heartbeat = world.heartbeat(2, 3);
            let chain = Chain { id, ..heartbeat.chain };
            world.send(2, Heartbeat { chain, ..heartbeat.clone() });
            world.run(world.now + 500, &[0, 1]);
            assert!(!world.granted(&heartbeat));
        }
    }
    // One of them is stopped. D + M later the other is granted.
    let alone = world.now;
    loop {
        let heartbeat = world.heartbeat(2, 3);
        let chain = Chain { id: 501, ..heartbeat.chain };
        world.send(2, Heartbeat { chain, ..heartbeat.clone() });
        world.run(world.now + 1_000, &[0, 1]);
        if world.granted(&heartbeat) {
            break;
        }
        assert!(world.now < alone + 12_000);
    }
    assert!(world.now >= alone + 6_000);
    assert!(world.done.contains(&Output::Note(Note::Single(name(2)))));
    assert_eq!(world.buried(), []);
}

#[test]
fn a_machine_that_was_copied_while_it_ran_is_noticed_at_once() {
    let mut world = World::of(3);
    world.run(10_000, &[0, 1, 2]);
    let heartbeat = world.heartbeat(2, 1);
    let copy = Heartbeat { nonce: heartbeat.nonce + 1_000, ..heartbeat.clone() };
    assert_eq!(world.send(2, heartbeat), None);
    assert_eq!(world.send(2, copy), Some(Why::Cloned));
}

#[test]
fn a_restart_is_no_clone() {
    let mut world = World::of(3);
    world.run(10_000, &[0, 1, 2]);
    for restart in 0..50 {
        let heartbeat = world.heartbeat(2, 1);
        let chain = Chain { id: 900 + restart, seq: 1 };
        assert_eq!(world.send(2, Heartbeat { chain, ..heartbeat }), None);
        world.run(world.now + 1_000, &[0, 1]);
    }
    assert!(!world.done.contains(&Output::Note(Note::Cloned(name(2)))));
}
