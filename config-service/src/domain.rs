//! What the control plane knows, as plain values: pods, assignments, tokens and settings, and what changes them. Pure; knows no database, no
//! clock and no network.

mod access;
mod assignments;
mod batch;
mod by;
mod canary;
mod fleet;
mod holds;
mod identify;
mod model;
mod moves;
mod paged;
mod plans;
mod quarantined;
mod rest;
mod settings;
mod weight;

pub use access::{Edit, SettingRecord, TokenRecord};
pub use assignments::{Assignments, Held, Reading};
pub use batch::{Audit, Batch, Change, Kept, Write};
pub use by::By;
pub use canary::Canary;
pub use fleet::{Base, Fencing};
pub use holds::Holds;
pub use identify::{BudgetChange, BudgetKept, BudgetRecord, ShardRecord};
pub use model::{FIRST_CONTACT, Model, PodRecord, Snapshot};
pub use moves::Marks;
pub(crate) use paged::{Name, Paged};
pub use plans::Hold;
pub use rest::SliceRecord;
pub use settings::{AutoscalerValues, RestoreWhen, SETTINGS, Setting, Values};
pub use shared::protocol::members::Members;
pub use weight::Weight;
