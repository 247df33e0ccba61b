//! Saved stores: whole, checked, restored.

use std::{fs, path::Path};

use store::{BackupError, Contents, OutOfWindow, RESTORE_SKIPS, Revision, Snapshot, Store, StoreConfig, Write};

use crate::ground::folder;

async fn filled(dir: &Path) -> Store {
    let store = Store::open(StoreConfig::new(dir)).unwrap();
    for n in 0..200 {
        store.commit(Write::put(format!("k/{}", n % 150).as_bytes(), vec![b'v'; 1000])).await.unwrap();
    }
    let gone = store.snapshot().get(b"k/7").unwrap().clone();
    store.commit(Write::delete(gone.key.clone(), gone.mod_revision)).await.unwrap();
    store
}

fn save(store: &Store, path: &Path) -> Contents {
    store.savable().unwrap().save(&mut fs::File::create(path).unwrap()).unwrap()
}

fn all(snapshot: &Snapshot) -> Vec<store::KeyValue> {
    snapshot.walk(b"", None).map(|kv| (**kv).clone()).collect()
}

#[tokio::test]
async fn what_was_saved_is_restored_at_a_later_revision() {
    let dir = folder();
    let store = filled(&dir.path().join("old")).await;
    let file = dir.path().join("saved");
    let saved = save(&store, &file);
    assert_eq!((saved.revision, saved.keys), (store.revision(), 149));
    assert_eq!(store::check(&file).unwrap(), saved);
    assert_eq!(saved.bytes, file.metadata().unwrap().len());
    // What happens after is not in it, and its numbers never come back.
    store.commit(Write::put(&b"later"[..], "v")).await.unwrap();

    let new = dir.path().join("new");
    let restored = store::restore(&file, &new).unwrap();
    assert_eq!(restored.revision, Revision(saved.revision.0 + RESTORE_SKIPS));
    let again = Store::open(StoreConfig::new(&new)).unwrap();
    assert!(again.recovery().clean);
    assert_eq!(again.revision(), restored.revision);
    let before = store.snapshot_at(saved.revision).unwrap();
    assert_eq!(all(&again.snapshot()), all(&before));
    assert!(matches!(again.watch(b"", saved.revision), Err(OutOfWindow::Compacted { .. })));
    let written = again.commit(Write::put(&b"new"[..], "v")).await.unwrap();
    assert_eq!(written.revision, restored.revision.next());
    drop(again);
    assert_eq!(Store::open(StoreConfig::new(&new)).unwrap().snapshot().count(b""), 150);
}

#[tokio::test]
async fn a_restore_overwrites_nothing() {
    let dir = folder();
    let store = filled(&dir.path().join("old")).await;
    let file = dir.path().join("saved");
    save(&store, &file);
    store.close().await;
    drop(store);
    let refused = store::restore(&file, &dir.path().join("old"));
    assert!(matches!(refused, Err(BackupError::Exists { .. })), "{refused:?}");
    assert_eq!(Store::open(StoreConfig::new(dir.path().join("old"))).unwrap().snapshot().count(b"k/"), 149);
    // What a restore that was killed left behind is no obstacle.
    fs::create_dir(dir.path().join("new.restoring")).unwrap();
    fs::write(dir.path().join("new.restoring/checkpoint-00000000000000000009"), "half").unwrap();
    store::restore(&file, &dir.path().join("new")).unwrap();
    assert!(!dir.path().join("new.restoring").exists());
}

#[tokio::test]
async fn damage_anywhere_is_found_and_nothing_is_restored() {
    let dir = folder();
    let store = filled(&dir.path().join("old")).await;
    let file = dir.path().join("saved");
    let saved = save(&store, &file);
    let good = fs::read(&file).unwrap();
    let damaged = dir.path().join("damaged");
    let mut cases: Vec<Vec<u8>> = (0..good.len()).step_by(997).map(|at| flipped(&good, at)).collect();
    cases.extend([0, 1, 31, 40, good.len() / 2, good.len() - 1].map(|length| good[..length].to_vec()));
    cases.push([&good[..], &b"more"[..]].concat());
    for bytes in cases {
        fs::write(&damaged, bytes).unwrap();
        let found = store::check(&damaged);
        assert!(matches!(found, Err(BackupError::Damaged { .. } | BackupError::Format { .. })), "{found:?}");
        assert!(store::restore(&damaged, &dir.path().join("new")).is_err());
        assert!(!dir.path().join("new").exists());
    }
    assert_eq!(store::check(&file).unwrap(), saved);
}

fn flipped(good: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[at] ^= 1;
    bytes
}

#[tokio::test]
async fn a_store_is_verified_while_it_is_used_and_not_touched() {
    let dir = folder();
    let store = filled(dir.path()).await;
    let before = bytes(dir.path());
    let verified = store::verify(dir.path()).unwrap();
    assert_eq!(all(&verified.snapshot), all(&store.snapshot()));
    assert_eq!(verified.snapshot.revision(), store.revision());
    assert!(!verified.recovery.clean);
    assert!(bytes(dir.path()) == before, "verifying changed files");
    drop(store);
    let log = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let log = log.filter(|path| path.to_str().unwrap().contains("log-")).min().unwrap();
    let damaged = flipped(&fs::read(&log).unwrap(), 500);
    fs::write(&log, damaged).unwrap();
    assert!(matches!(store::verify(dir.path()), Err(store::OpenError::Corrupt { .. })));
}

fn bytes(dir: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
    files.sort();
    files
}
