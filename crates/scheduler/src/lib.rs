//! Which node a pod runs on: a queue of pods, a snapshot of nodes, plugins that filter and score, and the binding.

mod binding;
mod cache;
mod cycle;
mod node_info;
mod node_selector;
mod nominated;
mod plugins;
mod pod_info;
mod preemption;
mod queue;
mod resources;
mod scheduler;

pub use scheduler::Scheduler;
