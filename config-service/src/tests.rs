//! Stories of the whole service: a real listener, the embedded store, leases on a clock moved by hand.

mod administration;
mod dying;
mod harness;
mod history;
mod leases;
mod moving;
mod pages;
mod placing;
mod restoring;
mod stores;
mod walls;
mod watching;
