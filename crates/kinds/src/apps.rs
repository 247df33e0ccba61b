//! Kinds of the group `apps`.

mod controller_revision;
mod deployment;
mod replica_set;
mod workload;

pub use controller_revision::ControllerRevision;
pub use deployment::Deployment;
pub use replica_set::ReplicaSet;
