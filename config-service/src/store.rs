//! Where assignments are kept. One trait, two databases, one contract suite that runs on both. Every mutation goes through
//! the leader's term; revisions appear in the order of commits. Decides nothing about placement.

mod postgres;
mod schema;
mod sqlite;

pub use postgres::Postgres;
pub use sqlite::Sqlite;

use crate::domain::{
    Assignments, Batch, BudgetChange, BudgetKept, Change, Edit, SettingRecord, SliceRecord, Snapshot, TokenRecord,
    Weight,
};
use futures_util::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use shared::wire::admin::{Event, Ownership, Plan, PlanHead, PlanState};
use shared::wire::control::{AssignmentState, DataAt, Life, Track};
use shared::wire::discord::{Session, Shard};
use shared::wire::handoff::{Move, MoveState};
use shared::{Epoch, MoveId, PlanId, PodId, Revision, TargetId, Term};
use std::{collections::BTreeSet, fmt, time::Duration};

/// The answer of a store.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Where assignments are kept.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Reaches the database and brings its schema up to date. Called until it succeeds, then not again.
    fn prepare(&self) -> Answer<'_, ()>;

    /// Bids for leadership: won when nobody holds it, or when the holder's term has not been renewed for its `lease` by
    /// the database's clock. Winning begins a new term.
    fn lead(&self, address: String, lease: Duration) -> Answer<'_, Bid>;

    /// Renews the term for another `lease`. That it succeeds proves that the term was in force after the call began.
    /// Touches a row of its own, so that it never waits for a running [`Store::commit`].
    fn renew(&self, term: Term, lease: Duration) -> Answer<'_, ()>;

    /// Gives the term up, so that another need not wait for its end.
    fn resign(&self, term: Term) -> Answer<'_, ()>;

    /// Reads everything, after every commit of `term` that may still be under way has ended one way or the other.
    fn load(&self, term: Term) -> Answer<'_, Snapshot> {
        self.load_again(term, Assignments::default())
    }

    /// The same for who followed before: what is as it is `known` shares its room with that, and nothing else follows from it.
    fn load_again(&self, term: Term, known: Assignments) -> Answer<'_, Snapshot>;

    /// Reads what a new leader lacks that has followed up to `after`: everything but the assignments, and the changes behind that
    /// position. None when the log does not have them all, or has more than `limit`. It waits for commits as [`Store::load`] does.
    fn catch_up(&self, term: Term, after: Revision, limit: usize) -> Answer<'_, Option<Missed>>;

    /// Writes a batch in one transaction of `term`: all of it or nothing.
    fn commit(&self, term: Term, batch: Batch) -> Answer<'_, Committed>;

    /// Reads at most `limit` changes behind `after` from the log, in order.
    fn changes(&self, after: Revision, limit: usize) -> Answer<'_, Log>;

    /// Removes changes at or before `up_to` from the log, some thousand at most; returns how many.
    fn trim(&self, term: Term, up_to: Revision) -> Answer<'_, u64>;

    /// Reads at most `limit` entries of the audit, newest first.
    fn events(&self, wanted: EventFilter, limit: usize) -> Answer<'_, Vec<Event>>;

    /// Reads at most `limit` ownerships of a target that began before a revision, newest first.
    fn history(&self, target: TargetId, before: Option<Revision>, limit: usize) -> Answer<'_, Vec<Ownership>>;

    /// Reads at most `limit` moves, newest first.
    fn moves(&self, wanted: MoveFilter, limit: usize) -> Answer<'_, Vec<Move>>;

    /// Reads at most `limit` plans without their moves, newest first.
    fn plans(&self, wanted: PlanFilter, limit: usize) -> Answer<'_, Vec<PlanHead>>;

    /// Reads a plan.
    fn plan(&self, id: PlanId) -> Answer<'_, Option<Plan>>;

    /// Reads the answer that was kept for an actor's key.
    fn kept(&self, actor: String, key: String) -> Answer<'_, Option<KeptAnswer>>;

    /// Reads what targets weigh, as far as it was written.
    fn weights(&self) -> Answer<'_, Vec<(TargetId, Weight)>>;

    /// Writes what targets weigh now: of one that weighs nothing, nothing is kept; of one that is named twice, what is said last.
    /// No revision comes of it.
    fn weigh(&self, term: Term, weights: Vec<(TargetId, Weight)>) -> Answer<'_, ()>;

    /// Reads what is kept of a bot's IDENTIFY budget; none when nothing was ever told of it.
    fn budget(&self, bot: String) -> Answer<'_, Option<BudgetKept>>;

    /// Writes what has changed of a bot's IDENTIFY budget: all of it or nothing. No revision comes of it.
    fn spend(&self, term: Term, bot: String, change: BudgetChange) -> Answer<'_, ()>;

    /// Reads who has which part of the bots' REST requests on Discord, by bot.
    fn slices(&self) -> Answer<'_, Vec<(String, Vec<SliceRecord>)>>;

    /// Writes who has which part of a bot's REST requests, in place of what was there; of a bot with no slices nothing is kept. No
    /// revision comes of it.
    fn keep_slices(&self, term: Term, bot: String, slices: Vec<SliceRecord>) -> Answer<'_, ()>;

    /// Reads the sessions kept for Discord's shard `id`, of `count` or of any number, the one that was kept last first.
    fn sessions(&self, id: u32, count: Option<u32>) -> Answer<'_, Vec<Session>>;

    /// Keeps sessions in place of those of the same shards; what nobody has written for a day is removed.
    fn keep_sessions(&self, term: Term, sessions: Vec<Session>) -> Answer<'_, ()>;

    /// Removes the sessions kept for Discord's shard `id`, of `count` or of any number; returns how many.
    fn drop_sessions(&self, term: Term, id: u32, count: Option<u32>) -> Answer<'_, u64>;

    /// Removes what is older than it is to be kept, some thousand rows at most; returns how many.
    fn forget(&self, term: Term, keep: Keep) -> Answer<'_, u64>;

    /// Reads everything as it stands at one moment, for whoever follows: it takes no term and waits for no commit.
    fn view(&self) -> Answer<'_, View>;

    /// Reads at most `limit` changes behind a follower's position, what was edited since, and who leads.
    fn follow(&self, position: Position, limit: usize) -> Answer<'_, Followed>;

    /// Returns when something may have been committed, or the leadership may have changed hands; maybe never. Only makes
    /// followers quicker: what is true is what they read.
    fn wake(&self) -> Answer<'_, ()>;
}

