//! One pod on this node: what to do ([`plan`]), what to say ([`status`]), and the pieces both are made of.

pub(crate) mod labels;
pub(crate) mod observed;
pub(crate) mod plan;
pub(crate) mod restart;
pub(crate) mod status;
