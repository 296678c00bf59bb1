//! How one target's rows travel from pod to pod: what is sent of each table ([`plan`]), in which form ([`parcel`], [`bundle`]), how
//! it is read ([`copy`]), how what changes meanwhile is noticed ([`follow`]), how it is taken in elsewhere ([`import`]), and what
//! the database records about it ([`ledger`]). Decides nothing about owners, and knows no network.
//!
//! ```text
//! writer   follow ─ pin ┐   changes ─ pin ┐   freeze ─ pin ┐
//! reader                └─ rows ──▸       └─ rows ──▸      └─ rows, end ──▸   (each from a state of its own, whole)
//! ```

mod bundle;
mod copy;
mod follow;
mod import;
mod ledger;
mod parcel;
mod plan;
mod restored;
mod scratch;

pub(crate) use bundle::{Bundle, Piece};
pub(crate) use copy::{NotSent, Sender, Snapshot, Snapshots};
pub(crate) use follow::{Changed, Follower};
pub(crate) use import::{Importer, NotTaken, Outlives, Taken};
pub(crate) use ledger::{Incoming, Outgoing, Standing};
pub(crate) use parcel::{Parcel, Summed};
pub(crate) use plan::Plan;
pub(crate) use restored::{Imports, ProvenanceRow, Source};
pub(crate) use scratch::Scratch;

/// Returns what answers a query of one value by another connection, for tests of whole pods.
#[cfg(test)]
pub(crate) fn peek(file: &std::path::Path) -> impl Fn(&str) -> Option<String> + use<> {
    let conn = rusqlite::Connection::open(file).expect("opened");
    move |sql| {
        conn.busy_timeout(std::time::Duration::from_secs(5)).expect("set");
        let found = conn.query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0));
        match found.ok()? {
            rusqlite::types::Value::Integer(number) => Some(number.to_string()),
            rusqlite::types::Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
