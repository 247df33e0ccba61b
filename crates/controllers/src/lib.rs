//! Every built-in controller, one module each, under its upstream name.
//!
//! Each observes (reads listers), plans (a pure function, unit-tested) and acts (writes through a client of its own
//! identity). A settled reconcile writes nothing.

mod certificates;
mod claim;
mod clusterroleaggregation;
mod context;
mod deployment;
mod discovery;
mod endpoints;
mod endpointslice;
mod endpointslicemirroring;
mod garbagecollector;
mod namespace;
mod nodeipam;
mod nodelifecycle;
mod pod_control;
mod podgc;
mod replicaset;
mod root_ca_publisher;
mod serviceaccount;
mod services;
mod slices;
mod start;
mod tainteviction;

pub use certificates::Signers;
pub use nodeipam::NodeSubnets;
pub use nodelifecycle::NODE_MONITOR_GRACE;
pub use start::{Config, start};
