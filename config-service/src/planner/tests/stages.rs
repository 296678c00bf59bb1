//! The stages one by one: what must move, what may not, and in which order.

use super::*;

#[test]
fn a_guild_and_its_channels_move_as_one() {
    let mut builder = Snapshot::of(Revision(1), pods(3), 0);
    let add = |builder: &mut Builder, name: &str, parent: Option<TargetId>, owner| {
        let target = name.parse().expect("valid");
        let weight = Weight { events: 5.0, ..Weight::default() };
        builder.add(Entry { target, parent, owner: Some(owner), weight, rules: None });
    };
    for id in 0..20 {
        add(&mut builder, &format!("discord:guild:{id}"), None, 0);
        (0..3).for_each(|n| add(&mut builder, &format!("discord:channel:{id}{n}"), Some(guild(id)), 0));
    }
    let before = builder.finish();
    let policy = Policy::default();
    let made = plan(&before, &policy, 0);
    assert!(made.moves.len() > 40, "{}", made.moves.len());
    let after = before.after(&made, &policy, 0);
    for view in after.targets() {
        if let Some(parent) = after.parent_of(view) {
            assert_eq!(view.owner(), after.targets()[parent].owner(), "{}", view.target);
        }
    }
    assert!(made.skew.after < 1.25, "{:?}", made.skew);
}

#[test]
fn a_channel_that_is_elsewhere_goes_to_its_guild() {
    let mut builder = Snapshot::of(Revision(1), pods(2), 0);
    for id in 0..80 {
        let weight = Weight { events: 5.0, ..Weight::default() };
        builder.add(Entry { target: guild(id), parent: None, owner: Some(u32::from(id >= 40)), weight, rules: None });
    }
    let target: TargetId = "discord:channel:7".parse().expect("valid");
    let (weight, parent) = (Weight::default(), Some(guild(3)));
    builder.add(Entry { target: target.clone(), parent, owner: Some(1), weight, rules: None });
    let made = plan(&builder.finish(), &Policy::default(), 0);
    let [step] = &made.moves[..] else { panic!("{:?}", made.moves) };
    assert_eq!((&step.target, &step.to, step.reason), (&target, &pod(0), Reason::Together));
    assert_eq!(step.rank, Rank::Forced);
}

#[test]
fn a_pinned_and_a_cooling_target_stay_when_others_could_go() {
    let mut before = snapshot(pods(2), (0..40).map(|n| (Some(0), if n < 20 { 20.0 } else { 19.0 })));
    for n in 0..10 {
        let at = before.target(&guild(n)).expect("there");
        let rules = before.rules_mut(at);
        if n % 2 == 0 {
            rules.pin = Some(Pin { pod: pod(0), until_ms: None })
        } else {
            rules.moved = Some(Moved { at_ms: 0, times: 1 })
        }
    }
    let made = plan(&before, &Policy::default(), 10);
    assert!(!made.is_empty());
    for n in 0..10 {
        assert!(made.moves.iter().all(|step| step.target != guild(n)), "{n}");
    }
    // What must move moves all the same.
    before.pod_mut(0).phase = Phase::Draining;
    let made = plan(&before, &Policy::default(), 10);
    assert_eq!(made.moves.len(), 40);
    assert_eq!(made.warnings.iter().filter(|warning| matches!(warning, Warning::PinGivesWay { .. })).count(), 5);
}

#[test]
fn a_pin_that_is_over_holds_nobody() {
    let mut before = snapshot(pods(2), (0..80).map(|n| (Some(n % 2), 1.0)));
    let at = before.target(&guild(0)).expect("there");
    before.rules_mut(at).pin = Some(Pin { pod: pod(1), until_ms: Some(100) });
    assert_eq!(plan(&before, &Policy::default(), 99).moves.len(), 1);
    assert!(plan(&before, &Policy::default(), 100).is_empty());
}

#[test]
fn a_frozen_target_is_an_alert_and_stays() {
    let mut before = snapshot(pods(2), (0..4).map(|_| (Some(0), 1.0)));
    (0..4).for_each(|at| before.rules_mut(at).moved = Some(Moved { at_ms: 0, times: 10 }));
    let made = plan(&before, &Policy::default(), u64::MAX / 2);
    assert!(made.is_empty());
    assert_eq!(made.warnings.iter().filter(|warning| matches!(warning, Warning::Frozen { .. })).count(), 4);
}

#[test]
fn the_bot_of_the_new_pod_knows_the_tables_of_the_old() {
    let mut fleet = pods(3);
    (fleet[0].schema, fleet[1].schema, fleet[2].schema) = (Some(Some(2)), Some(Some(1)), Some(Some(2)));
    fleet[0].phase = Phase::Draining;
    let before = snapshot(fleet, (0..10).map(|_| (Some(0), 1.0)));
    assert!(plan(&before, &Policy::default(), 0).moves.iter().all(|step| step.to == pod(2)));
    let mut alone = before;
    alone.pod_mut(2).cordoned = true;
    let made = plan(&alone, &Policy::default(), 0);
    assert!(made.is_empty());
    assert!(
        matches!(made.warnings[..], [Warning::NoPod { targets: 10, reason: Reason::Drain, .. }]),
        "{:?}",
        made.warnings
    );
}

