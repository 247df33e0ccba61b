//! One behaviour after the other, as a caller sees it.

use bytes::Bytes;
use store::{EventKind, Op, OpenError, OutOfWindow, Revision, Store, StoreConfig, Value, Write, WriteError};

use crate::ground::Ground;

crate::on_both!(
    writes_are_compared_and_read_back,
    a_built_value_holds_its_revision_and_survives_a_restart,
    a_panic_in_a_builder_refuses_that_write_only,
    a_transaction_happens_at_one_revision_or_not_at_all,
    limits_are_told,
    ranges_are_pages_of_a_prefix,
    a_watch_sees_history_and_what_comes_and_resumes_over_a_restart,
    compaction_ends_the_past,
);

async fn writes_are_compared_and_read_back(ground: Ground) {
    let store = ground.open().await;
    let created = store.commit(Write::create(&b"/a/1"[..], &b"one"[..])).await.unwrap();
    assert_eq!(created.revision, Revision(2));
    assert!(created.previous().is_none());

    let again = store.commit(Write::create(&b"/a/1"[..], &b"two"[..])).await.unwrap_err();
    let WriteError::Conflict { current: Some(current), .. } = again else { panic!("{again}") };
    assert_eq!(current.value, "one");

    let stale = store.commit(Write::update(&b"/a/1"[..], Revision(1), &b"two"[..])).await;
    assert!(matches!(stale, Err(WriteError::Conflict { .. })));
    let updated = store.commit(Write::update(&b"/a/1"[..], created.revision, &b"two"[..])).await.unwrap();
    assert_eq!(updated.previous().unwrap().value, "one");
    assert_eq!(updated.current().unwrap().version, 2);

    let gone = store.commit(Write::delete(&b"/a/1"[..], updated.revision)).await.unwrap();
    assert!(gone.current().is_none());
    assert!(store.snapshot().get(b"/a/1").is_none());
    assert_eq!(store.snapshot_at(created.revision).unwrap().get(b"/a/1").unwrap().value, "one");
    let missing = store.commit(Write::delete(&b"/a/1"[..], updated.revision)).await;
    assert!(matches!(missing, Err(WriteError::Conflict { current: None, .. })));
}

async fn a_built_value_holds_its_revision_and_survives_a_restart(ground: Ground) {
    let store = ground.open().await;
    let value = Value::built(|revision| Bytes::from(format!("at @{revision}")));
    let write = store.commit(Write::create(&b"k"[..], value)).await.unwrap();
    assert_eq!(write.current().unwrap().value, "at @2");
    store.close().await;
    drop(store);
    let store = ground.open().await;
    assert_eq!(store.snapshot().get(b"k").unwrap().value, "at @2");
    assert!(store.recovery().clean);
}

async fn a_panic_in_a_builder_refuses_that_write_only(ground: Ground) {
    let store = ground.open().await;
    let bad = store.commit(Write::put(&b"k"[..], Value::built(|_| panic!("on purpose")))).await;
    assert!(matches!(bad, Err(WriteError::BuildPanicked { .. })));
    assert_eq!(store.commit(Write::put(&b"k"[..], &b"v"[..])).await.unwrap().revision, Revision(2));
}

async fn a_transaction_happens_at_one_revision_or_not_at_all(ground: Ground) {
    let store = ground.open().await;
    let put = |key: &'static str| Op::Put { key: key.as_bytes().into(), value: "v".into() };
    let both = store.commit(Write::transaction(vec![put("a"), put("b")])).await.unwrap();
    assert_eq!(both.changes.len(), 2);
    let check = Op::Check { key: b"a"[..].into(), expected: None };
    let refused = store.commit(Write::transaction(vec![put("c"), check])).await;
    assert!(matches!(refused, Err(WriteError::Conflict { .. })));
    assert!(store.snapshot().get(b"c").is_none());
    let twice = store.commit(Write::transaction(vec![put("d"), put("d")])).await;
    assert!(matches!(twice, Err(WriteError::RepeatedKey { .. })));
    assert_eq!(store.revision(), both.revision);
}

