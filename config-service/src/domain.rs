//! What the control plane knows, as plain values: pods, assignments, and what changes them. Pure; knows no database, no
//! clock and no network.

mod batch;
mod model;

pub use batch::{Audit, Batch, Change, Write};
pub use model::{Model, PodRecord, Snapshot};
