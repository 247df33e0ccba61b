//! Heartbeats of 100,000 nodes: each renews its lease every ten seconds. And a store to which nothing happens.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use store::{Key, Op, Store, StoreConfig, Value, Write};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    Options,
    measure::{processor_time, report, store_time, written_bytes},
};

const NODES: usize = 100_000;
const PER_SECOND: usize = 10_000;
/// Renewals are begun in bundles, as they come from many connections at once.
const BUNDLES: usize = 100;
/// So long that what is put off is written too.
const AT_LEAST: Duration = Duration::from_secs(40);
const FIRST: Duration = Duration::from_secs(11);

pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let dir = options.dir.join("leases");
    let store = Store::open(StoreConfig::new(&dir))?;
    let leases: Vec<Arc<Lease>> = (0..NODES).map(|node| Arc::new(Lease::of(node))).collect();
    for some in leases.chunks(100) {
        let put = |lease: &Arc<Lease>| Op::Put { key: lease.key.clone(), value: lease.renewed(0) };
        store.commit(Write::transaction(some.iter().map(put).collect())).await?;
    }
    rewrite(&store, &dir).await?;
    renew(&store, &leases).await?;
    report("a checkpoint of the leases", json!({ "bytes": rewrite(&store, &dir).await? }));
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

/// Has everything written anew, so that what follows begins with nothing that is due. Answers the bytes of the checkpoint.
async fn rewrite(store: &Store, dir: &Path) -> anyhow::Result<u64> {
    store.rewrite().await?;
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b"checkpoint-") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

async fn renew(store: &Store, leases: &[Arc<Lease>]) -> anyhow::Result<()> {
    let mut due: BinaryHeap<Reverse<Renewal>> = (0..NODES).map(|node| Reverse(Renewal::first(node))).collect();
    let mut renewed = 0;
    // What each node does first names it by its whole key.
    for (what, seconds) in [("lease renewals, first", FIRST), ("lease renewals", AT_LEAST)] {
        let (written, spent, begun) = (written_bytes()?, processor_time()?, Instant::now());
        let spent_by_store = store_time()?;
        let (files, before) = (store.health().disk_bytes, renewed);
        let mut timer = tokio::time::interval(Duration::from_secs(1) / BUNDLES as u32);
        while begun.elapsed() < seconds {
            timer.tick().await;
            let mut bundle = JoinSet::new();
            for _ in 0..PER_SECOND / BUNDLES {
                let Some(Reverse(renewal)) = due.pop() else { break };
                due.push(Reverse(renewal.next()));
                renewed += 1;
                let (store, lease) = (store.clone(), leases[renewal.node].clone());
                bundle.spawn(async move {
                    store.commit(Write::put(lease.key.clone(), lease.renewed(renewal.at)).relaxed()).await
                });
            }
            while let Some(done) = bundle.join_next().await {
                done??;
            }
        }
        // What the log still owes the disk is part of it.
        store.commit(Write::put(&b"/end"[..], "v")).await?;
        let elapsed = begun.elapsed().as_secs_f64();
        report(
            what,
            json!({
                "per_second": ((renewed - before) as f64 / elapsed) as u64,
                "share of a core": (processor_time()? - spent).as_secs_f64() / elapsed,
                "of it the store's threads": (store_time()? - spent_by_store).as_secs_f64() / elapsed,
                "disk bytes a second": ((written_bytes()? - written) as f64 / elapsed) as u64,
                "log bytes a renewal": store.health().disk_bytes.saturating_sub(files) as f64 / (renewed - before) as f64,
                "bytes of a lease": store.snapshot().get(&leases[0].key).map_or(0, |kv| kv.value.len()),
            }),
        );
    }
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

/// As the API server stores what a kubelet sends, managed fields and all: the text around what changes. So the processor
/// time that is measured is the store's, not that of making it up.
struct Lease {
    key: Key,
    parts: [String; 4],
}

impl Lease {
    fn of(node: usize) -> Lease {
        let uid = |salt| {
            let (a, b) = (scatter(node, salt), scatter(node, salt + 1));
            let (b, c) = (b >> 48, b & 0xffff_ffff_ffff);
            format!("{:08x}-{:04x}-4{:03x}-a{:03x}-{c:012x}", a >> 32, a & 0xffff, a >> 16 & 0xfff, b & 0xfff)
        };
        let (uid, owner) = (uid(1 << 60), uid(1 << 61));
        let parts = [
            format!(
                r#"{{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{{"name":"node-{node:06}","namespace":"kube-node-lease","uid":"{uid}","resourceVersion":""#
            ),
            format!(
                r#"","creationTimestamp":"2026-11-21T09:58:11Z","ownerReferences":[{{"apiVersion":"v1","kind":"Node","name":"node-{node:06}","uid":"{owner}"}}],"managedFields":[{{"manager":"kubelet","operation":"Update","apiVersion":"coordination.k8s.io/v1","time":""#
            ),
            format!(
                r#"Z","fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:ownerReferences":{{".":{{}},"k:{{\"uid\":\"{owner}\"}}":{{}}}}}},"f:spec":{{"f:holderIdentity":{{}},"f:leaseDurationSeconds":{{}},"f:renewTime":{{}}}}}}}}]}},"spec":{{"holderIdentity":"node-{node:06}","leaseDurationSeconds":40,"renewTime":""#
            ),
            r#"Z"}}"#.to_owned(),
        ];
        let key = format!("/registry/leases/kube-node-lease/node-{node:06}");
        Lease { key: key.as_bytes().into(), parts }
    }

    fn renewed(self: &Arc<Self>, at: u64) -> Value {
        let (lease, seconds) = (self.clone(), at / 1_000_000);
        let time = format!(
            "2026-11-21T{:02}:{:02}:{:02}.{:06}",
            10 + seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            at % 1_000_000
        );
        Value::built(move |revision| {
            let (revision, [a, b, c, d]) = (revision.to_string(), &lease.parts);
            [a, &revision, b, &time[..time.len() - 7], c, &time, d].concat().into_bytes().into()
        })
    }
}
