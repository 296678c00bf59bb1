use super::*;

fn life(n: u64) -> Life {
    Life {
        pod: format!("gateway-{n}").parse().expect("valid"),
        incarnation: format!("0190163d-8694-739b-aea5-966c26f8ad{n:02x}").parse().expect("valid"),
    }
}

fn at(seconds: u64) -> Mono {
    Mono::ZERO.after(Duration::from_secs(100 + seconds))
}

fn wanted(of: &[(u64, &[u64])]) -> BTreeMap<Life, Wanted> {
    let target = |n: &u64| format!("discord:guild:{n}").parse().expect("valid");
    let wanted = |(n, targets): &(u64, &[u64])| {
        (life(*n), Wanted { targets: targets.iter().map(target).collect(), epoch: Epoch(7) })
    };
    of.iter().map(wanted).collect()
}

#[test]
fn a_replica_is_restored_once_for_all_its_targets_and_so_many_at_once() {
    let mut plan = Plan::new(1);
    assert!(plan.hear(at(0), wanted(&[(1, &[1, 2]), (2, &[3])])).is_empty());
    let (first, work) = plan.next(at(0)).expect("there is work");
    assert_eq!((&first, work.wanted.targets.len(), work.given_up), (&life(1), 2, None));
    assert_eq!(plan.next(at(0)), None, "one at a time");
    plan.ended(at(1), &first, Ended::Done);
    assert_eq!(plan.next(at(1)).expect("the other").0, life(2));
}

#[test]
fn what_was_answered_is_forgotten_and_what_is_wanted_still_is_done_again() {
    let mut plan = Plan::new(2);
    plan.hear(at(0), wanted(&[(1, &[1])]));
    plan.next(at(0)).expect("work");
    plan.ended(at(1), &life(1), Ended::Done);
    assert_eq!(plan.next(at(1)), None, "the answer may be on its way");
    plan.hear(at(1), wanted(&[(1, &[1, 2])]));
    assert_eq!(plan.next(at(1)).expect("another target came").1.wanted.targets.len(), 2);
    assert!(plan.hear(at(2), wanted(&[])).is_empty(), "it runs");
    plan.ended(at(2), &life(1), Ended::Done);
    assert_eq!(plan.hear(at(2), wanted(&[])), [life(1)]);
    assert_eq!(plan.wake_at(), None);
}

#[test]
fn what_is_away_is_tried_for_ever_and_what_cannot_be_read_three_times() {
    let mut plan = Plan::new(1);
    plan.hear(at(0), wanted(&[(1, &[1])]));
    let mut now = at(0);
    for _ in 0..20 {
        plan.next(now).expect("work");
        plan.ended(now, &life(1), Ended::Again("the store is away".into()));
        assert_eq!(plan.next(now), None);
        let wake = plan.wake_at().expect("it is tried again");
        assert!(wake.since(now) <= LONGEST);
        now = wake;
    }
    for left in [2, 1, 0] {
        let (_, work) = plan.next(now).expect("work");
        assert_eq!(work.given_up, None);
        plan.ended(now, &life(1), Ended::Unread("a file is damaged".into()));
        now = plan.wake_at().expect("it is tried again, or reported");
        assert_eq!(plan.next(now).is_some_and(|(_, work)| work.given_up.is_some()), left == 0);
        plan.lives.get_mut(&life(1)).expect("known").running = false;
    }
    assert!(plan.hear(now, wanted(&[])).contains(&life(1)));
    plan.hear(now, wanted(&[(1, &[1])]));
    assert_eq!(plan.next(now).expect("somebody asked for it again").1.given_up, None);
}

#[test]
fn copies_from_before_are_asked_about_though_nobody_wants_them() {
    let mut plan = Plan::new(1);
    plan.left_over(life(3));
    assert!(plan.hear(at(0), wanted(&[])).is_empty());
    let (life, work) = plan.next(at(0)).expect("work");
    assert!(work.wanted.targets.is_empty());
    plan.ended(at(0), &life, Ended::Done);
    assert_eq!(plan.hear(at(0), wanted(&[])), [life]);
}
