//! Runs a daemon until it is asked to stop.

use std::io::IsTerminal;

use anyhow::Context;
use supervisor::Running;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::memory;

/// Starts what `start` makes, and stops it at SIGTERM or SIGINT.
pub(crate) fn until_stopped(start: impl Future<Output = anyhow::Result<Running>>) -> anyhow::Result<()> {
    log();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the async runtime")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let running = tokio::select! {
            running = start => running?,
            // What was begun is taken up by the next start.
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        };
        match running.kubeconfig() {
            Some(path) => tracing::info!(kubeconfig = %path.display(), "running"),
            None => tracing::info!("running"),
        }
        tokio::select! {
            _ = terminate.recv() => tracing::info!("stopping at SIGTERM"),
            _ = interrupt.recv() => tracing::info!("stopping at SIGINT"),
            never = memory::give_back() => match never {},
        }
        running.stop().await;
        Ok(())
    })
}

/// Runs something that ends by itself.
pub(crate) fn to_end<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    log();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the async runtime")?;
    runtime.block_on(work)
}

/// To standard error; `KNARR_LOG` chooses what, as `tracing` filters do.
fn log() {
    let filter = EnvFilter::try_from_env("KNARR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let stderr = std::io::stderr;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal()).init();
}
