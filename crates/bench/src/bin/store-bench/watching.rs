//! Events of one key to many watches.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use serde_json::json;
use store::{Store, StoreConfig, Write};
use tokio::{task::JoinSet, time::Instant};

use crate::{Options, measure::report};

/// So many events at a time, and no more before all have seen them.
const AT_ONCE: u64 = 200;

pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let store = Store::open(StoreConfig::new(options.dir.join("watching")))?;
    let seen = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for _ in 0..options.watches {
        let mut watch = store.watch(b"/fan", store.revision()).context("watching now")?;
        let (seen, stop) = (seen.clone(), stop.clone());
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                seen.fetch_add(watch.next().await?.len() as u64, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    let start = Instant::now();
    let until = start + Duration::from_secs(options.seconds);
    let mut writes = 0u64;
    while Instant::now() < until {
        for _ in 0..AT_ONCE {
            store.commit(Write::put(&b"/fan"[..], "v").relaxed()).await?;
            writes += 1;
        }
        while seen.load(Ordering::Relaxed) < writes * options.watches as u64 {
            tokio::task::yield_now().await;
        }
    }
    let per_second = (seen.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()) as u64;
    stop.store(true, Ordering::Relaxed);
    store.commit(Write::put(&b"/fan"[..], "end").relaxed()).await?;
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    report("fan-out", json!({ "watches": options.watches, "events_per_second": per_second }));
    store.close().await;
    Ok(())
}
