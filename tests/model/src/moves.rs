//! A planned move (OWNERSHIP.md, Moves) around the leader's step function: source `a`, destination `b`, and whoever gets the
//! target when its owner is failed over. Reports come late, twice and out of order; both pods restart at every step, either
//! is buried, leaders follow each other. At most one pod serves the target, nothing acknowledged is missing where it is
//! served, and a move that is over leaves nobody waiting.
//!
//! Not in this world: leases (a burial here waits until the pod certainly serves no more), and how rows travel.

use crate::world::{Rate, pod};
use shared::protocol::handoff::{Decision, Event, Handoff, Patience};
use shared::wire::handoff::{MoveState, Said};
use shared::{Epoch, MoveId};
use stateright::{Model, Property};
use std::{collections::BTreeSet, time::Duration};

/// The rules that can be taken away.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// A move needs the source's own release: the destination imports only what ends with it.
    pub released: bool,
    /// The source unfreezes only on hearing that the move was aborted.
    pub unfreezes_on_hearing: bool,
    /// What the source sends last is what it had at the freeze.
    pub sends_the_rest: bool,
    /// A decision is made on what is committed: an aborted move never commits.
    pub conditional: bool,
    /// The destination serves only what is committed.
    pub serves_when_committed: bool,
    /// The freeze is on disk: a restart finds it.
    pub freeze_is_kept: bool,
}

impl Rules {
    /// All of them.
    pub const ALL: Self = Self {
        released: true,
        unfreezes_on_hearing: true,
        sends_the_rest: true,
        conditional: true,
        serves_when_committed: true,
        freeze_is_kept: true,
    };
}

/// The world.
#[derive(Debug, Clone)]
pub struct World {
    /// The rules in force.
    pub rules: Rules,
    /// How many events there are.
    pub events: u8,
    /// How often pods and leaders restart, together.
    pub restarts: u8,
}

/// Who owns the target, as committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    A,
    B,
    Other,
}

/// What a pod has said: once said, it may arrive at any time, and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Report {
    /// The source.
    Frozen,
    /// The destination.
    Imported,
    /// The destination.
    Serving,
    /// The destination.
    Failed,
}

/// What the world is like.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    handoff: Handoff,
    tick: u64,
    owner: Owner,
    epochs: Vec<u64>,
    said: BTreeSet<Report>,
    buried: [bool; 2],
    restarts: u8,
    // The source.
    acknowledged: u8,
    frozen: bool,
    /// It has heard that the move was committed.
    let_go: bool,
    dropped: bool,
    // The destination.
    sent: Option<u8>,
    imported: Option<u8>,
    serves: bool,
    /// What it serves from.
    holds: u8,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The source acknowledges an event.
    Acknowledge,
    /// The source freezes the target.
    Freeze,
    /// Everything the source had is sent, with its release.
    Send,
    /// It is on the destination's disk, verified.
    Import,
    /// The destination gives up.
    Fail,
    /// A report arrives at the leader.
    Report(Report),
    /// The source hears how the move stands.
    TellSource,
    /// The destination hears how the move stands.
    TellDestination,
    /// The source's own timer.
    Impatience,
    /// Time passes, and the leader looks.
    Tick,
    /// A pod is killed and restarts.
    Restart(usize),
    /// A new leader reads the move from the database.
    Takeover,
    /// A pod is failed over.
    Bury(usize),
}

impl World {
    fn serving(state: &State) -> usize {
        let a = !state.frozen && !state.let_go && !state.buried[0];
        let b = state.serves && !state.buried[1];
        usize::from(a) + usize::from(b) + usize::from(state.owner == Owner::Other)
    }

    fn event(&self, state: &mut State, event: &Event) {
        let now = Rate::TRUE.at(state.tick);
        let patience = Patience { frozen: Duration::from_secs(2), stalled: Duration::from_secs(3) };
        let mut handoff = state.handoff.clone();
        if !self.rules.conditional && handoff.state == MoveState::Aborted {
            handoff.state = MoveState::Frozen;
        }
        for decision in handoff.step(now, &patience, event) {
            if let Decision::Become { state: next, .. } = decision {
                state.handoff.become_at(now, next);
                if next == MoveState::Committed {
                    state.owner = Owner::B;
                    state.epochs.push(state.epochs.last().copied().unwrap_or_default() + 1);
                }
            }
        }
    }

    fn report(&self, state: &mut State, report: Report) {
        let (a, b, epoch) = (pod("a"), pod("b"), Epoch(1));
        let (by, said) = match report {
            Report::Frozen => (a, Said::Frozen { epoch }),
            Report::Imported => (b, Said::Imported { epoch, rows: 0, bytes: 0 }),
            Report::Serving => (b, Said::Serving { pause_ms: 0 }),
            Report::Failed => (b, Said::Failed { detail: String::new() }),
        };
        // Reports of a buried incarnation do not count.
        if !state.buried[usize::from(report != Report::Frozen)] {
            self.event(state, &Event::Said { by, said });
        }
    }

    fn bury(&self, state: &mut State, index: usize) {
        state.buried[index] = true;
        self.event(state, &Event::Buried(pod(["a", "b"][index])));
        let owner = [Owner::A, Owner::B][index];
        if state.owner == owner {
            state.owner = Owner::Other;
            state.epochs.push(state.epochs.last().copied().unwrap_or_default() + 1);
        }
    }

    fn tell_destination(&self, state: &mut State) {
        match state.handoff.state {
            MoveState::Committed | MoveState::Cleaned if state.imported.is_some() => {
                if !state.serves {
                    state.holds = state.imported.unwrap_or_default();
                }
                state.serves = state.owner == Owner::B;
                state.said.insert(Report::Serving);
            }
            MoveState::Aborted => state.imported = None,
            _ if !self.rules.serves_when_committed && state.imported.is_some() => {
                (state.serves, state.holds) = (true, state.imported.unwrap_or_default());
            }
            _ => {}
        }
    }

