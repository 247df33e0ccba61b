//! How long commits take while checkpoints are written beside them, and how long when none are.

use serde_json::json;
use store::{Durability, Op, Store, StoreConfig, Write};

use crate::{
    Options,
    measure::{Times, median, noise, report},
    puts,
};

/// Few enough that the queue is no part of what is measured.
const CLIENTS: usize = 4;
/// What lives beside the keys that are written: a checkpoint has this to write each time.
const LIVE_BYTES: usize = 200 << 20;

pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let with = StoreConfig::new(options.dir.join("pauses-with"));
    let enough = u64::MAX / 8;
    let without = StoreConfig {
        checkpoint_bytes: enough,
        slack_bytes: enough,
        ..StoreConfig::new(options.dir.join("pauses-without"))
    };
    let stores = [("with checkpoints", Store::open(with)?), ("without checkpoints", Store::open(without)?)];
    for (_, store) in &stores {
        fill(store).await?;
    }
    let mut all: Vec<(&str, Times)> = Vec::new();
    for _ in 0..options.rounds {
        for (what, store) in &stores {
            let times = puts::puts(store, options, CLIENTS, Durability::Durable).await?;
            report(what, times.to_json());
            all.push((what, times));
        }
    }
    let of = |what: &str, share: f64| {
        median(all.iter().filter(|(other, _)| *other == what).map(|(_, times)| times.micros(share) as f64))
    };
    let shares = |what: &str| json!({ "p50": of(what, 0.5), "p99": of(what, 0.99), "p999": of(what, 0.999), "max": of(what, 1.0) });
    report(
        "medians of pauses, us",
        json!({ "clients": CLIENTS, "live bytes": LIVE_BYTES, "with": shares("with checkpoints"), "without": shares("without checkpoints") }),
    );
    for (_, store) in &stores {
        store.close().await;
    }
    Ok(())
}

async fn fill(store: &Store) -> anyhow::Result<()> {
    const VALUE_BYTES: usize = 64 << 10;
    for number in 0..LIVE_BYTES / VALUE_BYTES / 16 {
        let put = |n: usize| Op::Put {
            key: format!("/live/{number}/{n}").as_bytes().into(),
            value: noise(VALUE_BYTES, (number * 16 + n) as u64).into(),
        };
        store.commit(Write::transaction((0..16).map(put).collect())).await?;
    }
    Ok(())
}
