//! Watches that are slow, many, or left behind.

use store::{Revision, Store, StoreConfig, WATCH_QUEUE, WatchError, Write};

use crate::model::folder;

#[tokio::test]
async fn a_slow_watch_is_told_and_the_others_see_everything() {
    let dir = folder();
    let store = Store::open(StoreConfig::new(dir.path())).unwrap();
    let start = store.revision();
    let mut slow = store.watch(b"k", start).unwrap();
    let mut elsewhere = store.watch(b"other", start).unwrap();
    let mut quick = store.watch(b"k", start).unwrap();
    let reader = async move {
        let mut last = start;
        while last.0 < start.0 + WATCH_QUEUE as u64 + 1 {
            for event in quick.next().await.unwrap() {
                assert_eq!(event.revision, last.next());
                last = event.revision;
            }
        }
    };
    let writer = async {
        for _ in 0..=WATCH_QUEUE {
            store.commit(Write::put(&b"k"[..], "v").relaxed()).await.unwrap();
        }
    };
    tokio::join!(reader, writer);
    assert_eq!(slow.next().await, Err(WatchError::Lagged { seen: start }));
    assert_eq!(elsewhere.progress(), store.revision());
    // Told where it was, it can go on from there.
    let mut again = store.watch(b"k", start).unwrap();
    assert_eq!(again.next().await.unwrap()[0].revision, start.next());
}

#[tokio::test]
async fn closing_ends_watches_after_what_they_missed() {
    let dir = folder();
    let store = Store::open(StoreConfig::new(dir.path())).unwrap();
    let start = store.revision();
    let mut watch = store.watch(b"", start).unwrap();
    store.commit(Write::put(&b"k"[..], "v")).await.unwrap();
    store.close().await;
    assert_eq!(watch.next().await.unwrap().len(), 1);
    assert_eq!(watch.next().await, Err(WatchError::Closed));
    let mut late = store.watch(b"", start).unwrap();
    assert_eq!(late.next().await.unwrap().len(), 1);
    assert_eq!(late.next().await, Err(WatchError::Closed));
}

#[tokio::test]
async fn a_dropped_future_takes_nothing() {
    let dir = folder();
    let store = Store::open(StoreConfig::new(dir.path())).unwrap();
    let mut watch = store.watch(b"", store.revision()).unwrap();
    assert!(futures::poll!(std::pin::pin!(watch.next())).is_pending());
    let written = store.commit(Write::put(&b"k"[..], "v")).await.unwrap();
    assert_eq!(watch.next().await.unwrap()[0].revision, written.revision);
}

#[tokio::test]
async fn history_is_bounded_by_count_and_by_bytes() {
    let dir = folder();
    let config = StoreConfig { history_revisions: 100, ..StoreConfig::new(dir.path()) };
    let store = Store::open(config).unwrap();
    for _ in 0..300 {
        store.commit(Write::put(&b"k"[..], "v").relaxed()).await.unwrap();
    }
    settled(&store, |floor, revision| revision - floor <= 100).await;
    drop(store);
    let config = StoreConfig { history_bytes: 64 << 10, ..StoreConfig::new(dir.path()) };
    let store = Store::open(config).unwrap();
    for _ in 0..100 {
        store.commit(Write::put(&b"k"[..], vec![0; 4096]).relaxed()).await.unwrap();
    }
    settled(&store, |floor, revision| revision - floor <= 17).await;
}

/// The history is let go just after a write is answered; waits for that.
async fn settled(store: &Store, holds: impl Fn(u64, u64) -> bool) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let health = store.health();
        let Revision(revision) = health.revision;
        if holds(health.floor.0, revision) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{health:?}");
        tokio::task::yield_now().await;
    }
}