    fn tell_source(state: &mut State) {
        match state.handoff.state {
            MoveState::Aborted => state.frozen = false,
            MoveState::Committed => state.let_go = true,
            MoveState::Cleaned => (state.let_go, state.dropped) = (true, true),
            _ => {}
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let handoff = Handoff {
            id: MoveId(1),
            from: pod("a"),
            to: pod("b"),
            epoch: Epoch(1),
            state: MoveState::Copying,
            since: Rate::TRUE.at(0),
        };
        vec![State {
            handoff,
            tick: 0,
            owner: Owner::A,
            epochs: vec![1],
            said: BTreeSet::new(),
            buried: [false; 2],
            restarts: 0,
            acknowledged: 0,
            frozen: false,
            let_go: false,
            dropped: false,
            sent: None,
            imported: None,
            serves: false,
            holds: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let a = !state.buried[0];
        if a && !state.frozen && !state.let_go && state.acknowledged < self.events {
            actions.push(Action::Acknowledge);
        }
        if a && !state.frozen && !state.let_go {
            actions.push(Action::Freeze);
        }
        let whole = state.frozen || !self.rules.released;
        let early = !self.rules.sends_the_rest;
        if a && (whole || early) && state.sent.is_none() {
            actions.push(Action::Send);
        }
        if !state.buried[1] && state.imported.is_none() && state.sent.is_some() && whole {
            actions.push(Action::Import);
        }
        if !state.buried[1] && state.imported.is_none() {
            actions.push(Action::Fail);
        }
        actions.extend(state.said.iter().copied().map(Action::Report));
        actions.extend([Action::TellSource, Action::TellDestination]);
        if !self.rules.unfreezes_on_hearing {
            actions.push(Action::Impatience);
        }
        if state.tick < 4 {
            actions.push(Action::Tick);
        }
        if state.restarts < self.restarts {
            actions.extend([Action::Restart(0), Action::Restart(1), Action::Takeover]);
        }
        actions.extend([0, 1].into_iter().filter(|index| !state.buried[*index]).map(Action::Bury));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Acknowledge => state.acknowledged += 1,
            Action::Freeze => {
                state.frozen = true;
                state.said.insert(Report::Frozen);
            }
            Action::Send => state.sent = Some(state.acknowledged),
            Action::Import => {
                state.imported = state.sent;
                state.said.insert(Report::Imported);
            }
            Action::Fail => {
                state.said.insert(Report::Failed);
            }
            Action::Report(report) => self.report(&mut state, report),
            Action::TellSource => Self::tell_source(&mut state),
            Action::TellDestination => self.tell_destination(&mut state),
            Action::Impatience if state.frozen && state.tick >= 2 && !state.let_go => state.frozen = false,
            Action::Impatience => {}
            Action::Tick => {
                state.tick += 1;
                self.event(&mut state, &Event::Tick);
            }
            Action::Restart(index) => {
                state.restarts += 1;
                match index {
                    0 if !self.rules.freeze_is_kept => state.frozen = false,
                    // What has come so far and is not imported is lost; what is not acknowledged as sent is sent again.
                    _ if state.imported.is_none() => state.sent = None,
                    _ => {}
                }
            }
            Action::Takeover => {
                state.restarts += 1;
                state.handoff.since = Rate::TRUE.at(state.tick);
                self.event(&mut state, &Event::Tick);
            }
            Action::Bury(index) => self.bury(&mut state, index),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("I1: one owner at every instant", |_, state: &State| Self::serving(state) <= 1),
            Property::always("I2: nothing acknowledged is missing where it is served", |_, state: &State| {
                !state.serves || state.buried[1] || state.holds == state.acknowledged
            }),
            Property::always("I4: epochs increase", |_, state: &State| {
                state.epochs.windows(2).all(|two| two[0] < two[1])
            }),
            Property::always("the source drops its rows only when the destination has them", |_, state: &State| {
                !state.dropped || state.imported.is_some()
            }),
            // Told how the move stands, which both are for as long as they live, somebody serves.
            Property::always("nobody waits for ever", |world: &Self, state: &State| {
                let mut told = state.clone();
                Self::tell_source(&mut told);
                world.tell_destination(&mut told);
                let over =
                    matches!(state.handoff.state, MoveState::Cleaned | MoveState::Aborted | MoveState::Committed);
                !over || Self::serving(&told) == 1
            }),
            Property::sometimes("it is committed", |_, state: &State| state.handoff.state == MoveState::Cleaned),
            Property::sometimes("it is aborted and served at the source", |_, state: &State| {
                state.handoff.state == MoveState::Aborted && Self::serving(state) == 1 && !state.buried[0]
            }),
        ]
    }
}

/// Which rule is missing.
pub fn without() -> [(&'static str, World); 6] {
    let world = World { rules: Rules::ALL, events: 2, restarts: 1 };
    let with = |rules| World { rules, ..world.clone() };
    [
        ("no move without a release", with(Rules { released: false, ..Rules::ALL })),
        ("a source unfreezes only on hearing", with(Rules { unfreezes_on_hearing: false, ..Rules::ALL })),
        ("the rest is sent after the freeze", with(Rules { sends_the_rest: false, ..Rules::ALL })),
        ("an aborted move never commits", with(Rules { conditional: false, ..Rules::ALL })),
        ("a destination serves when it is committed", with(Rules { serves_when_committed: false, ..Rules::ALL })),
        ("a freeze is on disk", with(Rules { freeze_is_kept: false, ..Rules::ALL })),
    ]
}
