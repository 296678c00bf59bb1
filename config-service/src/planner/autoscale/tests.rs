use super::*;
use proptest::prelude::*;

fn pod(n: usize) -> PodId {
    format!("gateway-{n}").parse().expect("valid")
}

fn used(cpu: f64, memory: f64, events: f64, sockets: f64) -> Use {
    Use { cpu: Some(cpu), memory: Some(memory), events, sockets }
}

fn acting(uses: &[Use]) -> Inputs {
    let pods = uses.iter().enumerate().map(|(n, used)| PodUse { pod: pod(n), used: Ok(*used), unready: None });
    Inputs {
        mode: Mode::Act,
        replicas: Ok(uses.len() as u32),
        pods: pods.collect(),
        held: Vec::new(),
        since_scaled_ms: None,
    }
}

fn codes(decision: &Decision) -> Vec<&'static str> {
    decision.why_not.iter().map(Hold::code).collect()
}

#[test]
fn any_dimension_at_eighty_percent_of_its_goal_asks_for_one_pod_more() {
    let table = [
        (used(0.56, 0.1, 0.0, 0.0), 4, "cpu"),
        (used(0.55, 0.1, 0.0, 0.0), 3, "cpu"),
        (used(0.1, 0.64, 0.0, 0.0), 4, "memory"),
        (used(0.1, 0.1, 800.0, 0.0), 4, "events"),
        (used(0.1, 0.1, 799.0, 0.0), 3, "events"),
        (used(0.1, 0.1, 0.0, 4_000.0), 4, "sockets"),
    ];
    for (load, wanted, word) in table {
        let decision = decide(&acting(&[load; 3]), &Rules::default());
        assert_eq!(decision.desired, Some(wanted), "{load:?}: {}", decision.why);
        assert!(decision.why.contains(word), "{}", decision.why);
        assert_eq!(decision.step(), (wanted != 3).then_some(4));
    }
}

#[test]
fn one_pod_leaves_only_when_every_dimension_is_at_thirty_percent() {
    let low = used(0.2, 0.2, 250.0, 1_000.0);
    assert_eq!(decide(&acting(&[low; 3]), &Rules::default()).step(), Some(2));
    let one_higher = used(0.2, 0.2, 301.0, 1_000.0);
    assert_eq!(decide(&acting(&[one_higher; 3]), &Rules::default()).step(), None);
}

#[test]
fn a_pod_stays_when_what_it_carries_would_be_too_much_for_another() {
    let hot = used(0.5, 0.1, 0.0, 0.0);
    let idle = used(0.02, 0.1, 0.0, 0.0);
    let rules = Rules { up: 0.8, ..Rules::default() };
    let last = used(0.09, 0.1, 0.0, 0.0);
    // The mean is low, and the first pod would have 0.5/0.7 + 0.09/0.7/3 of its goal: still below 80 %.
    let free = decide(&acting(&[hot, idle, idle, last]), &rules);
    assert_eq!(free.step(), Some(3), "{:?}", free.why_not);
    let last = used(0.2, 0.1, 0.0, 0.0);
    let tight = decide(&acting(&[hot, idle, idle, last]), &rules);
    assert_eq!((tight.step(), codes(&tight)), (None, vec!["too-tight"]), "{tight:?}");
    assert_eq!(tight.desired, Some(4));
}

#[test]
fn bounds_are_kept_and_reached_one_step_at_a_time() {
    let rules = Rules { min: 3, max: 5, ..Rules::default() };
    let (full, idle) = (used(0.7, 0.1, 0.0, 0.0), used(0.0, 0.0, 0.0, 0.0));
    let at_max = decide(&acting(&[full; 5]), &rules);
    assert_eq!((at_max.step(), codes(&at_max)), (None, vec!["at-max"]));
    let at_min = decide(&acting(&[idle; 3]), &rules);
    assert_eq!((at_min.step(), codes(&at_min)), (None, vec!["at-min"]));
    assert_eq!(decide(&acting(&[idle; 1]), &rules).step(), Some(2), "towards the least");
    assert_eq!(decide(&acting(&[full; 8]), &rules).step(), Some(7), "towards the most");
    let none = decide(&acting(&[idle; 1]), &Rules { min: 0, ..rules });
    assert_eq!((none.step(), codes(&none)), (None, vec!["at-min"]), "never the last pod");
}

#[test]
fn after_a_step_it_waits_out_the_cooldown_and_says_for_how_long() {
    let full = used(0.7, 0.1, 0.0, 0.0);
    let soon = Inputs { since_scaled_ms: Some(299_001), ..acting(&[full; 2]) };
    let held = decide(&soon, &Rules::default());
    assert_eq!((held.step(), held.desired, codes(&held)), (None, Some(3), vec!["cooldown"]));
    assert!(held.why_not[0].sentence().contains("in 1 s"), "{}", held.why_not[0].sentence());
    let late = Inputs { since_scaled_ms: Some(300_000), ..soon };
    assert_eq!(decide(&late, &Rules::default()).step(), Some(3));
}

