//! The ownership protocol (OWNERSHIP.md) as state machines: what happened and the time go in, what to do comes out. Nothing
//! here does anything itself: no network, no disk, no clock, no chance. The services, the models and the simulation are
//! shells around the same code.

pub mod fence;
pub mod handoff;
pub mod holder;
pub mod invariants;
pub mod leader;
pub mod members;
pub mod quorum;
pub mod silence;
pub mod witness;
