//! Names of Services and pods, as the Kubernetes DNS specification (1.1.0) has them; other names are asked upstream.

mod answer;
mod forward;
mod records;
mod server;
mod zone;

pub use forward::resolv_conf_servers;
pub use server::{Config, DnsError, start};
