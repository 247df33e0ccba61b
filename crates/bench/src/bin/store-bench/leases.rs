//! Heartbeats of 100,000 nodes: each renews its lease every ten seconds. And a store to which nothing happens.

use std::time::Duration;

use serde_json::json;
use store::{Op, Store, StoreConfig, Write};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    Options,
    measure::{processor_time, report, written_bytes},
};

const NODES: usize = 100_000;
const PER_SECOND: usize = 10_000;
/// Renewals are begun in bundles, as they come from many connections at once.
const BUNDLES: usize = 100;
/// So long that what is put off is written too.
const AT_LEAST: Duration = Duration::from_secs(40);

pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let store = Store::open(StoreConfig::new(options.dir.join("leases")))?;
    for first in (0..NODES).step_by(100) {
        let put = |node: usize| Op::Put { key: key(node).as_bytes().into(), value: lease(node, 0).into() };
        store.commit(Write::transaction((first..first + 100).map(put).collect())).await?;
    }
    renew(&store).await?;
    let (written, begun) = (written_bytes()?, Instant::now());
    let spent = processor_time()?;
    // Longer than anything is put off.
    tokio::time::sleep(AT_LEAST).await;
    let hours = begun.elapsed().as_secs_f64() / 3600.0;
    report(
        "idle",
        json!({
            "bytes written an hour": ((written_bytes()? - written) as f64 / hours) as u64,
            "share of a core": (processor_time()? - spent).as_secs_f64() / begun.elapsed().as_secs_f64(),
        }),
    );
    store.close().await;
    Ok(())
}

async fn renew(store: &Store) -> anyhow::Result<()> {
    let (written, spent, begun) = (written_bytes()?, processor_time()?, Instant::now());
    let mut timer = tokio::time::interval(Duration::from_secs(1) / BUNDLES as u32);
    let mut renewed = 0;
    while begun.elapsed() < AT_LEAST {
        timer.tick().await;
        let mut bundle = JoinSet::new();
        for _ in 0..PER_SECOND / BUNDLES {
            let (store, node, time) = (store.clone(), renewed % NODES, renewed / NODES + 1);
            renewed += 1;
            bundle.spawn(
                async move { store.commit(Write::put(key(node).as_bytes(), lease(node, time)).relaxed()).await },
            );
        }
        while let Some(done) = bundle.join_next().await {
            done??;
        }
    }
    // What the log still owes the disk is part of it.
    store.commit(Write::put(&b"/end"[..], "v")).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    report(
        "lease renewals",
        json!({
            "per_second": (renewed as f64 / elapsed) as u64,
            "share of a core": (processor_time()? - spent).as_secs_f64() / elapsed,
            "disk bytes a second": ((written_bytes()? - written) as f64 / elapsed) as u64,
            "bytes of a lease": lease(0, 0).len(),
        }),
    );
    Ok(())
}

fn key(node: usize) -> String {
    format!("/registry/leases/kube-node-lease/node-{node:06}")
}

/// As the API server stores one.
fn lease(node: usize, time: usize) -> Vec<u8> {
    let (seconds, name) = (time % 60, format!("node-{node:06}"));
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": name, "namespace": "kube-node-lease", "uid": "6f9c3a1e-5b0f-4d7a-9a53-1d2f3c4b5a69",
            "resourceVersion": "1000000", "creationTimestamp": "2026-11-21T10:00:00Z",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"}],
        },
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": format!("2026-11-21T10:00:{seconds:02}.000000Z")},
    })
    .to_string()
    .into_bytes()
}
