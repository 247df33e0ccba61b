//! Heartbeats of 100,000 nodes: each renews its lease every ten seconds. And a store to which nothing happens.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use bytes::Bytes;
use serde_json::json;
use store::{Op, Revision, Store, StoreConfig, Value, Write};
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
        let put = |node: usize| Op::Put { key: key(node).as_bytes().into(), value: Value::built(move |revision| lease(node, 0, revision)) };
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
    let mut due: BinaryHeap<Reverse<Renewal>> = (0..NODES).map(|node| Reverse(Renewal::first(node))).collect();
    let (written, spent, begun) = (written_bytes()?, processor_time()?, Instant::now());
    let mut timer = tokio::time::interval(Duration::from_secs(1) / BUNDLES as u32);
    let mut renewed = 0;
    while begun.elapsed() < AT_LEAST {
        timer.tick().await;
        let mut bundle = JoinSet::new();
        for _ in 0..PER_SECOND / BUNDLES {
            let Some(Reverse(renewal)) = due.pop() else { break };
            due.push(Reverse(renewal.next()));
            renewed += 1;
            let (store, node, at) = (store.clone(), renewal.node, renewal.at);
            let write = Write::put(key(node).as_bytes(), Value::built(move |revision| lease(node, at, revision)));
            bundle.spawn(async move { store.commit(write.relaxed()).await });
        }
        while let Some(done) = bundle.join_next().await {
            done??;
        }
    }
    // What the log still owes the disk is part of it.
    store.commit(Write::put(&b"/end"[..], "v")).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    let disk = store.health().disk_bytes;
    report(
        "lease renewals",
        json!({
            "per_second": (renewed as f64 / elapsed) as u64,
            "share of a core": (processor_time()? - spent).as_secs_f64() / elapsed,
            "disk bytes a second": ((written_bytes()? - written) as f64 / elapsed) as u64,
            "bytes of a lease": lease(0, 0, Revision(1_000_000)).len(),
            "bytes of all files": disk,
        }),
    );
    Ok(())
}

/// A node's next renewal. They come as a kubelet sends them: ten seconds after the one before, and up to 4 % more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Renewal {
    /// Microseconds since the first.
    at: u64,
    node: usize,
}

impl Renewal {
    const EVERY: u64 = 10_000_000;

    fn first(node: usize) -> Renewal {
        Renewal { at: scatter(node, 0) % Renewal::EVERY, node }
    }

    fn next(self) -> Renewal {
        let more = scatter(self.node, self.at) % (Renewal::EVERY / 25);
        Renewal { at: self.at + Renewal::EVERY + more, node: self.node }
    }
}

/// A number that looks random, and is the same for the same node and moment.
fn scatter(node: usize, at: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (node, at).hash(&mut hasher);
    hasher.finish()
}

fn key(node: usize) -> String {
    format!("/registry/leases/kube-node-lease/node-{node:06}")
}

/// As the API server stores what a kubelet sends, managed fields and all.
fn lease(node: usize, at: u64, revision: Revision) -> Bytes {
    let uid = |salt| {
        let (a, b) = (scatter(node, salt), scatter(node, salt + 1));
        format!("{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", a >> 32, a & 0xffff, b >> 52, b & 0xfff, (b >> 12) & 0xffff_ffff_ffff)
    };
    let (seconds, micros) = (at / 1_000_000, at % 1_000_000);
    let time = format!("2026-11-21T{:02}:{:02}:{:02}", 10 + seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (uid, owner) = (uid(1 << 60), uid(1 << 61));
    let text = format!(
        concat!(
            r#"{{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{{"name":"node-{node:06}","#,
            r#""namespace":"kube-node-lease","uid":"{uid}","resourceVersion":"{revision}","#,
            r#""creationTimestamp":"2026-11-21T09:58:11Z","ownerReferences":[{{"apiVersion":"v1","kind":"Node","#,
            r#""name":"node-{node:06}","uid":"{owner}"}}],"managedFields":[{{"manager":"kubelet","operation":"Update","#,
            r#""apiVersion":"coordination.k8s.io/v1","time":"{time}Z","fieldsType":"FieldsV1","fieldsV1":{{"#,
            r#""f:metadata":{{"f:ownerReferences":{{".":{{}},"k:{{\"uid\":\"{owner}\"}}":{{}}}}}},"f:spec":{{"#,
            r#""f:holderIdentity":{{}},"f:leaseDurationSeconds":{{}},"f:renewTime":{{}}}}}}}}]}},"spec":{{"#,
            r#""holderIdentity":"node-{node:06}","leaseDurationSeconds":40,"renewTime":"{time}.{micros:06}Z"}}}}"#,
        ),
        node = node, uid = uid, owner = owner, revision = revision, time = time, micros = micros,
    );
    text.into_bytes().into()
}
