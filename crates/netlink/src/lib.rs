//! The kernel's networking: links, addresses, routes, namespaces and packet rules.

pub mod nft;
