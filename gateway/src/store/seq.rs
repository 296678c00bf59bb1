//! Counts group commits, and the bytes of the WAL that they take. Decides nothing; the numbers are what replication is
//! measured by.

use super::StoreError;
use crate::replication::Commits;
use rusqlite::Connection;
use std::{cell::Cell, ffi::c_int, sync::Arc};

/// What the WAL has beside each page, in bytes.
const FRAME_HEAD: u64 = 24;

thread_local! {
    /// Pages in the WAL after the last commit on this thread. SQLite tells it to a plain function, which can keep it nowhere
    /// else; it is read right after that commit, on the same thread.
    static PAGES: Cell<u64> = const { Cell::new(0) };
}

/// The count of one database's commits, kept by its writer.
#[derive(Debug)]
pub(super) struct Counted {
    /// The number of the transaction that is open, or was last.
    open: Cell<u64>,
    /// Up to which one the replica goes.
    replicated: Cell<u64>,
    pages: Cell<u64>,
    frame: u64,
    commits: Arc<Commits>,
}

impl Counted {
    /// Begins with what the database says.
    pub(super) fn begin(conn: &Connection) -> Result<Self, StoreError> {
        let seq: u64 = conn.query_row("SELECT commit_seq FROM meta", [], |row| row.get(0))?;
        let page: u64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        conn.wal_hook(Some(note));
        let commits = Arc::new(Commits::default());
        commits.committed(seq, 0);
        let frame = page + FRAME_HEAD;
        Ok(Self { open: Cell::new(seq), replicated: Cell::default(), pages: Cell::default(), frame, commits })
    }

    /// A transaction has this number.
    pub(super) fn begins(&self, seq: u64) {
        self.open.set(seq);
    }

    /// It is committed.
    pub(super) fn ended(&self) {
        let (pages, before) = (PAGES.get(), self.pages.replace(PAGES.get()));
        // A WAL that has started over holds only what is new.
        let new = if pages > before { pages - before } else { pages };
        self.commits.committed(self.open.get(), new * self.frame);
    }

    /// Notes how far the replica goes. A number beyond the last commit says nothing about the replica.
    pub(super) fn reached(&self, seq: u64) {
        if seq <= self.commits.seq() {
            self.replicated.set(self.replicated.get().max(seq));
        }
    }

    pub(super) fn replicated(&self) -> u64 {
        self.replicated.get()
    }

    pub(super) fn commits(&self) -> &Arc<Commits> {
        &self.commits
    }
}

fn note(_wal: &rusqlite::hooks::Wal, pages: c_int) -> rusqlite::Result<()> {
    PAGES.set(u64::try_from(pages).unwrap_or_default());
    Ok(())
}
