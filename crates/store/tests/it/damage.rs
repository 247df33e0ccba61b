//! Files that are not as they were written.

use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
};

use store::{Damage, OpenError, Revision, Store, StoreConfig, Write};

use crate::ground::folder;

fn config(dir: &Path) -> StoreConfig {
    StoreConfig { segment_bytes: 4096, ..StoreConfig::new(dir) }
}

/// A closed store with three keys a segment, thirty in all; returns its files, in order.
async fn filled(dir: &Path) -> Vec<PathBuf> {
    let store = Store::open(config(dir)).unwrap();
    for n in 0..30 {
        store.commit(Write::create(format!("k/{n:02}").as_bytes(), vec![b'v'; 1500])).await.unwrap();
    }
    store.close().await;
    files(dir, "log-")
}

fn files(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(prefix);
    let mut files: Vec<_> = entries.filter(named).collect();
    files.sort();
    files
}

fn flip(path: &Path, offset: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

fn damage(dir: &Path) -> (PathBuf, Damage, Revision) {
    match Store::open(config(dir)).err() {
        Some(OpenError::Corrupt { path, damage, last_good, .. }) => (path, damage, last_good),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_tail_torn_anywhere_is_cut_and_reported() {
    for torn in [1, 7, 24, 25, 26, 1400] {
        let dir = folder();
        let last = filled(dir.path()).await.pop().unwrap();
        let file = fs::OpenOptions::new().write(true).open(&last).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length - torn).unwrap();
        let store = Store::open(config(dir.path())).unwrap();
        let recovery = store.recovery().clone();
        assert!(!recovery.clean);
        let cut = recovery.cut.map(|cut| (cut.file, cut.offset + cut.bytes));
        // Without exactly the mark of closing, the end is whole.
        assert_eq!(cut, (torn != 25).then(|| (last.clone(), length - torn)));
        // The mark of closing is the last record; with more torn off, a write goes too.
        let kept = if torn <= 25 { 30 } else { 29 };
        assert_eq!(store.snapshot().count(b"k/"), kept);
        assert!(store.revision() > recovery.found);
        store.commit(Write::put(&b"k/new"[..], "v")).await.unwrap();
        drop(store);
        assert_eq!(Store::open(config(dir.path())).unwrap().snapshot().count(b"k/"), kept + 1);
    }
}

#[tokio::test]
async fn garbage_after_the_end_is_a_torn_tail() {
    let dir = folder();
    let last = filled(dir.path()).await.pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    let end = bytes.len() as u64;
    bytes.extend((0..5000u32).map(|n| (n * 37 % 251) as u8));
    fs::write(&last, bytes).unwrap();
    let store = Store::open(config(dir.path())).unwrap();
    assert_eq!(store.recovery().cut.as_ref().unwrap().offset, end);
    assert_eq!(store.snapshot().count(b"k/"), 30);
}

#[tokio::test]
async fn damage_in_an_earlier_file_stops_the_start() {
    let dir = folder();
    let logs = filled(dir.path()).await;
    assert!(logs.len() > 3);
    flip(&logs[1], 2000);
    let (path, what, last_good) = damage(dir.path());
    assert_eq!((path, what), (logs[1].clone(), Damage::Checksum));
    assert!(last_good > Revision(2) && last_good < Revision(10), "{last_good}");
    // Asked again, it says the same; nothing was changed.
    assert_eq!(damage(dir.path()).1, Damage::Checksum);
}

#[tokio::test]
async fn damage_before_acknowledged_records_of_the_last_file_stops_the_start() {
    let dir = folder();
    let last = filled(dir.path()).await.pop().unwrap();
    flip(&last, 300);
    let (path, what, _) = damage(dir.path());
    assert_eq!((path, what), (last, Damage::Checksum));
    let text = Store::open(config(dir.path())).err().unwrap().to_string();
    for part in ["log-", "at byte 32", "last good revision", "restore"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[tokio::test]
async fn a_missing_file_stops_the_start() {
    let dir = folder();
    let logs = filled(dir.path()).await;
    fs::remove_file(&logs[2]).unwrap();
    assert!(matches!(damage(dir.path()).1, Damage::Missing(_)));
    fs::remove_file(&logs[0]).unwrap();
    assert!(matches!(damage(dir.path()).1, Damage::Missing(Revision(2))));
}

#[tokio::test]
async fn a_foreign_or_newer_file_is_refused() {
    let dir = folder();
    let logs = filled(dir.path()).await;
    flip(&logs[0], 3);
    assert_eq!(damage(dir.path()).1, Damage::Header);
    flip(&logs[0], 3);
    fs::copy(&logs[1], &logs[0]).unwrap();
    assert!(matches!(damage(dir.path()).1, Damage::Missing(_)));
}

#[tokio::test]
async fn a_damaged_checkpoint_stops_the_start() {
    let dir = folder();
    let small = StoreConfig { checkpoint_bytes: 8192, history_revisions: 5, ..config(dir.path()) };
    let store = Store::open(small.clone()).unwrap();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while files(dir.path(), "checkpoint-").iter().all(|path| path.extension().is_some())
        || files(dir.path(), "log-00000000000000000001").len() == 1
    {
        assert!(tokio::time::Instant::now() < deadline, "no checkpoint");
        store.commit(Write::put(&b"k"[..], vec![b'v'; 1500])).await.unwrap();
    }
    store.close().await;
    drop(store);
    let store = Store::open(small.clone()).unwrap();
    assert!(store.recovery().checkpoint.is_some());
    assert_eq!(store.snapshot().get(b"k").unwrap().value.len(), 1500);
    drop(store);
    for path in files(dir.path(), "") {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
    }
    let checkpoint = files(dir.path(), "checkpoint-").pop().unwrap();
    flip(&checkpoint, 60);
    assert_eq!(damage(dir.path()).1, Damage::Checkpoint);
}

#[tokio::test]
async fn an_idle_store_writes_nothing() {
    let dir = folder();
    filled(dir.path()).await;
    let state = || {
        files(dir.path(), "")
            .iter()
            .filter(|path| !path.ends_with("LOCK"))
            .map(|path| fs::read(path).unwrap())
            .collect::<Vec<_>>()
    };
    let before = state();
    for _ in 0..3 {
        let store = Store::open(config(dir.path())).unwrap();
        store.close().await;
    }
    assert!(before == state(), "opening and closing changed files");
}
