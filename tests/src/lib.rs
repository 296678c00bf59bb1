//! What Berth's stories are told with: a runner for clusters of real processes, senders that sign as the platforms do,
//! doubles that record what Berth sends out, and the means to wait for a condition instead of for time.
//!
//! The senders share no code with the verifiers they test. Nothing here decides what is right; the stories do.

pub mod beside;
pub mod browser;
pub mod client;
pub mod cluster;
pub mod collector_double;
pub mod cut_proxy;
pub mod double;
pub mod fixtures;
pub mod handler_double;
pub mod litestream;
pub mod pod_data;
pub mod postgres;
pub mod process;
pub mod raw;
pub mod role;
pub mod scrape;
pub mod senders;
pub mod supervised;
pub mod sync_proxy;
pub mod wait;
pub mod web_double;
pub mod workload;

pub use client::{Client, Reply};
pub use cluster::{Cluster, Setup};
pub use role::Role;
pub use senders::{Delivery, Keys};
pub use wait::{eventually, within};
