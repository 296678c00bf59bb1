use super::*;

const LIFE: &str = "00000000-0000-4000-8000-000000000001";

fn rules() -> Rules {
    Rules { slots: 49, term: Duration::from_secs(60), invalid: 5_000 }
}

fn second(n: u64) -> Mono {
    Mono::ZERO.after(Duration::from_secs(n))
}

/// A pod that keeps its word: it uses what it was told, and what is left of that when nobody answers.
struct Pod {
    name: PodId,
    life: Incarnation,
    version: u64,
    slots: u32,
    floor: u32,
    until: Mono,
}

impl Pod {
    fn new(n: u32) -> Self {
        let (name, life) = (format!("gateway-{n}").parse().expect("a name"), LIFE.parse().expect("a life"));
        Self { name, life, version: 0, slots: 0, floor: 0, until: Mono::ZERO }
    }

    fn ask(&self, wants: u32) -> RestAsk {
        RestAsk {
            pod: self.name.clone(),
            incarnation: self.life.clone(),
            bot: "1".to_owned(),
            version: self.version,
            slots: self.slots,
            floor: self.floor,
            wants,
            paused_ms: 0,
            invalid: 0,
            braked: false,
            refused: false,
        }
    }

    fn hear(&mut self, slice: &RestSlice, asked: Mono) {
        (self.version, self.slots, self.floor) = (slice.version, slice.slots, slice.floor);
        self.until = asked.after(Duration::from_millis(slice.term_ms));
    }

    /// Asks and hears.
    fn round(&mut self, shares: &mut Shares, wants: u32, now: Mono) -> u32 {
        shares.expire(|_, _| true, now);
        let (slice, _) = shares.give(self.ask(wants), &rules(), now);
        self.hear(&slice, now);
        self.slots
    }

    fn may_use(&self, now: Mono) -> u32 {
        if now < self.until { self.slots } else { self.floor }
    }
}

#[test]
fn a_pod_alone_gets_what_it_wants_and_two_that_want_all_share() {
    let (mut shares, mut a, mut b) = (Shares::default(), Pod::new(0), Pod::new(1));
    assert_eq!(a.round(&mut shares, 49, second(0)), 49);
    assert_eq!(b.round(&mut shares, 49, second(0)), 0, "nothing is free yet");
    assert_eq!(a.round(&mut shares, 49, second(1)), 24, "it is told to use less");
    assert_eq!(b.round(&mut shares, 49, second(1)), 0, "it may be using it still");
    a.round(&mut shares, 49, second(2));
    assert_eq!(b.round(&mut shares, 49, second(2)), 25);
    assert_eq!((a.floor, b.floor), (12, 12));
}

#[test]
fn a_pod_that_wants_little_leaves_the_rest_to_who_wants_more_but_keeps_its_floor() {
    let (mut shares, mut a, mut b) = (Shares::default(), Pod::new(0), Pod::new(1));
    for now in 0..4 {
        a.round(&mut shares, 2, second(now));
        b.round(&mut shares, 49, second(now));
    }
    assert_eq!((a.slots, b.slots), (12, 37));
}

#[test]
fn what_was_lent_is_free_after_its_term_what_is_kept_only_when_its_life_is_over() {
    let (mut shares, mut a, mut b) = (Shares::default(), Pod::new(0), Pod::new(1));
    b.round(&mut shares, 0, second(0));
    for now in 0..3 {
        a.round(&mut shares, 25, second(now));
    }
    assert_eq!(a.slots, 25);
    assert_eq!(b.round(&mut shares, 49, second(61)), 24);
    assert_eq!(b.round(&mut shares, 49, second(62)), 49 - a.floor, "its term is over");
    assert_eq!(a.may_use(second(62)), a.floor);
    shares.expire(|pod, _| *pod == b.name, second(130));
    let (slice, _) = shares.give(b.ask(49), &rules(), second(130));
    assert_eq!(slice.slots, 49);
}

