mod clones;
mod failover;

use super::*;
use crate::Revision;
use crate::protocol::silence::Turn;
use crate::wire::control::{Chain, Load};
use crate::wire::peers::Fence;
use std::collections::BTreeSet;

fn name(number: usize) -> PodId {
    format!("gateway-{number}").parse().expect("valid")
}

fn incarnation(number: usize) -> Incarnation {
    format!("0190163d-8694-739b-aea5-{number:012x}").parse().expect("valid")
}

fn at(ms: u64) -> Mono {
    Mono::from_nanos((100_000 + ms) * 1_000_000)
}

fn set(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<PodId> {
    numbers.into_iter().map(name).collect()
}

fn known(number: usize) -> Known {
    let (pod, incarnation) = (name(number), incarnation(number));
    Known { pod, lease_id: LeaseId(1), incarnation, buried: false, acknowledged: 3, fenced: None }
}

/// A shell around a leader: commits at once, checks at once, and notes what is left to do.
struct World {
    leader: Leader,
    now: u64,
    nonce: u64,
    store: bool,
    done: Vec<Output>,
}

impl World {
    /// A leader that took over at 0 with pods 0 to `pods` − 1, all of them in version 3 of the config.
    fn of(pods: usize) -> Self {
        let members = Members { version: 3, now: set(0..pods), before: BTreeSet::new() };
        Self::with((0..pods).map(known).collect(), members)
    }

    fn with(known: Vec<Known>, members: Members) -> Self {
        let leader = Leader::new(Term(7), LeaseTerms::default(), at(0), known, members);
        Self { leader, now: 0, nonce: 0, store: true, done: vec![] }
    }

    fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for output in self.leader.handle(at(self.now), input) {
                match &output {
                    Output::Check => inputs.push(Input::Checked { began: at(self.now), ok: self.store }),
                    Output::Write(intent) if self.store => inputs.push(Input::Written(intent.clone())),
                    Output::Write(intent) => inputs.push(Input::NotWritten(intent.clone())),
                    _ => {}
                }
                self.done.push(output);
            }
        }
    }

    fn heartbeat(&mut self, number: usize, lease: u64) -> Heartbeat {
        self.nonce += 1;
        Heartbeat {
            incarnation: incarnation(number),
            lease_id: LeaseId(lease),
            nonce: self.nonce,
            load: Load::default(),
            revision: Revision(0),
            leaving: false,
            goodbye: None,
            not_ready: None,
            witnesses: self.leader.members().version,
            degraded: false,
            weights: Vec::new(),
            served: None,
            measured: Default::default(),
            chain: Chain { id: 100 + number as u64, seq: self.nonce },
            term: Term(0),
        }
    }

    /// Sends a heartbeat of lease 1; `None` when it was granted.
    fn beat(&mut self, number: usize) -> Option<Why> {
        let heartbeat = self.heartbeat(number, 1);
        self.send(number, heartbeat)
    }

    fn send(&mut self, number: usize, heartbeat: Heartbeat) -> Option<Why> {
        let nonce = heartbeat.nonce;
        self.input(Input::Beat { pod: name(number), heartbeat });
        self.done.iter().find_map(|output| match output {
            Output::Refuse { nonce: refused, why, .. } if *refused == nonce => Some(*why),
            _ => None,
        })
    }

    fn granted(&self, heartbeat: &Heartbeat) -> bool {
        self.done.iter().any(|output| matches!(output, Output::Grant { nonce, .. } if *nonce == heartbeat.nonce))
    }

    fn register(&mut self, number: usize, incarnation: Incarnation, lease: u64) {
        self.input(Input::Registered { pod: name(number), incarnation, lease_id: LeaseId(lease) });
    }

    /// Lets time pass in steps of 100 ms while these pods send their heartbeats and, as witnesses, answer.
    fn run(&mut self, until: u64, alive: &[usize]) {
        while self.now < until {
            self.now += 100;
            self.input(Input::Tick);
            let due = if self.now.is_multiple_of(1_000) { alive } else { &[] };
            for number in due {
                self.beat(*number);
            }
            for (to, fence) in self.asked() {
                if alive.iter().any(|number| name(*number) == to) {
                    self.input(Input::Fenced(answer(to, &fence, 0)));
                }
            }
        }
    }

    /// Takes out what was to be sent to witnesses.
    fn asked(&mut self) -> Vec<(PodId, Fence)> {
        let (fences, rest) =
            std::mem::take(&mut self.done).into_iter().partition(|output| matches!(output, Output::Fence { .. }));
        self.done = rest;
        let fence = |output| match output {
            Output::Fence { to, fence } => (to, fence),
            other => unreachable!("{other:?}"),
        };
        Vec::into_iter(fences).map(fence).collect()
    }

    fn wrote(&self, matches: impl Fn(&Intent) -> bool) -> usize {
        self.done.iter().filter(|output| matches!(output, Output::Write(intent) if matches(intent))).count()
    }

    fn buried(&self) -> Vec<PodId> {
        let bury = |output: &Output| match output {
            Output::Write(Intent::Bury { pod, .. }) => Some(pod.clone()),
            _ => None,
        };
        self.done.iter().filter_map(bury).collect()
    }
}

