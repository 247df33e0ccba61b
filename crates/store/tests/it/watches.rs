//! Watches that are slow, many, or left behind.

use store::{EtcdConfig, Revision, Store, StoreConfig, WATCH_QUEUE, WatchError, Write};

use crate::ground::Ground;

crate::on_both!(
    a_slow_watch_is_told_and_the_others_see_everything,
    closing_ends_watches_after_what_they_missed,
    a_dropped_future_takes_nothing,
    dropping_the_store_ends_watches,
    history_is_bounded_by_count_and_by_bytes,
);

async fn a_slow_watch_is_told_and_the_others_see_everything(ground: Ground) {
    let store = ground.open().await;
    let start = store.revision();
    let mut slow = store.watch(b"k", start).unwrap();
    let mut elsewhere = store.watch(b"other", start).unwrap();
    let mut quick = store.watch(b"k", start).unwrap();
    let reader = async move {
        let (mut last, mut version) = (start, 0);
        while version <= WATCH_QUEUE as u64 {
            for event in quick.next().await.unwrap() {
                assert!(event.revision > last);
                (last, version) = (event.revision, version + 1);
                assert_eq!(event.current.as_ref().unwrap().version, version);
            }
        }
    };
    let writer = async {
        let numbers: Vec<usize> = (0..=WATCH_QUEUE).collect();
        for some in numbers.chunks(250) {
            let write = |_| store.commit(Write::put(&b"k"[..], "v").relaxed());
            futures::future::try_join_all(some.iter().map(write)).await.unwrap();
        }
    };
    tokio::join!(reader, writer);
    assert_eq!(slow.next().await, Err(WatchError::Lagged { seen: start }));
    assert_eq!(elsewhere.progress(), store.revision());
    // Told where it was, it can go on from there.
    let mut again = store.watch(b"k", start).unwrap();
    assert_eq!(again.next().await.unwrap()[0].revision, start.next());
}

async fn closing_ends_watches_after_what_they_missed(ground: Ground) {
    let store = ground.open().await;
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

async fn dropping_the_store_ends_watches(ground: Ground) {
    let store = ground.open().await;
    let mut watch = store.watch(b"", store.revision()).unwrap();
    store.commit(Write::put(&b"k"[..], "v")).await.unwrap();
    drop(store);
    assert_eq!(watch.next().await.unwrap().len(), 1);
    assert_eq!(watch.next().await, Err(WatchError::Closed));
}

async fn a_dropped_future_takes_nothing(ground: Ground) {
    let store = ground.open().await;
    let mut watch = store.watch(b"", store.revision()).unwrap();
    assert!(futures::poll!(std::pin::pin!(watch.next())).is_pending());
    let written = store.commit(Write::put(&b"k"[..], "v")).await.unwrap();
    assert_eq!(watch.next().await.unwrap()[0].revision, written.revision);
}

async fn history_is_bounded_by_count_and_by_bytes(ground: Ground) {
    let store = ground
        .open_with(
            |config| StoreConfig { history_revisions: 100, ..config },
            |config| EtcdConfig { history_revisions: 100, ..config },
        )
        .await;
    for _ in 0..300 {
        store.commit(Write::put(&b"k"[..], "v").relaxed()).await.unwrap();
    }
    settled(&store, |floor, revision| revision - floor <= 100).await;
    drop(store);
    let store = ground
        .open_with(
            |config| StoreConfig { history_bytes: 64 << 10, ..config },
            |config| EtcdConfig { history_bytes: 64 << 10, ..config },
        )
        .await;
    for _ in 0..100 {
        store.commit(Write::put(&b"k"[..], vec![0; 4096]).relaxed()).await.unwrap();
    }
    settled(&store, |floor, revision| revision - floor <= 17).await;
}

/// The history is let go just after a write is answered; waits for that.
async fn settled(store: &Store, holds: impl Fn(u64, u64) -> bool) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
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
