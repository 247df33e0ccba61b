//! Clusters for tests: the real executable as a real process, real kubectl of every version on the machine, and
//! waiting with deadlines. A failure panics with everything that was seen, since a test is all that calls this.

#![allow(clippy::disallowed_types, reason = "these tests wait in real time for real processes")]

mod agent;
mod apiserver;
mod binary;
mod death;
mod dice;
mod etcd;
mod kubectl;
mod network;
mod node;
mod output;
mod process;
mod storage;
mod wait;

pub use agent::Agent;
pub use apiserver::ApiServer;
pub use binary::{examples, knarr, use_knarr};
pub use death::{FILE_CALLS, deadly, deadly_about, killed_at};
pub use dice::Dice;
pub use etcd::{Etcd, EtcdCertificates, EtcdCluster};
pub use kubectl::Kubectl;
pub use network::Network;
pub use node::{Node, get};
pub use output::Output;
pub use process::Process;
pub use storage::{Storage, Trouble};
pub use wait::{eventually, within};