/// What somebody lacks that has followed and leads from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Missed {
    /// Everything but the assignments, of which it has none.
    pub rest: Snapshot,
    /// What was changed since, in order.
    pub changes: Vec<Change>,
}

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Pods, assignments, tokens and settings.
    pub snapshot: Snapshot,
    /// How often tokens or settings were edited.
    pub edits: u64,
}

/// Up to where a follower has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// The last change.
    pub revision: Revision,
    /// How often tokens or settings had been edited.
    pub edits: u64,
}

/// What a follower has missed.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// The changes behind its position.
    pub log: Log,
    /// All tokens and settings, when any was edited since.
    pub edited: Option<Edited>,
    /// Who leads.
    pub reign: Reign,
}

/// All tokens and settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Edited {
    /// How often they were edited, at least.
    pub edits: u64,
    /// The tokens.
    pub tokens: Vec<TokenRecord>,
    /// The settings that somebody has set.
    pub settings: Vec<SettingRecord>,
}

/// Who leads, by the database's word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reign {
    /// The newest term.
    pub term: Term,
    /// Where its leader is reached.
    pub address: String,
    /// How long it lasts unless it is renewed; zero when nobody leads.
    pub remaining: Duration,
}

impl Reign {
    /// Returns where the leader is reached, while there is one.
    pub fn leader(&self) -> Option<&str> {
        (!self.remaining.is_zero() && !self.address.is_empty()).then_some(self.address.as_str())
    }
}

/// Which entries of the audit are wanted; all when nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only this action.
    pub action: Option<String>,
    /// Only what was done to this, or to a part of it: what is named like it with `/` and more behind.
    pub subject: Option<String>,
    /// Only what this one did.
    pub actor: Option<String>,
    /// Only what is older than this entry.
    pub before: Option<u64>,
}

