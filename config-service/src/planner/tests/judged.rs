//! What the linter says of plans that are nearly right, and that it says nothing of those that are.

use super::{linter::*, *};

fn spoilt(made: (Snapshot, Policy, Plan), spoil: impl FnOnce(&mut Snapshot, &mut Policy, &mut Plan)) -> Vec<String> {
    let (mut snapshot, mut policy, mut plan) = made;
    spoil(&mut snapshot, &mut policy, &mut plan);
    kinds(&snapshot, &policy, &plan)
}

const NOTHING: [&str; 0] = [];

/// The first target that has to move, or that moves for balance.
fn moved(snapshot: &Snapshot, plan: &Plan, rank: Rank) -> usize {
    let step = plan.moves.iter().find(|step| step.rank == rank).expect("there is one");
    snapshot.target(&step.target).expect("there")
}

/// A guild on one pod, its channel on another that is to be empty: the channel goes to its guild.
fn family() -> (Snapshot, Policy, Plan) {
    let mut builder = Snapshot::of(Revision(1), pods(3), 0);
    let (weight, channel) = (Weight::default(), "discord:channel:7".parse().expect("valid"));
    builder.add(Entry { target: guild(3), parent: None, owner: Some(0), weight, rules: None });
    builder.add(Entry { target: channel, parent: Some(guild(3)), owner: Some(1), weight, rules: None });
    let (before, policy) = (builder.finish(), Policy::default());
    let made = plan(&before, &policy, 50);
    assert!(made.moves.len() == 1 && made.moves[0].to == pod(0), "{made:?}");
    (before, policy, made)
}

#[test]
fn a_move_to_where_it_is_and_to_a_pod_without_capacity_are_faults() {
    let stays = spoilt(world(), |_, _, plan| plan.moves[0].to = plan.moves[0].from.clone().expect("it has an owner"));
    assert!(stays.contains(&"not-there".to_owned()), "{stays:?}");
    let closed = spoilt(world(), |snapshot, _, _| snapshot.pod_mut(2).capacity = 0.0);
    assert!(closed.contains(&"closed".to_owned()), "{closed:?}");
}

#[test]
fn a_family_is_joined_where_it_is_open_or_not_as_long_as_that_pod_answers() {
    assert_eq!(spoilt(family(), |snapshot, _, _| snapshot.pod_mut(0).cordoned = true), NOTHING);
    assert_eq!(spoilt(family(), |snapshot, _, _| snapshot.pod_mut(0).phase = Phase::Suspect), ["closed"]);
    assert_eq!(spoilt(family(), |snapshot, _, _| snapshot.pod_mut(0).in_range = false), ["closed"]);
}

#[test]
fn a_zone_that_is_only_wished_for_and_a_canary_without_pods_bind_nobody() {
    let wishes = |snapshot: &mut Snapshot, _: &mut Policy, plan: &mut Plan| {
        let at = moved(snapshot, plan, Rank::Rebalance);
        snapshot.rules_mut(at).zone = Some(ZoneRule { zone: "a".to_owned(), hard: false });
    };
    assert_eq!(spoilt(world(), wishes), NOTHING);
    assert_eq!(spoilt(world(), |_, policy, _| policy.canary = 0.9), NOTHING);
}

#[test]
fn a_track_that_somebody_has_said_counts() {
    let said = |snapshot: &mut Snapshot, _: &mut Policy, plan: &mut Plan| {
        let at = moved(snapshot, plan, Rank::Rebalance);
        snapshot.rules_mut(at).track = Some(Track::Canary);
        snapshot.pod_mut(1).track = Track::Canary;
    };
    let found = spoilt(world(), said);
    assert!(found.contains(&"wrong-track".to_owned()), "{found:?}");
}

#[test]
fn what_cools_down_moves_when_it_must() {
    let cooling = |snapshot: &mut Snapshot, _: &mut Policy, plan: &mut Plan| {
        let at = moved(snapshot, plan, Rank::Drain);
        snapshot.rules_mut(at).moved = Some(Moved { at_ms: 40, times: 1 });
    };
    assert_eq!(spoilt(mixed(), cooling), NOTHING);
}

