//! A day of a fleet: time goes by in steps of a second; plans are made, carried out within their limits, and made anew when they
//! are stale. Decides nothing about placement: that is the planner's.

use super::{
    Args,
    fleet::{Fleet, pod},
};
use config_service::planner::{Phase, Plan, Policy, Rank, Reason, Snapshot, Traffic, is_stale, lint, next_wave, plan};
use shared::{PodId, backoff::Rng};
use std::{collections::BTreeSet, fmt::Write as _};

/// A step, in milliseconds.
const STEP: u64 = 1_000;
/// How long a crashed pod is away, and how long a replaced one takes to be ready.
const AWAY: u64 = 600_000;
const START: u64 = 30_000;
/// Bytes that a move copies in a second before its target pauses.
const COPIED: f64 = 20e6;

/// A day, and what came of it.
#[derive(Debug)]
pub(super) struct Day {
    args: Args,
    policy: Policy,
    fleet: Fleet,
    now: Snapshot,
    now_ms: u64,
    plan: Option<Plan>,
    begun: BTreeSet<usize>,
    flights: Vec<Flight>,
    /// When pods crash, and which.
    crashes: Vec<(u64, usize)>,
    /// Pods that come back, and when.
    back: Vec<(u64, usize)>,
    /// The pod that is being replaced, and those that are still to be.
    rolling: Vec<usize>,
    told: Told,
}

#[derive(Debug)]
struct Flight {
    from: Option<PodId>,
    to: PodId,
    /// Its target's place.
    at: usize,
    ends_ms: u64,
}

/// What came of it.
#[derive(Debug, Default)]
struct Told {
    plans: u64,
    stale: u64,
    moves: [u64; 4],
    moved: f64,
    bound: f64,
    polished: f64,
    pauses: Vec<f64>,
    skews: Vec<f64>,
    faults: u64,
    frozen: u64,
}

impl Day {
    /// Begins.
    pub(super) fn new(args: &Args) -> Self {
        let mut rng = Rng::seeded(args.seed);
        let (first, pods) = (args.pods as usize, (args.pods + args.more) as usize);
        let fleet = Fleet::drawn(args.targets as usize, first, &mut rng);
        let length = millis(args.time);
        let mut crashes: Vec<_> =
            (0..args.crashes).map(|_| (rng.next_u64() % length.max(1), rng.next_u64() as usize % first)).collect();
        crashes.sort_unstable();
        let now = fleet.snapshot(pods, first);
        Self {
            args: args.clone(),
            policy: Policy::default(),
            fleet,
            now,
            now_ms: 0,
            plan: None,
            begun: BTreeSet::new(),
            flights: Vec::new(),
            crashes,
            back: Vec::new(),
            rolling: Vec::new(),
            told: Told::default(),
        }
    }

    /// Lives through it; returns what came of it, as text.
    pub(super) fn live(mut self) -> String {
        let (length, interval) = (millis(self.args.time), millis(self.args.interval).max(STEP));
        while self.now_ms < length {
            self.happen(length);
            if self.now_ms.is_multiple_of(interval) {
                self.weigh(interval);
                self.think();
            }
            self.land();
            self.carry_out();
            self.now_ms += STEP;
        }
        self.report()
    }

    /// What the outside does.
    fn happen(&mut self, length: u64) {
        let now = self.now_ms;
        if now == length / 3 / STEP * STEP {
            (self.args.pods..self.args.pods + self.args.more).for_each(|n| self.turn(n as usize, Phase::Ready));
        }
        let rolling = millis(self.args.rolling) / STEP * STEP;
        if rolling > 0 && now == rolling {
            self.rolling = (0..(self.args.pods + self.args.more) as usize).collect();
        }
        while self.crashes.first().is_some_and(|(at, _)| *at <= now) {
            let (_, n) = self.crashes.remove(0);
            self.turn(n, Phase::Dead);
            self.back.push((now + AWAY, n));
        }
        let back: Vec<_> = self.back.extract_if(.., |(at, _)| *at <= now).collect();
        back.into_iter().for_each(|(_, n)| self.turn(n, Phase::Ready));
        self.roll();
    }

    /// Replaces pods one by one, the highest ordinal first: drained, then away for a moment.
    fn roll(&mut self) {
        let Some(n) = self.rolling.last().copied() else { return };
        let Some(at) = self.now.pod(&pod(n)) else { return };
        match self.now.pods()[at].phase {
            Phase::Ready if self.back.is_empty() => self.turn(n, Phase::Draining),
            Phase::Draining if self.now.targets().iter().all(|view| view.owner() != Some(at)) => {
                self.turn(n, Phase::Joining);
                self.back.push((self.now_ms + START, n));
                self.rolling.pop();
            }
            _ => (),
        }
    }

