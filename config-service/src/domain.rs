//! What the control plane knows, as plain values: pods, assignments, tokens and settings, and what changes them. Pure; knows no database, no
//! clock and no network.

mod access;
mod batch;
mod by;
mod fleet;
mod model;
mod moves;
mod quarantined;
mod settings;

pub use access::{Edit, SettingRecord, TokenRecord};
pub use batch::{Audit, Batch, Change, Kept, Write};
pub use by::By;
pub use fleet::{Base, Fencing};
pub use model::{FIRST_CONTACT, Model, PodRecord, Snapshot};
pub use moves::Marks;
pub use settings::{RestoreWhen, SETTINGS, Setting, Values};
pub use shared::protocol::members::Members;
