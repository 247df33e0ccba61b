//! Talks to the kernel's network: links, addresses, routes, namespaces, packet rules and tracked connections.
//!
//! Requests are synchronous system calls of well under a millisecond and bounded by a timeout; async callers wrap them in `spawn_blocking`.
#![allow(unsafe_code, reason = "netlink sockets and setns are system calls")]

mod addresses;
mod conntrack;
mod error;
mod links;
mod message;
mod namespace;
mod routes;
mod socket;

pub mod nft;

pub use addresses::Address;
pub use conntrack::{Conntrack, Flow};
pub use error::{Error, Result};
pub use links::{Link, Veth};
pub use namespace::Namespace;
pub use routes::Route;
pub use socket::Socket;
