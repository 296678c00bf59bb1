//! What Berth's stories are told with: a runner for clusters of real processes, senders that sign as the platforms do,
//! doubles that record what Berth sends out, and the means to wait for a condition instead of for time.
//!
//! The senders share no code with the verifiers they test. Nothing here decides what is right; the stories do.

mod accept;
pub mod beside;
pub mod browser;
pub mod client;
pub mod cluster;
pub mod collector_double;
pub mod copied;
pub mod cut_proxy;
pub mod double;
pub mod failing_flush;
pub mod fixtures;
pub mod flood;
pub mod handler_double;
pub mod ledger;
pub mod litestream;
pub mod page;
pub mod pod_data;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod raw;
pub mod reckoning;
pub mod role;
pub mod scrape;
pub mod senders;
pub mod small_disk;
pub mod statefulset;
pub mod store;
pub mod store_proxy;
pub mod supervised;
pub mod sync_proxy;
pub mod tunnel_double;
pub mod wait;
pub mod web_double;
pub mod workload;

pub use client::{Client, Reply};
pub use cluster::{Cluster, Setup};
pub use role::Role;
pub use senders::{Delivery, Keys};
pub use wait::{eventually, within};
