//! Three members in networks of their own: any of them goes away, is cut off, is slow, and the store goes on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use store::{EtcdConfig, Event, OutOfWindow, ReadError, Store, Watch, WatchError, Write, WriteError};
use testkit::{Etcd, EtcdCluster};
use tokio::{
    runtime::Runtime,
    time::{Instant, timeout},
};

use crate::ground::{config, eventually};

/// Takes ways of this member.
type Cut = fn(&EtcdCluster, usize);

/// The longest anything may take after a fault, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

fn settings(cluster: &EtcdCluster) -> EtcdConfig {
    EtcdConfig {
        connect_timeout: Duration::from_secs(1),
        read_timeout: Duration::from_secs(3),
        write_timeout: Duration::from_secs(3),
        ..config(cluster.endpoints())
    }
}

/// Whose threads are where all members can be reached.
fn runtime(cluster: &EtcdCluster) -> Runtime {
    cluster.inside(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}

/// Somebody writes, somebody reads, somebody watches, all the time, whatever happens.
struct Steady {
    store: Store,
    /// The newest revision that was acknowledged.
    done: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    tasks: tokio::task::JoinSet<()>,
}

impl Steady {
    fn begin(store: &Store) -> Steady {
        let (done, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(write(store.clone(), done.clone(), over.clone()));
        tasks.spawn(read(store.clone(), done.clone(), over.clone()));
        tasks.spawn(follow(store.watch(b"steady", store.revision()).unwrap(), over.clone()));
        Steady { store: store.clone(), done, over, tasks }
    }

    /// More is written, and read, after this moment.
    async fn goes_on(&self) {
        let before = self.done.load(Ordering::SeqCst);
        let begun = Instant::now();
        let goes_on = eventually("writes go on", async || self.done.load(Ordering::SeqCst) > before + 20);
        timeout(PATIENCE, goes_on).await.unwrap_or_else(|_| panic!("{:#?}", self.store.health()));
        let current = async { while self.store.current().await.is_err() {} };
        timeout(PATIENCE, current).await.unwrap_or_else(|_| panic!("{:#?}", self.store.health()));
        println!("went on after {:?}", begun.elapsed());
    }

    async fn end(mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.store.close().await;
        while let Some(ended) = timeout(PATIENCE, self.tasks.join_next()).await.unwrap() {
            ended.unwrap();
        }
    }
}

async fn write(store: Store, done: Arc<AtomicU64>, over: Arc<AtomicBool>) {
    for n in 0u64.. {
        let write = timeout(PATIENCE, store.commit(Write::put(&b"steady"[..], n.to_string())));
        match write.await.expect("a write is answered") {
            Ok(committed) => {
                done.fetch_max(committed.revision.0, Ordering::SeqCst);
            }
            Err(WriteError::Unknown { .. } | WriteError::Unavailable(_)) => {}
            Err(WriteError::Stopped) if over.load(Ordering::SeqCst) => return,
            Err(error) => panic!("{error}"),
        }
        if over.load(Ordering::SeqCst) {
            return;
        }
    }
}

/// What was acknowledged before the question is in the answer.
async fn read(store: Store, done: Arc<AtomicU64>, over: Arc<AtomicBool>) {
    while !over.load(Ordering::SeqCst) {
        let least = done.load(Ordering::SeqCst);
        match timeout(PATIENCE, store.current()).await.expect("a read is answered") {
            Ok(snapshot) => {
                // Or something later: a write nobody knew the fate of may happen after the next one.
                assert!(snapshot.get(b"steady").is_none_or(|kv| kv.mod_revision.0 >= least));
                assert!(least == 0 || snapshot.get(b"steady").is_some());
            }
            Err(ReadError::Unavailable(_) | ReadError::Behind { .. } | ReadError::Stopped) => {}
            Err(error @ ReadError::Future { .. }) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Every version, in order, once.
async fn follow(mut watch: Watch, over: Arc<AtomicBool>) {
    let mut version = 0;
    loop {
        match watch.next().await {
            Ok(events) => {
                for event in events {
                    version += 1;
                    assert_eq!(version_of(&event), version);
                }
            }
            Err(WatchError::Closed) if over.load(Ordering::SeqCst) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn version_of(event: &Event) -> u64 {
    event.current.as_ref().unwrap().version
}

/// Which member the store follows.
async fn followed(cluster: &EtcdCluster, store: &Store) -> usize {
    let mut following = None;
    eventually("it follows one", async || {
        following = store.health().etcd.unwrap().following;
        following.is_some()
    })
    .await;
    cluster.endpoints().iter().position(|endpoint| Some(endpoint) == following.as_ref()).unwrap()
}

#[test]
fn the_loss_of_any_member_is_survived() {
    let mut cluster = EtcdCluster::start();
    let settings = settings(&cluster);
    // The thread that waits is elsewhere, so everything is done by the runtime's.
    let runtime = runtime(&cluster);
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let connect = |settings| async { handle.spawn(Store::connect(settings)).await.unwrap().unwrap() };
        let store = connect(settings).await;
        let steady = Steady::begin(&store);
        steady.goes_on().await;

        let victim = followed(&cluster, &store).await;
        println!("kill the one that is followed");
        cluster.kill(victim);
        steady.goes_on().await;
        eventually("another one is followed", async || followed(&cluster, &store).await != victim).await;
        cluster.start_again(victim);
        cluster.wait(victim);

        println!("kill the one that leads");
        let leader = cluster.leader();
        cluster.kill(leader);
        steady.goes_on().await;
        cluster.start_again(leader);
        cluster.wait(leader);

        println!("pause the one that is followed");
        let victim = followed(&cluster, &store).await;
        cluster.pause(victim);
        steady.goes_on().await;
        cluster.resume(victim);

        println!("lose the quorum");
        let followed = followed(&cluster, &store).await;
        let (one, other) = ((followed + 1) % 3, (followed + 2) % 3);
        cluster.wait(one);
        cluster.kill(one);
        cluster.kill(other);
        eventually("the loss is told", async || !store.health().etcd.unwrap().is_well()).await;
        let (written, read) = tokio::join!(store.commit(Write::put(&b"x"[..], "v")), store.current());
        assert!(matches!(written, Err(WriteError::Unknown { .. } | WriteError::Unavailable(_))), "{written:?}");
        assert!(matches!(read.err(), Some(ReadError::Unavailable(_) | ReadError::Behind { .. })));
        assert!(store.snapshot().get(b"steady").is_some());
        cluster.start_again(one);
        steady.goes_on().await;
        cluster.start_again(other);
        eventually("all is well", async || store.health().etcd.unwrap().is_well()).await;
        steady.end().await;
    });
}

#[test]
fn cut_ways_are_gone_around() {
    let cluster = EtcdCluster::start();
    // The thread that waits is elsewhere, so everything is done by the runtime's.
    let runtime = runtime(&cluster);
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let connect = |settings| async { handle.spawn(Store::connect(settings)).await.unwrap().unwrap() };
        let store = connect(settings(&cluster)).await;
        let steady = Steady::begin(&store);
        steady.goes_on().await;
        let ways: [(&str, Cut); 4] = [
            ("from everybody", EtcdCluster::cut),
            ("from the other members", EtcdCluster::cut_from_members),
            ("from clients", EtcdCluster::cut_from_clients),
            ("from a fifth of what is sent", |cluster, member| cluster.lose(member, 20)),
        ];
        for (what, cut) in ways {
            let victim = followed(&cluster, &store).await;
            println!("cut {victim} {what}");
            cut(&cluster, victim);
            steady.goes_on().await;
            cluster.heal(victim);
        }
        println!("cut the one that leads");
        let leader = cluster.leader();
        cluster.cut(leader);
        steady.goes_on().await;
        cluster.heal(leader);
        steady.end().await;
    });
}

/// A watch that missed what etcd no longer knows ends, and what is read then is all there is.
#[test]
fn history_that_is_gone_is_no_silent_gap() {
    let mut cluster = EtcdCluster::start();
    // The thread that waits is elsewhere, so everything is done by the runtime's.
    let runtime = runtime(&cluster);
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        let connect = |settings| async { handle.spawn(Store::connect(settings)).await.unwrap().unwrap() };
        let store = connect(config(cluster.endpoints())).await;
        store.commit(Write::put(&b"kept"[..], "1")).await.unwrap();
        store.commit(Write::put(&b"changed"[..], "1")).await.unwrap();
        let before = store.commit(Write::put(&b"deleted"[..], "1")).await.unwrap().revision;
        let (mut all, mut kept) = (store.watch(b"", before).unwrap(), store.watch(b"kept", before).unwrap());
        for member in 0..3 {
            cluster.kill(member);
            cluster.cut_from_clients(member);
        }
        (0..3).for_each(|member| cluster.start_again(member));
        (0..3).for_each(|member| cluster.wait(member));
        // Others see to it that nobody can say what happened.
        let put = |key: &str, value: &str| {
            let (key, value) = (Etcd::base64(key.as_bytes()), Etcd::base64(value.as_bytes()));
            cluster.call(0, "kv/put", &json!({ "key": key, "value": value }))
        };
        put("/test/changed", "2");
        put("/test/deleted", "2");
        cluster.call(0, "kv/deleterange", &json!({ "key": Etcd::base64(b"/test/deleted") }));
        let last = put("/test/new", "1");
        let last = last["header"]["revision"].as_str().unwrap();
        cluster.call(0, "kv/compaction", &json!({ "revision": last }));
        (0..3).for_each(|member| cluster.heal(member));

        assert!(matches!(timeout(PATIENCE, all.next()).await.unwrap(), Err(WatchError::Interrupted { seen }) if seen == before));
        // Nothing happened to this key, but nobody could know.
        assert!(matches!(timeout(PATIENCE, kept.next()).await.unwrap(), Err(WatchError::Interrupted { .. })));
        assert!(matches!(store.watch(b"", before), Err(OutOfWindow::Compacted { .. })));
        let now = store.current().await.unwrap();
        let value = |key: &[u8]| now.get(key).map(|kv| String::from_utf8(kv.value.to_vec()).unwrap());
        assert_eq!(value(b"kept").as_deref(), Some("1"));
        assert_eq!(value(b"changed").as_deref(), Some("2"));
        assert_eq!(value(b"deleted"), None);
        assert_eq!(value(b"new").as_deref(), Some("1"));
        let mut again = store.watch(b"", now.revision()).unwrap();
        store.commit(Write::put(&b"after"[..], "1")).await.unwrap();
        assert_eq!(&*again.next().await.unwrap()[0].key, b"after");
    });
}
