//! A million keys: memory and disk for each byte, reads, a page, and opening it all again.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use store::{Op, Store, StoreConfig, Write};
use tokio::time::Instant;

use crate::{
    Options,
    measure::{median, report, resident_bytes, thread_time},
};

const VALUE_BYTES: usize = 1024;
const PAGE: usize = 10_000;

pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let before = resident_bytes()?;
    let config = StoreConfig::new(options.dir.join("many"));
    let store = Store::open(config.clone())?;
    fill(&store, options, before).await?;
    reads(&store, options)?;
    store.close().await;
    drop(store);
    let start = Instant::now();
    let store = Store::open(config)?;
    let health = store.health();
    report(
        "open",
        json!({ "seconds": start.elapsed().as_secs_f64(), "keys": health.keys, "live_bytes": health.live_bytes, "disk_bytes": health.disk_bytes }),
    );
    Ok(())
}

async fn fill(store: &Store, options: &Options, resident_before: u64) -> anyhow::Result<()> {
    let start = Instant::now();
    for first in (0..options.keys).step_by(100) {
        let put = |number: usize| Op::Put { key: key(number).as_bytes().into(), value: vec![b'v'; VALUE_BYTES].into() };
        let ops = (first..(first + 100).min(options.keys)).map(put).collect();
        store.commit(Write::transaction(ops)).await?;
    }
    let health = store.health();
    let resident = resident_bytes()?.saturating_sub(resident_before);
    report(
        "fill",
        json!({
            "seconds": start.elapsed().as_secs_f64(),
            "live_bytes": health.live_bytes,
            "resident_bytes": resident,
            "resident_per_live": resident as f64 / health.live_bytes as f64,
            "disk_per_live": health.disk_bytes as f64 / health.live_bytes as f64,
        }),
    );
    Ok(())
}

fn key(number: usize) -> String {
    format!("/fill/{number:08}")
}

fn reads(store: &Store, options: &Options) -> anyhow::Result<()> {
    // Made before, so that making them is no part of it.
    let keys: Vec<String> = (0..options.keys).step_by(7).map(key).collect();
    for (what, is_each) in [("snapshot and get, one thread", true), ("get from one snapshot, one thread", false)] {
        let (start, spent, snapshot) = (Instant::now(), thread_time()?, store.snapshot());
        let mut count = 0usize;
        while start.elapsed() < Duration::from_secs(options.seconds) {
            for _ in 0..1000 {
                count += 1;
                let key = keys[count.wrapping_mul(2_654_435_761) % keys.len()].as_bytes();
                let found = if is_each { store.snapshot().get(key).is_some() } else { snapshot.get(key).is_some() };
                ensure!(found, "a key is not there");
            }
        }
        // Others may have the processor meanwhile; what counts is what one core can do.
        let spent = thread_time()? - spent;
        report(what, json!({ "per_second_of_a_core": (count as f64 / spent.as_secs_f64()) as u64 }));
    }
    let mut times = Vec::new();
    for number in 0..options.rounds.max(5) {
        let after = key(number * PAGE);
        let start = Instant::now();
        let page = store.snapshot().range(b"/fill/", Some(after.as_bytes()), PAGE);
        times.push(start.elapsed().as_micros() as f64);
        ensure!(page.items.len() == PAGE.min(options.keys - number * PAGE - 1), "a page is short");
    }
    report("range of 10,000", json!({ "us": median(times) }));
    Ok(())
}