#[test]
fn a_late_request_gives_nothing_back_and_a_process_that_began_anew_begins_with_nothing() {
    let (mut shares, mut a, mut b) = (Shares::default(), Pod::new(0), Pod::new(1));
    let old = a.ask(49);
    a.round(&mut shares, 49, second(0));
    shares.give(old, &rules(), second(1));
    assert_eq!(b.round(&mut shares, 49, second(1)), 0, "the first pod still has all of it");
    // It starts anew, knows of nothing, and the word it gives then counts once it has heard the next.
    a = Pod::new(0);
    a.round(&mut shares, 5, second(2));
    a.round(&mut shares, 5, second(3));
    assert_eq!(a.slots, 12, "no less than its floor");
    b.round(&mut shares, 49, second(3));
    assert_eq!(b.slots, 37);
}

#[test]
fn nothing_is_written_while_nothing_changes_and_a_new_leader_goes_on_with_what_was_written() {
    let (mut shares, mut a, b) = (Shares::default(), Pod::new(0), Pod::new(1));
    let (slice, unwritten) = shares.give(a.ask(20), &rules(), second(0));
    assert!(unwritten);
    a.hear(&slice, second(0));
    for now in 1..5 {
        let (slice, unwritten) = shares.give(a.ask(24), &rules(), second(now));
        assert_eq!((slice.version, slice.slots, unwritten), (1, 24, false), "{now}");
        a.hear(&slice, second(now));
    }
    let mut next = Shares::restore(shares.record(), &rules(), second(0));
    next.expire(|_, _| true, second(119));
    assert_eq!(next.give(b.ask(49), &rules(), second(119)).0.slots, 25);
    next.expire(|_, _| true, second(120));
    assert_eq!(next.give(b.ask(49), &rules(), second(120)).0.slots, 25.max(49 - a.floor));
}

#[test]
fn a_pause_that_one_was_told_all_are_told() {
    let (mut shares, a, b) = (Shares::default(), Pod::new(0), Pod::new(1));
    shares.give(RestAsk { paused_ms: 3_000, ..a.ask(1) }, &rules(), second(0));
    assert_eq!(shares.give(b.ask(1), &rules(), second(1)).0.paused_ms, 2_000);
    assert_eq!(shares.give(b.ask(1), &rules(), second(3)).0.paused_ms, 0);
}

#[test]
fn invalid_requests_are_shared_out_evenly() {
    let (mut shares, a, b) = (Shares::default(), Pod::new(0), Pod::new(1));
    assert_eq!(shares.give(a.ask(1), &rules(), second(0)).0.invalid, 5_000);
    assert_eq!(shares.give(b.ask(1), &rules(), second(0)).0.invalid, 2_500);
}

/// Pods that ask and hear or do not, late and twice, under leaders that change: at no time may they use more than there is.
#[test]
fn whatever_is_lost_late_or_told_twice_no_more_is_used_than_there_is() {
    for seed in 0..400_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut any = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        let mut shares = Shares::default();
        let mut pods: Vec<_> = (0..1 + any(6) as u32).map(Pod::new).collect();
        let mut late: Vec<RestAsk> = Vec::new();
        let mut now = Mono::ZERO;
        for step in 0..300 {
            now = now.after(Duration::from_millis(any(4_000)));
            shares.expire(|_, _| true, now);
            let at = any(pods.len() as u64) as usize;
            let pod = &mut pods[at];
            match any(20) {
                0 => *pod = Pod::new(at as u32),
                1 => shares = Shares::restore(shares.record(), &rules(), now),
                2 if !late.is_empty() => drop(shares.give(late.swap_remove(0), &rules(), now)),
                _ => {
                    // What it says that it keeps it keeps to from then on.
                    if any(3) == 0 {
                        pod.slots = any(u64::from(pod.slots) + 1) as u32;
                        pod.floor = pod.floor.min(pod.slots);
                    }
                    let ask = pod.ask(any(60) as u32);
                    if any(4) == 0 {
                        late.push(ask.clone());
                    }
                    if any(5) > 0 {
                        let (slice, _) = shares.give(ask, &rules(), now);
                        if any(5) > 0 {
                            pod.hear(&slice, now);
                        }
                    }
                }
            }
            let used: u32 = pods.iter().map(|pod| pod.may_use(now)).sum();
            assert!(used <= 49, "seed {seed}, step {step}: {used}");
        }
    }
}
