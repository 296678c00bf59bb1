//! Models of the ownership protocol (OWNERSHIP.md): small worlds around the production cores of `shared::protocol`, searched
//! through in every order of events. Decides what may happen in such a world and what must hold in it; nothing of the
//! protocol itself. A rule of the protocol can be taken away; then the search must find the harm.

pub mod lease;
pub mod moves;

pub mod seal;
pub mod search;
pub mod world;