fn answer(by: PodId, fence: &Fence, remaining_ms: u64) -> Fenced {
    let Fence { pod, lease_id, term, round } = fence.clone();
    let lives = vec![incarnation(by.ordinal().expect("numbered") as usize)];
    Fenced { by, pod, lease_id, term, round, remaining_ms, lives }
}

#[test]
fn a_heartbeat_is_granted_only_on_a_check_that_began_after_it_had_arrived() {
    let mut world = World::of(2);
    let (first, second) = (world.heartbeat(0, 1), world.heartbeat(1, 1));
    let beat = |number, heartbeat: &Heartbeat| Input::Beat { pod: name(number), heartbeat: heartbeat.clone() };
    assert_eq!(world.leader.handle(at(10), beat(0, &first)).pop(), Some(Output::Check));
    // The second arrives while the check is under way: it waits for the next, which is 100 ms after the first.
    assert_eq!(world.leader.handle(at(10), beat(1, &second)), []);
    let grant =
        |number, heartbeat: &Heartbeat| Output::Grant { pod: name(number), nonce: heartbeat.nonce, witnesses: 3 };
    let checked = |ms| Input::Checked { began: at(ms), ok: true };
    assert_eq!(world.leader.handle(at(50), checked(10)), [grant(0, &first)]);
    assert_eq!(world.leader.wake_at(), Some(at(110)));
    assert_eq!(world.leader.handle(at(110), Input::Tick), [Output::Check]);
    assert_eq!(world.leader.handle(at(120), checked(110)), [grant(1, &second)]);
    // A check that the shell made for its own ends is good for what had arrived before it.
    let third = world.heartbeat(0, 1);
    assert_eq!(world.leader.handle(at(130), beat(0, &third)), []);
    assert_eq!(world.leader.handle(at(140), checked(130)), []);
    assert_eq!(world.leader.handle(at(140), checked(131)), [grant(0, &third)]);
}

#[test]
fn nobody_is_granted_anything_when_the_term_cannot_be_checked() {
    let mut world = World::of(2);
    world.store = false;
    assert_eq!(world.beat(0), Some(Why::Unchecked));
    world.input(Input::Left);
    assert_eq!(world.beat(0), Some(Why::NotLeader));
    assert_eq!(world.leader.wake_at(), None);
}

#[test]
fn a_heartbeat_that_is_not_the_pods_newest_is_refused() {
    let mut world = World::of(3);
    assert_eq!(world.beat(0), None);
    assert_eq!(world.beat(9), Some(Why::Unknown));
    let mut other = world.heartbeat(0, 1);
    other.incarnation = incarnation(9);
    assert_eq!(world.send(0, other), Some(Why::WrongIncarnation));
    world.register(0, incarnation(0), 2);
    assert_eq!(world.beat(0), Some(Why::Superseded));
    let mut newest = world.heartbeat(0, 2);
    newest.witnesses = 99;
    assert_eq!(world.send(0, newest), Some(Why::Ahead));
    let newest = world.heartbeat(0, 2);
    assert_eq!(world.send(0, newest), None);
}

