//! The doors through which the simulation calls what decides about replicas without a task around it. Exists only with the feature
//! `plant`; decides nothing itself.

pub use crate::boot::simulation as boot;
pub use crate::reconcile::simulation as reconcile;
pub use crate::recovery::simulation as recovery;
pub use crate::replication::simulation as replication;