    fn turn(&mut self, n: usize, phase: Phase) {
        if let Some(at) = self.now.pod(&pod(n)) {
            self.now.pod_mut(at).phase = phase;
        }
    }

    /// What targets weigh, as gateways report it and the planner smooths it.
    fn weigh(&mut self, elapsed: u64) {
        for at in 0..self.now.targets().len() {
            let sample = self.fleet.weight(at, self.now_ms);
            let before = self.now.targets()[at].weight;
            self.now.weigh(at, before.smoothed(sample, elapsed, self.policy.half_life_ms));
        }
    }

    /// Plans, unless the last plan is still good and under way.
    fn think(&mut self) {
        if let Some(last) = &self.plan {
            let going = self.begun.len() < last.moves.len();
            let stale = !is_stale(last, &self.now, &self.policy, |at| self.begun.contains(&at)).is_empty();
            if going && !stale {
                return;
            }
            self.told.stale += u64::from(going && stale);
        }
        let made = plan(&self.now, &self.policy, self.now_ms);
        self.told.skews.push(made.skew.after);
        self.begun.clear();
        if made.is_empty() {
            self.plan = None;
            return;
        }
        let told = &mut self.told;
        told.plans += 1;
        told.faults += lint(&self.now, &self.policy, self.now_ms, &made).len() as u64;
        told.moved += made.cost.moved;
        told.bound += made.cost.bound;
        told.polished += made.cost.polished;
        self.plan = Some(made);
    }

    /// Ends the moves whose time has come.
    fn land(&mut self) {
        for flight in self.flights.extract_if(.., |flight| flight.ends_ms <= self.now_ms) {
            self.now.rules_mut(flight.at).moving = false;
        }
    }

    /// Begins the moves that there is room for.
    fn carry_out(&mut self) {
        let Some(made) = &self.plan else { return };
        let mut traffic = Traffic::default();
        self.flights.iter().for_each(|flight| traffic.add(flight.from.as_ref(), &flight.to));
        // A target of the plan before may still be on its way.
        let flies =
            |at: usize| self.flights.iter().any(|flight| self.now.target(&made.moves[at].target) == Some(flight.at));
        let ready = made.ready(|at| self.begun.contains(&at) || flies(at));
        for step in next_wave(ready, &traffic, &self.policy.limits) {
            self.begun.insert(step);
            let step = &made.moves[step];
            let (Some(at), Some(to)) = (self.now.target(&step.target), self.now.pod(&step.to)) else { continue };
            self.told.moves[step.rank as usize] += 1;
            self.told.pauses.push(self.policy.pause.of(step.bytes as f64));
            self.now.give(at, to, &self.policy, self.now_ms);
            let moved = self.now.rules_mut(at);
            moved.moving = true;
            self.told.frozen += u64::from(moved.moved.is_some_and(|moved| moved.is_frozen(&self.policy)));
            let from = step.from.clone().filter(|_| step.reason != Reason::OwnerDead);
            let ends_ms = self.now_ms + (step.bytes as f64 / COPIED * 1_000.0) as u64;
            self.flights.push(Flight { from, to: step.to.clone(), at, ends_ms });
        }
    }

    fn report(mut self) -> String {
        let told = &mut self.told;
        let ratio = if told.moved <= told.bound { 1.0 } else { told.moved / told.bound };
        told.pauses.sort_by(f64::total_cmp);
        told.skews.sort_by(f64::total_cmp);
        let part =
            |all: &[f64], part: f64| all.get((all.len() as f64 * part) as usize).or(all.last()).copied().unwrap_or(0.0);
        let moves = |rank: Rank| told.moves[rank as usize];
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<18}{value}");
        };
        line("time", format!("{} h", self.now_ms / 3_600_000));
        line("plans", format!("{}, of which {} were made anew because they were stale", told.plans, told.stale));
        let [forced, drain, rebalance, polish] = [Rank::Forced, Rank::Drain, Rank::Rebalance, Rank::Polish].map(moves);
        line("moves", format!("{forced} forced, {drain} drain, {rebalance} rebalance, {polish} polish"));
        line("moved ÷ bound", format!("{ratio:.3}"));
        line("max ÷ mean", format!("{:.3} median, {:.3} worst", part(&told.skews, 0.5), part(&told.skews, 1.0)));
        let all: f64 = told.pauses.iter().sum();
        line(
            "pauses",
            format!(
                "{:.1} ms median, {:.1} ms 99 %, {:.1} s of all",
                part(&told.pauses, 0.5),
                part(&told.pauses, 0.99),
                all / 1_000.0
            ),
        );
        line("frozen targets", told.frozen.to_string());
        line("faults in plans", told.faults.to_string());
        text
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
