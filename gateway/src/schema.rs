//! Which row of a bot's own tables belongs to which target. Decides how a table finds its target, what a statement may do
//! with it and what Berth has to add to it. Pure; knows no database.

mod check;
mod file;
mod found;
mod map;
pub(crate) mod names;
mod tables;

pub(crate) use check::check;
pub(crate) use file::{File, SchemaError, TimeUnit};
pub(crate) use found::{Column, Foreign, Found, Index, Other};
pub(crate) use map::{Belongs, Expiry, Map, OwnTable, Right};
pub(crate) use tables::Migration;
pub use tables::Tables;

/// The column that holds the number of a row's target.
pub(crate) const TARGET: &str = "target_id";

#[cfg(test)]
mod tests;