async fn limits_are_told(ground: Ground) {
    let store = ground.open().await;
    let large = vec![0; store::MAX_VALUE_BYTES + 1];
    let refused = store.commit(Write::put(&b"k"[..], large)).await;
    assert!(matches!(refused, Err(WriteError::TooLarge { what: "value", .. })));
}

async fn ranges_are_pages_of_a_prefix(ground: Ground) {
    let store = ground.open().await;
    for key in ["/a/1", "/a/2", "/a/3", "/b/1", "/"] {
        store.commit(Write::put(key.as_bytes(), "v")).await.unwrap();
    }
    let snapshot = store.snapshot();
    let page = snapshot.range(b"/a/", None, 2);
    assert!(page.more);
    assert_eq!(page.items.len(), 2);
    let rest = snapshot.range(b"/a/", Some(&page.items[1].key), 2);
    assert!(!rest.more);
    assert_eq!(&*rest.items[0].key, b"/a/3");
    assert_eq!((snapshot.count(b"/a/"), snapshot.count(b""), snapshot.count(b"/c")), (3, 5, 0));
    assert_eq!(snapshot.count_after(b"/a/", b"/a/1"), 2);
}

async fn a_watch_sees_history_and_what_comes_and_resumes_over_a_restart(ground: Ground) {
    let store = ground.open().await;
    let start = store.revision();
    let a = store.commit(Write::create(&b"/a"[..], "1")).await.unwrap();
    store.commit(Write::create(&b"/other"[..], "x")).await.unwrap();
    let mut watch = store.watch(b"/a", start).unwrap();
    store.commit(Write::delete(&b"/a"[..], a.revision)).await.unwrap();
    let mut seen = watch.next().await.unwrap();
    while seen.len() < 2 {
        seen.extend(watch.next().await.unwrap());
    }
    assert!(seen[0].is_create());
    assert_eq!(seen[1].kind(), EventKind::Delete);
    assert_eq!(seen[1].previous.as_ref().unwrap().value, "1");
    store.commit(Write::create(&b"/elsewhere"[..], "x")).await.unwrap();
    assert_eq!(watch.progress(), store.revision());

    let future = store.watch(b"", Revision(1000)).err();
    assert!(matches!(future, Some(OutOfWindow::Future { .. })));
    drop((watch, store));
    let store = ground.open().await;
    let mut watch = store.watch(b"/a", a.revision).unwrap();
    let resumed = watch.next().await.unwrap();
    assert_eq!(resumed.len(), 1);
    assert_eq!(resumed[0], seen[1]);
}

async fn compaction_ends_the_past(ground: Ground) {
    let store = ground.open().await;
    let mut revisions = Vec::new();
    for value in ["1", "2", "3"] {
        revisions.push(store.commit(Write::put(&b"k"[..], value)).await.unwrap().revision);
    }
    store.compact(revisions[1]).await.unwrap();
    assert_eq!(store.snapshot_at(revisions[1]).unwrap().get(b"k").unwrap().value, "2");
    assert!(matches!(store.snapshot_at(revisions[0]), Err(OutOfWindow::Compacted { .. })));
    assert!(store.watch(b"", revisions[0]).is_err());
    assert_eq!(store.watch(b"", revisions[1]).unwrap().next().await.unwrap()[0].revision, revisions[2]);
}

#[tokio::test]
async fn a_second_store_on_the_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(StoreConfig::new(dir.path())).unwrap();
    let second = Store::open(StoreConfig::new(dir.path())).err();
    let Some(OpenError::Locked { holder, .. }) = second else { panic!("{second:?}") };
    assert_eq!(holder, std::process::id().to_string());
    store.close().await;
    let _third = Store::open(StoreConfig::new(dir.path())).unwrap();
    assert!(matches!(store.commit(Write::put(&b"k"[..], "v")).await, Err(WriteError::Stopped)));
}
