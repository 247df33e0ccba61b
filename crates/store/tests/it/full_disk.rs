//! A small file system that fills up, and one that is read-only. Needs the right to mount.

use std::{fs, io::Write as _, path::Path};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use store::{OpenError, Store, StoreConfig, Write, WriteError, Writes};

struct Small(tempfile::TempDir);

impl Small {
    /// `None`, said aloud, where this process may not mount.
    fn mount() -> Option<Small> {
        let dir = tempfile::tempdir().unwrap();
        let size = Some("size=1m,mode=700");
        match mount(Some("store-test"), dir.path(), Some("tmpfs"), MsFlags::empty(), size) {
            Ok(()) => Some(Small(dir)),
            Err(error) => {
                std::io::stderr().write_all(format!("skipped: mounting a small tmpfs: {error}\n").as_bytes()).unwrap();
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        umount2(self.path(), MntFlags::MNT_DETACH).unwrap();
    }
}

#[tokio::test]
async fn writes_are_refused_while_the_disk_is_full_and_go_on_after() {
    let Some(small) = Small::mount() else { return };
    let store = Store::open(StoreConfig::new(small.path().join("store"))).unwrap();
    store.commit(Write::put(&b"first"[..], "v")).await.unwrap();
    fs::write(small.path().join("ballast"), vec![0; 300 << 10]).unwrap();
    let mut count = 0;
    let refused = loop {
        match store.commit(Write::put(format!("k/{count}").as_bytes(), vec![b'v'; 10_000])).await {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, WriteError::NoSpace), "{refused}");
    assert_eq!(store.health().writes, Writes::NoSpace);
    assert_eq!(store.snapshot().count(b"k/"), count);
    let revision = store.revision();
    assert!(store.watch(b"", revision).is_ok());

    fs::remove_file(small.path().join("ballast")).unwrap();
    let written = store.commit(Write::put(&b"after"[..], "v")).await.unwrap();
    assert_eq!(written.revision, revision.next());
    assert_eq!(store.health().writes, Writes::Ok);
    store.close().await;
    drop(store);
    let store = Store::open(StoreConfig::new(small.path().join("store"))).unwrap();
    assert!(store.recovery().clean);
    assert_eq!(store.snapshot().count(b""), count + 2);
}

#[tokio::test]
async fn a_read_only_folder_is_named() {
    let Some(small) = Small::mount() else { return };
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, small.path(), None::<&str>, flags, None::<&str>).unwrap();
    let refused = Store::open(StoreConfig::new(small.path())).err();
    let Some(OpenError::Io { path, source, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    assert!(path.starts_with(small.path()));
}
