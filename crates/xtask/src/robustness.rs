//! The robustness tests for as long as one likes.

use std::process::Command;

use anyhow::{Context, ensure};

#[derive(clap::Args)]
pub(crate) struct Robustness {
    /// How long
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// The first seed; the next ones follow
    #[arg(long)]
    seed: Option<u64>,
    /// Without optimization: builds in a fraction of the time, and does less in the same
    #[arg(long)]
    unoptimized: bool,
    /// Two stores on an etcd of three members, instead of local stores; needs root, and etcd
    #[arg(long)]
    etcd: bool,
    /// Puts bugs of a store on etcd back instead, and fails unless each is found
    #[arg(long, conflicts_with_all = ["etcd", "seed", "minutes"])]
    etcd_bugs: bool,
}

impl Robustness {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.arg("run");
        if !self.unoptimized {
            cargo.arg("--release");
        }
        cargo.args(["--package", "robustness", "--"]);
        if self.etcd_bugs {
            cargo.arg("etcd-bugs");
        } else {
            cargo.args(["run", "--minutes", &self.minutes.to_string()]);
        }
        if let Some(seed) = self.seed {
            cargo.args(["--seed", &seed.to_string()]);
        }
        if self.etcd {
            cargo.arg("--etcd");
        }
        let status = cargo.status().context("start cargo")?;
        ensure!(status.success(), "the robustness tests failed: {status}");
        Ok(())
    }
}