/// Which moves are wanted; all when nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MoveFilter {
    /// Only these.
    pub ids: Option<Vec<MoveId>>,
    /// Only those in this state.
    pub state: Option<MoveState>,
    /// Only this target's.
    pub target: Option<TargetId>,
    /// Only those from or to this pod.
    pub pod: Option<PodId>,
    /// Only those that began before this one.
    pub before: Option<MoveId>,
}

/// Which plans are wanted; all when nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlanFilter {
    /// Only those in this state.
    pub state: Option<PlanState>,
    /// Only those that were made before this one.
    pub before: Option<PlanId>,
}

/// An answer that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// What was asked.
    pub fingerprint: String,
    /// The answer, a JSON object without its revision.
    pub body: String,
    /// The revision.
    pub revision: Revision,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Entries of the audit.
    pub audit: Duration,
    /// Ownerships after their end.
    pub history: Duration,
    /// Answers under their keys.
    pub answers: Duration,
    /// Moves after their end, and plans after theirs; plans that were never applied from when they were made.
    pub moves: Duration,
}

/// The outcome of a bid for leadership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bid {
    /// The term is ours.
    Won(Term),
    /// Somebody leads.
    Held {
        /// Where the leader is reached.
        address: String,
        /// How long its term lasts unless it is renewed.
        remaining: Duration,
    },
}

/// What a committed batch changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// The revision of the last change; unchanged by an empty batch.
    pub revision: Revision,
    /// The last epoch issued.
    pub epoch: Epoch,
    /// The changes with their revisions and epochs, in order.
    pub changes: Vec<Change>,
    /// The edits of tokens and settings with their times.
    pub edits: Vec<Edit>,
}

/// A piece of the change log.
#[derive(Debug, Clone, PartialEq)]
pub enum Log {
    /// The changes behind the position asked for; fewer than asked for when there are no more.
    Changes(Vec<Change>),
    /// The position is not in the log: trimmed away, or beyond its end.
    Gone,
}

/// Why the store did not answer. The difference between *certainly not applied* and *maybe applied* is the point.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The term is over: another leads. Nothing was applied.
    #[error("the leader's term is over")]
    Fenced,
    /// What a write expected is not so. Nothing was applied.
    #[error("the database is not as expected: {0}")]
    Conflict(String),
    /// Nothing was applied.
    #[error("the store refused: {0}")]
    Rejected(String),
    /// Maybe applied: whoever holds a copy of the data must read it anew.
    #[error("the outcome of a transaction is unknown: {0}")]
    Uncertain(String),
    /// Trying again will not help: an operator has to act.
    #[error("{0}")]
    Unusable(String),
}

impl StoreError {
    /// Returns the word used in metrics.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Conflict(_) => "conflict",
            Self::Rejected(_) => "rejected",
            Self::Uncertain(_) => "uncertain",
            Self::Unusable(_) => "unusable",
        }
    }
}

/// Returns whether a batch edits what followers have to hear of; the uses of tokens are not among it.
fn edits_for_followers(batch: &Batch) -> bool {
    batch.edits.iter().any(|edit| !matches!(edit, Edit::TouchToken { .. }))
}

/// Refuses a batch with more rows than a transaction may have, and a new generation that comes with rows.
fn check_size(batch: &Batch) -> Result<(), StoreError> {
    if batch.generation.is_some() && !batch.writes.is_empty() {
        return Err(StoreError::Rejected("a new generation begins with no rows".to_owned()));
    }
    if batch.writes.len() <= Batch::MAX_WRITES {
        return Ok(());
    }
    Err(StoreError::Rejected(format!("{} rows in one transaction, at most {}", batch.writes.len(), Batch::MAX_WRITES)))
}

