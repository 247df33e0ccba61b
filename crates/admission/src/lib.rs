//! The built-in admission plug-ins: what changes or refuses a write after it is authorized and before it is stored.
//! A plug-in is a file here and a line in [`Chain::builtin`], which has upstream's order.

mod certificate_requestor;
mod chain;
mod default_toleration_seconds;
mod namespace_lifecycle;
mod node_restriction;
mod pod_security;
mod priority;
mod request;
mod runtime_class;
mod service_account;
mod taint_nodes_by_condition;

pub use chain::{Chain, Plugin};
pub use request::{Gvr, Objects, Operation, Request};
