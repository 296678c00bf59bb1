//! The engine's handle: everything a pod does with a target's events goes through here. It decides nothing; the writer
//! thread behind it owns the database and the mailboxes.

use crate::{
    Options,
    handlers::Handler,
    ownership::{Guard, Ownership},
};
use shared::{
    Epoch, Incarnation, Mono, TargetId, event::Event, shutdown::Shutdown, telemetry::Metrics, wire::control::Load,
    wire::link::Outcome,
};
use std::sync::Arc;

/// Why the engine cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It has stopped, or is stopping.
    #[error("the engine has stopped")]
    Stopped,
}

/// What the database holds of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRow {
    /// The target.
    pub target: TargetId,
    /// The epoch it was last owned under.
    pub epoch: Epoch,
    /// Distinct events applied.
    pub applied: u64,
    /// Events that came again and changed nothing.
    pub duplicates: u64,
    /// The id of the last applied event.
    pub last_event_id: Option<String>,
    /// The journal's position.
    pub journal_seq: u64,
}

/// The engine. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Engine {
    incarnation: Incarnation,
}

impl Engine {
    /// Opens (or creates) `berth.db` in the data folder, whose lock the caller holds, and starts the writer.
    ///
    /// # Errors
    /// When the database cannot be opened or migrated.
    pub async fn open(
        _options: &Options,
        _ownership: Ownership,
        _handler: Arc<dyn Handler>,
        _metrics: &Metrics,
        _shutdown: Shutdown,
    ) -> Result<Self, EngineError> {
        Err(EngineError::Stopped)
    }

    /// Returns the life of this database: made once with it.
    pub fn incarnation(&self) -> &Incarnation {
        &self.incarnation
    }

    /// Returns the version of the database's schema.
    pub fn schema(&self) -> u32 {
        1
    }

    /// Returns the highest epoch the database has seen, over all targets.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn highest_epoch(&self) -> Result<Epoch, EngineError> {
        Err(EngineError::Stopped)
    }

    /// Returns what the pod carries.
    pub fn load(&self) -> Load {
        Load::default()
    }

    /// Takes targets into service: what they have left unfinished is loaded and goes before everything new.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub async fn acquired(&self, _targets: Vec<(TargetId, Epoch)>) -> Result<(), EngineError> {
        Err(EngineError::Stopped)
    }

    /// Takes targets out of service.
    pub async fn released(&self, _targets: Vec<TargetId>) {}

    /// Puts an event into its target's mailbox and waits for what becomes of it, at most until `answer_by`.
    pub async fn submit(&self, _guard: Guard, _event: Event, _answer_by: Mono) -> Outcome {
        Outcome::Late
    }

    /// Returns what the database holds of a target.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn state(&self, _target: &TargetId) -> Result<Option<TargetRow>, EngineError> {
        Err(EngineError::Stopped)
    }

    /// Returns whether the last commit succeeded.
    pub fn writable(&self) -> bool {
        true
    }

    /// Finishes what is being committed, answers the rest, and closes the database.
    pub async fn stop(self) {}
}