/// Says whether a log whose oldest entry is `oldest`, of a database at `newest`, continues the position `after`.
fn covers(newest: i64, oldest: Option<i64>, after: i64) -> bool {
    after == newest || (after < newest && oldest.is_some_and(|oldest| oldest <= after + 1))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// How many rows of the log one [`Store::trim`] removes, and of each table one [`Store::forget`].
const TRIM_ROWS: i64 = 5_000;

/// How long a session of Discord's that nobody writes any more is kept: none can be resumed after that.
const SESSION_LASTS_MS: i64 = 86_400_000;

/// Databases have signed numbers; Berth's counters never reach the sign.
fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Rejected(format!("{number} does not fit into the database")))
}

/// A number that a reader gave, to compare with those of rows. What is larger than every row's stays so.
fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number)
        .map_err(|_| StoreError::Unusable(format!("the database holds {number} where a counter belongs")))
}

/// A shard as its columns say.
fn known_shard(id: i64, count: i64) -> Result<Shard, StoreError> {
    let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
    Shard::new(number(id), number(count))
        .map_err(|why| StoreError::Unusable(format!("the database holds shard {id} of {count}: {why}")))
}

/// How often a shard identified in a row.
fn known_streak(number: i64) -> Result<u32, StoreError> {
    unsigned(number).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

fn encode(change: &Change) -> Result<String, StoreError> {
    json(change)
}

fn decode(body: &str) -> Result<Change, StoreError> {
    serde_json::from_str(body)
        .map_err(|why| StoreError::Unusable(format!("an entry of the change log is damaged: {why}")))
}

/// Refuses a generation that is none after the last epoch issued.
fn check_generation(generation: u32, last: Epoch) -> Result<(), StoreError> {
    if generation > last.generation() {
        return Ok(());
    }
    Err(StoreError::Rejected(format!("generation {generation} is not after {}", last.generation())))
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|why| StoreError::Rejected(why.to_string()))
}

fn json_of<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|why| StoreError::Unusable(format!("the database holds {text:?}: {why}")))
}

fn generation(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Pods' names as one text.
fn names(pods: &BTreeSet<PodId>) -> String {
    pods.iter().map(PodId::as_str).collect::<Vec<_>>().join(" ")
}

fn names_of(text: &str) -> Result<BTreeSet<PodId>, StoreError> {
    text.split_ascii_whitespace().map(name).collect()
}

fn state_of(text: &str) -> Result<AssignmentState, StoreError> {
    let known =
        [AssignmentState::Serving, AssignmentState::Quarantined].into_iter().find(|state| state.as_str() == text);
    known.ok_or_else(|| StoreError::Unusable(format!("the database holds the state {text:?}, which there is not")))
}

fn track_of(text: &str) -> Result<Track, StoreError> {
    text.parse().map_err(|why| StoreError::Unusable(format!("the database holds a track that there is not: {why}")))
}

/// The columns that say where data is, as they are read.
#[derive(Debug)]
struct DataColumns<'a> {
    pod: Option<&'a str>,
    incarnation: Option<&'a str>,
    epoch: Option<i64>,
    before: Option<i64>,
    restoring: bool,
    from_pod: Option<&'a str>,
    from_incarnation: Option<&'a str>,
    trouble: Option<String>,
}

/// Where data is: the first three columns, or none of them.
fn data_of(columns: DataColumns<'_>) -> Result<Option<DataAt>, StoreError> {
    let DataColumns { pod, incarnation, epoch, before, restoring, from_pod, from_incarnation, trouble } = columns;
    let (Some(pod), Some(incarnation), Some(epoch)) = (pod, incarnation, epoch) else { return Ok(None) };
    let before = before.map(unsigned).transpose()?.map(Epoch);
    let origin = from_pod.zip(from_incarnation);
    let origin = origin.map(|(pod, incarnation)| Ok(Life { pod: name(pod)?, incarnation: name(incarnation)? }));
    let data = DataAt::new(name(pod)?, name(incarnation)?, Epoch(unsigned(epoch)?));
    Ok(Some(DataAt { before, restoring, origin: origin.transpose()?, trouble, ..data }))
}

/// Reads a column that holds a name; a name that is none means a damaged database.
fn name<T: std::str::FromStr<Err: fmt::Display>>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|why| StoreError::Unusable(format!("the database holds {text:?}: {why}")))
}

#[cfg(test)]
mod tests;