#[test]
fn a_hard_zone_is_kept_and_the_highest_ordinal_leaves_first() {
    let mut fleet = pods(5);
    for (n, view) in fleet.iter_mut().enumerate() {
        view.zone = Some(["a", "b"][n % 2].to_owned());
        view.in_range = n < 3;
    }
    let mut before = snapshot(fleet, (0..50).map(|n| (Some(n % 5), 1.0)));
    let at = before.target(&guild(3)).expect("there");
    before.rules_mut(at).zone = Some(ZoneRule { zone: "b".to_owned(), hard: true });
    let made = plan(&before, &Policy::default(), 0);
    let step = made.moves.iter().find(|step| step.target == guild(3)).expect("it leaves");
    assert_eq!(step.to, pod(1));
    let froms: Vec<_> = made.moves.iter().filter_map(|step| step.from.as_ref()?.ordinal()).collect();
    assert!(froms.is_sorted_by(|a, b| a >= b) && froms.len() == 20, "{froms:?}");
}

#[test]
fn a_heavy_target_stays_and_light_ones_go() {
    let heavy = (Some(0), 100.0);
    let light = (0..40).map(|n| (Some(if n < 20 { 0 } else { 1 }), 4.0));
    let made = plan(&snapshot(pods(2), [heavy].into_iter().chain(light)), &Policy::default(), 0);
    assert!(!made.is_empty() && made.moves.iter().all(|step| step.target != guild(0)));
}

#[test]
fn few_targets_are_spread_as_well_as_they_can_be() {
    let owners = [0, 0, 0, 1, 2];
    let made = plan(&snapshot(pods(3), owners.map(|owner| (Some(owner), 10.0))), &Policy::default(), 0);
    assert_eq!(made.moves.len(), 1, "{:?}", made.moves);
    let best = snapshot(pods(3), [0, 0, 1, 1, 2].map(|owner| (Some(owner), 10.0)));
    assert!(plan(&best, &Policy::default(), 0).is_empty());
}

#[test]
fn neither_bytes_nor_sockets_nor_number_can_hide_an_overload() {
    let pile = |weight: Weight| {
        let mut builder = Snapshot::of(Revision(1), pods(2), 0);
        for id in 0..100 {
            builder.add(Entry {
                target: guild(id),
                parent: None,
                owner: Some(u32::from(id >= 80)),
                weight,
                rules: None,
            });
        }
        plan(&builder.finish(), &Policy::default(), 0)
    };
    let light = Weight { events: 1.0, bytes: 1e6, sockets: 0.0 };
    for weight in [Weight::default(), Weight { bytes: 4e7, ..light }, Weight { sockets: 40.0, ..light }, light] {
        let made = pile(weight);
        assert!((25..=35).contains(&made.moves.len()), "{weight:?}: {}", made.moves.len());
        assert!(made.skew.before > 1.5 && made.skew.after <= 1.05, "{:?}", made.skew);
    }
}

#[test]
fn a_plan_is_stale_when_what_it_names_has_changed_and_only_then() {
    let before = snapshot(pods(4), (0..60).map(|n| (Some(n % 2), 10.0)));
    let policy = Policy::default();
    let made = plan(&before, &policy, 0);
    let stale = |change: &dyn Fn(&mut Snapshot)| {
        let mut now = before.clone();
        change(&mut now);
        is_stale(&made, &now, &policy, |_| false)
    };
    let named = before.target(&made.moves[0].target).expect("there");
    let unnamed = |at: &usize| made.moves.iter().all(|step| step.target != before.targets()[*at].target);
    let other = (0..60).find(unnamed).expect("most stay");
    assert_eq!(stale(&|now| now.give(other, 3, &policy, 0)), []);
    assert_eq!(stale(&|now| now.weigh(named, Weight { events: 11.0, ..Weight::default() })), []);
    let target = || Stale::Target { target: made.moves[0].target.clone() };
    assert_eq!(
        stale(&|now| now.give(named, 1 - now.targets()[named].owner().unwrap_or(0).min(1), &policy, 0)),
        [target()]
    );
    assert_eq!(stale(&|now| now.rules_mut(named).pin = Some(Pin { pod: pod(0), until_ms: None })), [target()]);
    assert_eq!(stale(&|now| now.pod_mut(3).cordoned = true), [Stale::Pod { pod: pod(3) }]);
    let wider = Policy { band: 0.2, ..policy };
    assert_eq!(is_stale(&made, &before, &wider, |_| false), [Stale::Policy]);
    let mut now = before.clone();
    now.give(named, 3, &policy, 0);
    assert_eq!(is_stale(&made, &now, &policy, |at| at == 0), [], "what was begun is not looked at");
    let new = plan(&now, &policy, 0);
    let difference = difference(&made, &new);
    assert!(!difference.is_empty() && difference.removed.iter().any(|step| step.target == made.moves[0].target));
}
