//! The node's agent.
mod pod;
mod probe;
