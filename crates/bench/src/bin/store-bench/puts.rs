//! Durable puts by one and by many clients: the bare disk, the store, etcd, one after the other, several times.

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde_json::json;
use store::{Durability, Op, Store, StoreConfig, Write};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    Options,
    etcd::Etcd,
    measure::{Times, median, noise, report},
};

/// Each client writes over so many keys.
const KEYS: usize = 100;
const CLIENTS: [usize; 2] = [1, 100];

pub(crate) async fn measure(options: &Options) -> anyhow::Result<()> {
    let store = Store::open(StoreConfig::new(options.dir.join("puts")))?;
    let etcd = match options.etcd.exists() {
        true => Some(Etcd::start(&options.etcd, &options.dir.join("etcd")).await?),
        false => None,
    };
    let mut all: Vec<(String, Times)> = Vec::new();
    for _ in 0..options.rounds {
        all.push(("append and fdatasync, no store".to_owned(), syncs(options)?));
        for clients in CLIENTS {
            all.push((format!("store, {clients} clients"), puts(&store, options, clients, Durability::Durable).await?));
            if let Some(etcd) = &etcd {
                all.push((format!("etcd, {clients} clients"), etcd_puts(etcd, options, clients).await?));
            }
        }
        all.push(("store, 100 clients, relaxed".to_owned(), puts(&store, options, 100, Durability::Relaxed).await?));
    }
    for (what, times) in &all {
        report(what, times.to_json());
    }
    let of = |what: &str, number: fn(&Times) -> f64| {
        median(all.iter().filter(|(other, _)| other == what).map(|(_, times)| number(times)))
    };
    let rate = |what: &str| of(what, Times::per_second);
    let p99 = |what: &str| of(what, |times| times.micros(0.99) as f64);
    report(
        "medians of puts",
        json!({
            "rounds": options.rounds,
            "one sync p50 us": of("append and fdatasync, no store", |times| times.micros(0.5) as f64),
            "store 1 client p50 us": of("store, 1 clients", |times| times.micros(0.5) as f64),
            "store 1 client / one sync": rate("append and fdatasync, no store") / rate("store, 1 clients"),
            "store / etcd, 1 client": rate("store, 1 clients") / rate("etcd, 1 clients"),
            "store 100 clients per second": rate("store, 100 clients"),
            "etcd 100 clients per second": rate("etcd, 100 clients"),
            "store / etcd, 100 clients": rate("store, 100 clients") / rate("etcd, 100 clients"),
            "store 100 clients p99 us": p99("store, 100 clients"),
            "etcd 100 clients p99 us": p99("etcd, 100 clients"),
            "store 100 clients relaxed per second": rate("store, 100 clients, relaxed"),
        }),
    );
    store.close().await;
    Ok(())
}

/// The floor of every durable write: appending as much to a file and syncing it.
fn syncs(options: &Options) -> anyhow::Result<Times> {
    let path = options.dir.join("syncs");
    let mut file = std::fs::File::create(&path)?;
    let bytes = vec![b'v'; options.value_bytes];
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(options.seconds) {
        let begun = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(Times::new(times, start.elapsed()))
}

pub(crate) async fn puts(
    store: &Store,
    options: &Options,
    clients: usize,
    durability: Durability,
) -> anyhow::Result<Times> {
    // Nothing of a value is in the one before, nor does it compress: all of it has to be written.
    let (pool, next) = (Bytes::from(noise(options.value_bytes + (1 << 20), 7)), Arc::new(AtomicUsize::new(0)));
    let (store, length) = (store.clone(), options.value_bytes);
    clients_for(options.seconds, clients, move |key| {
        let from = next.fetch_add(1, Ordering::Relaxed).wrapping_mul(65_537) % (1 << 20);
        // As the registry hands values over: each is its own.
        let (store, value) = (store.clone(), pool[from..from + length].to_vec());
        async move {
            let ops = vec![Op::Put { key: key.as_bytes().into(), value: value.into() }];
            store.commit(Write { durability, ..Write::transaction(ops) }).await?;
            Ok(())
        }
    })
    .await
}

async fn etcd_puts(etcd: &Etcd, options: &Options, clients: usize) -> anyhow::Result<Times> {
    let (sender, value) = (etcd.sender(), vec![b'v'; options.value_bytes]);
    clients_for(options.seconds, clients, move |key| {
        let (sender, request) = (sender.clone(), Etcd::put(key.as_bytes(), &value));
        async move { sender.call(request).await }
    })
    .await
}

/// Lets so many clients do one call after the other, each by itself.
async fn clients_for<F, C>(seconds: u64, clients: usize, call: F) -> anyhow::Result<Times>
where
    F: Fn(String) -> C + Clone + Send + 'static,
    C: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let start = Instant::now();
    let until = start + Duration::from_secs(seconds);
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let call = call.clone();
        tasks.spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let call = call(format!("/put/{client}/{}", times.len() % KEYS));
                let begun = Instant::now();
                call.await?;
                times.push(begun.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    Ok(Times::new(times, start.elapsed()))
}
