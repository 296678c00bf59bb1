//! Stories of the whole service: a real listener, the embedded store, leases on a clock moved by hand.

mod administration;
mod canary;
mod deeds;
mod dying;
mod harness;
mod history;
mod identify;
mod leases;
mod lineages;
mod moving;
mod pages;
mod placing;
mod planning;
mod rest;
mod restoring;
mod rounds;
mod scaling;
mod stage;
mod stores;
mod takeover;
mod walls;
mod watching;
