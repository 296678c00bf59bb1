//! The bot's own tables in the pod's database: who may touch what ([`scope`]), how a statement is run ([`run`]), and how it
//! is read beside the writer ([`sandbox`]). Which table belongs to whom is decided in `crate::schema`.

mod bring;
mod guard;
mod inspect;
mod judge;
mod keep;
mod run;
mod sandbox;
mod scope;

pub(super) use bring::bring;
pub(crate) use run::{SqlLimits, StatementError};
pub(super) use sandbox::Sandboxes;
pub(super) use scope::{Entered, Mode, Scope};

#[cfg(test)]
mod tests;
