//! Services to packet rules: what each Service asks is computed on its own, the difference to what the kernel has is
//! one nftables transaction in a table of our own. Foreign rules are neither read nor touched.

mod endpoints;
mod flows;
mod proxy;
mod rules;
mod service;
mod sysctl;

pub use proxy::{Config, ProxyError, start, tear_down};