#[test]
fn a_pin_counts_as_long_as_it_can() {
    let pinned = |rank, to: usize, until_ms| {
        move |snapshot: &mut Snapshot, _: &mut Policy, plan: &mut Plan| {
            let at = moved(snapshot, plan, rank);
            snapshot.rules_mut(at).pin = Some(Pin { pod: pod(to), until_ms });
        }
    };
    assert_eq!(spoilt(mixed(), pinned(Rank::Drain, 0, None)), ["pinned"], "it could go there, and goes elsewhere");
    assert_eq!(spoilt(mixed(), pinned(Rank::Drain, 2, None)), NOTHING, "it goes there");
    assert_eq!(spoilt(mixed(), pinned(Rank::Rebalance, 0, Some(50))), NOTHING, "it is over");
    assert_eq!(spoilt(mixed(), pinned(Rank::Rebalance, 3, None)), NOTHING, "that pod is to be empty");
    // Its pod takes nothing: what must move goes elsewhere, but nothing goes for balance.
    let closed = |rank| {
        spoilt(mixed(), |snapshot, policy, plan| {
            pinned(rank, 1, None)(snapshot, policy, plan);
            snapshot.pod_mut(1).cordoned = true;
        })
    };
    assert_eq!(closed(Rank::Drain), NOTHING);
    assert_eq!(closed(Rank::Rebalance), ["pinned"]);
}

#[test]
fn too_much_is_a_fault_only_where_another_pod_had_room_for_what_could_go_there() {
    // Everywhere is too much.
    assert_eq!(spoilt(world(), |_, policy, _| policy.events_per_second = 100.0), NOTHING);
    let crowded = |snapshot: &mut Snapshot, policy: &mut Policy, plan: &mut Plan| {
        policy.events_per_second = 50.0;
        push(snapshot, plan, 0, 2, 15);
    };
    assert_eq!(spoilt(world(), crowded), ["worse"], "fuller than any was, but nobody has room");
    let bound = |snapshot: &mut Snapshot, _: &mut Policy, plan: &mut Plan| {
        for step in &plan.moves {
            let at = snapshot.target(&step.target).expect("there");
            snapshot.rules_mut(at).group = Some(Group { name: "whole".to_owned(), whole: true });
        }
        weigh_free(snapshot, plan, 8);
    };
    assert_eq!(spoilt(world(), bound), ["worse"]);
}

#[test]
fn who_waits_for_its_family_or_is_on_its_way_is_not_left_out() {
    let (before, policy, made) = family();
    let left = |spoil: &dyn Fn(&mut Snapshot)| {
        let mut now = before.clone();
        spoil(&mut now);
        left_out(&now, &policy, 50, &Plan { moves: Vec::new(), ..made.clone() }).len()
    };
    assert_eq!(left(&|_| ()), 0);
    assert_eq!(left(&|now| now.pod_mut(1).phase = Phase::Dead), 0, "its guild lives");
    let both = |now: &mut Snapshot| (0..2).for_each(|pod| now.pod_mut(pod).phase = Phase::Dead);
    assert_eq!(left(&both), 2);
    let moving = |now: &mut Snapshot| {
        both(now);
        now.rules_mut(0).moving = true;
    };
    assert_eq!(left(&moving), 1);
}

#[test]
fn each_track_has_a_band_of_its_own() {
    let mut fleet = pods(4);
    (fleet[2].track, fleet[3].track) = (Track::Canary, Track::Canary);
    // Two pods with 300 each, and the canary's with 40.
    let mut before = snapshot(fleet, (0..68).map(|n| (Some(if n < 60 { n % 2 } else { 2 + n % 2 }), 10.0)));
    (60..68).for_each(|n| {
        let at = before.target(&guild(n)).expect("there");
        before.rules_mut(at).track = Some(Track::Canary);
    });
    let policy = Policy { events_per_second: 400.0, ..Policy::default() };
    let mut made = plan(&before, &policy, 50);
    assert!(made.is_empty(), "{made:?}");
    let like = world().2.moves[0].clone();
    made.moves = vec![PlannedMove { target: guild(60), from: Some(pod(2)), to: pod(3), ..like }];
    assert_eq!(kinds(&before, &policy, &made), ["worse"]);
}