#[test]
fn the_first_pod_is_granted_only_when_it_is_in_a_config() {
    let mut world = World::with(vec![], Members::default());
    world.register(0, incarnation(0), 1);
    assert_eq!(world.wrote(|intent| matches!(intent, Intent::Members(members) if members.version == 1)), 1);
    let mut world = World::with(vec![], Members::default());
    world.store = false;
    world.register(0, incarnation(0), 1);
    let heartbeat = world.heartbeat(0, 1);
    assert_eq!(world.send(0, heartbeat.clone()), None);
    assert!(!world.granted(&heartbeat), "it waits");
    world.store = true;
    world.run(200, &[]);
    assert!(world.granted(&heartbeat));
}

#[test]
fn the_config_takes_its_next_step_when_every_live_pod_has_the_last_one() {
    let mut world = World::of(2);
    world.run(1_000, &[0, 1]);
    world.register(2, incarnation(2), 1);
    assert_eq!(world.leader.members().version, 4);
    assert_eq!(world.leader.members().before, set(0..2));
    world.register(3, incarnation(3), 1);
    assert_eq!(world.leader.members().version, 4);
    // Heartbeats say what is on disk. Two of four do, then three: not yet.
    world.run(2_000, &[0, 1, 2]);
    assert_eq!(world.leader.members().version, 4);
    // The last one; a pod that came meanwhile holds nothing yet, and is given the newest.
    let heartbeat = Heartbeat { witnesses: 0, ..world.heartbeat(3, 1) };
    world.send(3, heartbeat);
    world.run(3_000, &[0, 1, 2, 3]);
    assert_eq!(world.leader.members().version, 5);
    world.run(5_000, &[0, 1, 2, 3]);
    let settled = Members { version: 5, now: set(0..4), before: BTreeSet::new() };
    assert_eq!(*world.leader.members(), settled);
}

#[test]
fn a_thousand_pods_are_granted_by_one_check() {
    let mut world = World::of(1_000);
    for round in 1..4 {
        world.now = round * 1_000;
        let beats: Vec<_> = (0..1_000).map(|number| (number, world.heartbeat(number, 1))).collect();
        let mut outputs = vec![];
        for (number, heartbeat) in beats {
            outputs.extend(world.leader.handle(at(world.now), Input::Beat { pod: name(number), heartbeat }));
        }
        let checks = outputs.iter().filter(|output| **output == Output::Check).count();
        assert_eq!(checks, 1);
        let mut granted = world.leader.handle(at(world.now + 5), Input::Checked { began: at(world.now), ok: true });
        granted.extend(world.leader.handle(at(world.now + 100), Input::Tick));
        granted
            .extend(world.leader.handle(at(world.now + 105), Input::Checked { began: at(world.now + 100), ok: true }));
        assert_eq!(granted.iter().filter(|output| matches!(output, Output::Grant { .. })).count(), 1_000);
    }
}

#[test]
fn a_leader_that_is_told_of_a_later_one_grants_nothing_more_not_even_what_waits() {
    let mut world = World::of(3);
    world.store = true;
    let heartbeat = Heartbeat { term: Term(7), ..world.heartbeat(0, 1) };
    assert_eq!(world.send(0, heartbeat), None, "its own term");
    world.now += 50;
    let waits = world.heartbeat(1, 1);
    world.input(Input::Beat { pod: name(1), heartbeat: waits.clone() });
    let told = Heartbeat { term: Term(8), ..world.heartbeat(0, 1) };
    assert_eq!(world.send(0, told), Some(Why::NotLeader));
    world.now += 100;
    world.input(Input::Checked { began: at(world.now), ok: true });
    assert!(!world.granted(&waits), "the one that waited for a check is refused too");
    assert_eq!(world.beat(2), Some(Why::NotLeader));
}
