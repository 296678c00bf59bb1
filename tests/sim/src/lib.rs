//! A deterministic simulation of a whole cluster: gateways, config-services, routers, a database and the platforms, under
//! virtual time, with every fault that can be thought of. The nodes run production's code where it decides: the protocol's
//! state machines, the guard, the routing table, the planner, the control plane's model and store. What a seed does, it does
//! every time.

mod agenda;
mod database;
mod depot;
mod disk;
mod draw;
mod faults;
mod hardware;
mod history;
mod measures;
mod message;
mod network;
mod operator;
mod plane;
mod platform;
mod pod;
mod profile;
mod router;
mod run;
mod world;

pub use profile::Day;
pub use run::{Options, Report, run};
