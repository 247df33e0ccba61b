//! What is on disk is bounded by what lives, while it is written and after.

use std::path::Path;

use store::{Op, Store, StoreConfig, Write};

use crate::ground::folder;

const SLACK_BYTES: u64 = 64 << 20;

fn bytes_on_disk(dir: &Path) -> u64 {
    // A file may be renamed or removed while we look.
    let entries = std::fs::read_dir(dir).unwrap().filter_map(|entry| entry.unwrap().metadata().ok());
    entries.map(|metadata| metadata.len()).sum()
}

#[tokio::test]
async fn the_folder_stays_small_under_overwrites_and_deletes() {
    let dir = folder();
    let store = Store::open(StoreConfig::new(dir.path())).unwrap();
    let mut highest = 0;
    let check = |highest: &mut u64| {
        let (live, disk) = (store.health().live_bytes, bytes_on_disk(dir.path()));
        *highest = (*highest).max(disk);
        assert!(disk <= 3 * live + SLACK_BYTES, "{disk} bytes on disk for {live} live ones");
    };
    // Half a gigabyte through four megabytes of live data, then forty megabytes made and deleted.
    for round in 0..128u64 {
        let put = |n: u64| Op::Put { key: n.to_be_bytes()[..].into(), value: vec![round as u8; 64 << 10].into() };
        store.commit(Write::transaction((0..64).map(put).collect())).await.unwrap();
        check(&mut highest);
    }
    for first in (1000..1640u64).step_by(64) {
        let put = |n: u64| Op::Create { key: n.to_be_bytes()[..].into(), value: vec![1; 64 << 10].into() };
        store.commit(Write::transaction((first..first + 64).map(put).collect())).await.unwrap();
        check(&mut highest);
    }
    let snapshot = store.snapshot();
    for kv in snapshot.walk(b"", None) {
        store.commit(Write::delete(kv.key.clone(), kv.mod_revision)).await.unwrap();
        check(&mut highest);
    }
    assert_eq!(store.snapshot().count(b""), 0);
    println!("at most {highest} bytes on disk");
}
