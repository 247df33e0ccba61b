//! One pod on this node: what to do ([`plan`]), what to say ([`status`]), and the worker that does and says it.

mod dns;
mod environment;
mod ephemeral;
mod expansion;
mod hooks;
mod hosts;
mod kill;
mod mounts;
mod names;
mod prepare;
mod restart;
mod sandbox_config;
mod security;
mod start;
mod writer;

pub(crate) mod labels;
pub(crate) mod observed;
pub(crate) mod plan;
pub(crate) mod resources;
pub(crate) mod signal;
pub(crate) mod status;
mod told;
pub(crate) mod worker;
