//! The built-in pod network of one node: a bridge, a cable per pod, addresses from the node's range, masquerade and host ports.
//!
//! Every name and path is a parameter, so that several nodes can live on one machine, each in its own namespaces.

mod error;
mod flows;
mod ipam;
mod network;
mod range;
mod rules;
mod sysctl;

pub use error::{Error, Result};
pub use ipam::Reservation;
pub use network::{Attachment, Config, Network, teardown_all};
pub use range::Range;
pub use rules::{HostPort, Protocol};
