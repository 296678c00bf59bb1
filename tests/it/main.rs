//! Stories with real processes: one binary, a module per subject. Each name says what Berth promises.

mod admin_api;
mod bad_input;
mod bench;
mod cli;
mod disk;
mod docs;
mod examples;
mod first_contact;
mod fixtures;
mod golden;
mod handler_test;
mod http_handler;
mod kill;
mod leases;
mod load;
mod outbox;
mod page;
mod store_contract;
mod tables;
mod traces;
mod up;
mod vectors;
mod waiting;
mod web;