#[test]
fn each_mode_does_what_it_says() {
    let full = acting(&[used(0.7, 0.1, 0.0, 0.0); 2]);
    let recommends = decide(&Inputs { mode: Mode::Recommend, ..full.clone() }, &Rules::default());
    assert_eq!((recommends.step(), recommends.desired, codes(&recommends)), (None, Some(3), vec!["recommends"]));
    let off = decide(&Inputs { mode: Mode::Off, ..full }, &Rules::default());
    assert_eq!((off.step(), off.desired, codes(&off)), (None, Some(2), vec!["off"]));
    for mode in Mode::ALL {
        assert_eq!(Mode::of(mode.as_str()), Some(mode));
    }
}

#[test]
fn whatever_goes_on_holds_it_with_a_sentence() {
    let full = acting(&[used(0.7, 0.1, 0.0, 0.0); 2]);
    let holds = [
        Hold::Scaling { to: 4 },
        Hold::Canary,
        Hold::Rollout("1 of 2 pods are new".to_owned()),
        Hold::Drain(pod(1)),
        Hold::ReadOnly("audit".to_owned()),
    ];
    for hold in holds {
        let decision = decide(&Inputs { held: vec![hold.clone()], ..full.clone() }, &Rules::default());
        assert_eq!((decision.step(), decision.desired), (None, Some(3)), "{hold:?}");
        assert!(hold.sentence().len() > 20 && decision.why_not == [hold], "{decision:?}");
    }
}

#[test]
fn without_knowing_what_every_pod_does_nothing_is_wanted() {
    let full = acting(&[used(0.7, 0.1, 0.0, 0.0); 2]);
    for missing in [Missing::Unsaid, Missing::First, Missing::Restarted, Missing::Old] {
        let mut inputs = full.clone();
        inputs.pods[1].used = Err(missing);
        let decision = decide(&inputs, &Rules::default());
        assert_eq!((decision.step(), decision.desired, codes(&decision)), (None, Some(2), vec!["no-data"]));
    }
    let mut inputs = full.clone();
    inputs.pods[0].unready = Some("its lease ran out".to_owned());
    assert_eq!(codes(&decide(&inputs, &Rules::default())), ["unready"]);
    let fewer = Inputs { replicas: Ok(3), ..full.clone() };
    assert_eq!(decide(&fewer, &Rules::default()).step(), None, "a pod that is meant to run is not there yet");
    let lost = Inputs { replicas: Err("the API does not answer".to_owned()), ..full };
    let decision = decide(&lost, &Rules::default());
    assert_eq!((decision.desired, codes(&decision)), (None, vec!["no-home"]));
}

#[test]
fn a_dimension_without_a_limit_asks_for_nothing() {
    let load = Use { cpu: Some(0.6), memory: None, events: 0.0, sockets: 0.0 };
    let decision = decide(&acting(&[load; 2]), &Rules::default());
    assert_eq!((decision.ratios[1], decision.step()), (None, Some(3)));
    let off = Rules { goals: [0.0, 0.8, 1_000.0, 5_000.0], ..Rules::default() };
    assert_eq!(decide(&acting(&[load; 2]), &off).ratios[0], None);
}

proptest! {
    #[test]
    fn one_step_within_the_bounds_and_none_that_overloads_the_rest(
        loads in prop::collection::vec((0.0..1.5_f64, 0.0..1.5_f64, 0.0..2_000.0_f64, 0.0..9_000.0_f64), 1..9),
        min in 1..6_u32,
        more in 0..6_u32,
    ) {
        let rules = Rules { min, max: min + more, ..Rules::default() };
        let uses: Vec<_> = loads.iter().map(|(cpu, memory, events, sockets)| used(*cpu, *memory, *events, *sockets)).collect();
        let (inputs, replicas) = (acting(&uses), uses.len() as u32);
        let decision = decide(&inputs, &rules);
        prop_assert_eq!(decide(&inputs, &rules), decision.clone());
        let Some(to) = decision.step() else { return Ok(()) };
        prop_assert_eq!(to.abs_diff(replicas), 1);
        let (low, high) = (rules.min.min(replicas), rules.max.max(replicas));
        prop_assert!((low..=high).contains(&to), "{replicas} to {to} with {rules:?}");
        if to < replicas && replicas <= rules.max {
            let last = uses.last().expect("one");
            for own in &uses[..uses.len() - 1] {
                let share = f64::from(to);
                prop_assert!(own.cpu.unwrap_or(0.0) + last.cpu.unwrap_or(0.0) / share < 0.7 * rules.up + 1e-9);
                prop_assert!(own.events + last.events / share < 1_000.0 * rules.up + 1e-6);
            }
            // What has just been taken away is not asked for again.
            let total = |of: fn(&Use) -> f64| uses.iter().map(of).sum::<f64>() / f64::from(to);
            prop_assert!(total(|used| used.events) < 1_000.0 * rules.up);
        }
    }
}
