//! The control plane's database: config-service's own SQLite store in memory, behind a door that can be shut, that loses
//! answers, and whose leadership is bid for by several.

use crate::agenda::{MS, Ns};
use crate::message::{Answer, Query};
use config_service::domain::Snapshot;
use config_service::store::{Bid, Log, MoveFilter, Sqlite, Store, StoreError};
use futures_util::FutureExt;
use shared::Revision;
use std::{sync::Arc, time::Duration};

/// How long a term lasts unless it is renewed.
pub(crate) const LEADER_LEASE: Duration = Duration::from_secs(2);

/// The database.
#[derive(Debug)]
pub(crate) struct Database {
    store: Sqlite,
    /// Whether the server runs.
    pub(crate) up: bool,
    /// Answers lost after the work was done, per mille.
    pub(crate) uncertain: u64,
    leader: Option<(u8, Ns)>,
    term: shared::Term,
    /// The revision of the newest transaction.
    newest: Revision,
}

fn now<T>(answer: config_service::store::Answer<'_, T>) -> Result<T, StoreError> {
    answer.now_or_never().unwrap_or_else(|| Err(StoreError::Rejected("the store in memory has to wait".to_owned())))
}

impl Database {
    pub(crate) fn new() -> Self {
        let store = Sqlite::in_memory().expect("a store in memory opens");
        Self { store, up: true, uncertain: 0, leader: None, term: shared::Term(0), newest: Revision(0) }
    }

    /// Does what is asked. SQLite's bid always wins: who holds the term until when is kept here, by the database's clock.
    pub(crate) fn answer(&mut self, at: Ns, query: Query) -> Answer {
        let lease = LEADER_LEASE.as_nanos() as Ns;
        let done = match query {
            Query::Lead(plane) => match self.leader.filter(|(_, until)| *until > at) {
                Some((leader, until)) => {
                    let remaining = Duration::from_nanos(until - at);
                    Ok(Answer::Bid(Bid::Held { address: leader.to_string(), remaining }))
                }
                None => now(self.store.lead(plane.to_string(), LEADER_LEASE)).map(|bid| {
                    self.leader = Some((plane, at + lease));
                    if let Bid::Won(term) = bid {
                        self.term = term;
                    }
                    Answer::Bid(bid)
                }),
            },
            Query::Renew(term) => now(self.store.renew(term, LEADER_LEASE)).map(|()| {
                self.leader = self.leader.map(|(leader, _)| (leader, at + lease));
                Answer::Done
            }),
            Query::Resign(term) => now(self.store.resign(term)).map(|()| {
                if term == self.term {
                    self.leader = None;
                }
                Answer::Done
            }),
            Query::Load(term) => now(self.store.load(term)).map(|snapshot| Answer::Loaded(Box::new(snapshot))),
            Query::Commit(term, batch) => now(self.store.commit(term, *batch)).map(|committed| {
                self.newest = committed.revision;
                Answer::Committed(Box::new(committed))
            }),
            // Most followers ask for what is not there yet: the store is not asked.
            Query::Changes(after) if after == self.newest => Ok(Answer::Changed(Some(Vec::new()))),
            Query::Changes(after) => now(self.store.changes(after, 5_000)).map(|log| match log {
                Log::Changes(changes) => Answer::Changed(Some(changes)),
                Log::Gone => Answer::Changed(None),
            }),
            Query::Moves(ids) => {
                let (limit, wanted) = (ids.len(), MoveFilter { ids: Some(ids), ..MoveFilter::default() });
                now(self.store.moves(wanted, limit)).map(Answer::Moves)
            }
        };
        done.unwrap_or_else(|why| Answer::Failed(Arc::new(why)))
    }

    /// Returns how long a question takes.
    pub(crate) fn takes(query: &Query) -> Ns {
        match query {
            Query::Renew(_) | Query::Changes(_) | Query::Moves(_) | Query::Lead(_) | Query::Resign(_) => MS / 2,
            Query::Commit(..) => 2 * MS,
            Query::Load(_) => 20 * MS,
        }
    }

    /// Returns what the database holds in truth, for the end of a run.
    pub(crate) fn truth(&self) -> Snapshot {
        now(self.store.load(self.term)).unwrap_or_default()
    }
}
