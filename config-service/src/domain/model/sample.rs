//! A pod as tests need one: registered, alive, and nothing else said of it.

use super::PodRecord;
use shared::LeaseId;
use shared::wire::control::PodInfo;

impl PodRecord {
    /// Returns a pod that has registered with this, for its first lease.
    pub(crate) fn sample(name: &str, incarnation: &str) -> Self {
        let info = PodInfo {
            pod: name.parse().expect("valid"),
            address: "127.0.0.1:1".to_owned(),
            incarnation: incarnation.parse().expect("valid"),
            zone: None,
            capacity: 1.0,
            revision: Default::default(),
        };
        Self {
            info,
            lease_id: LeaseId(1),
            schema: 1,
            version: "test".to_owned(),
            loss_accepted: false,
            buried: false,
            previous: None,
            report: false,
            bot: None,
            replica: None,
            track: Default::default(),
            marks: Default::default(),
        }
    }
}
