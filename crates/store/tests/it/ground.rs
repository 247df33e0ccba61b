//! What a store stands on: a folder, or a real etcd. What a caller sees must be the same on both.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use store::{EtcdConfig, Form, Malformed, Revision, Store, StoreConfig};
use testkit::Etcd;

pub(crate) enum Ground {
    Local(tempfile::TempDir),
    Etcd(Box<Etcd>),
}

/// Memory for a disk: what is tested here is not the disk.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

impl Ground {
    pub(crate) fn local() -> Ground {
        Ground::Local(folder())
    }

    pub(crate) fn etcd() -> Ground {
        Ground::Etcd(Box::new(Etcd::start()))
    }

    /// Opens the store that is there, or begins one.
    pub(crate) async fn open(&self) -> Store {
        self.open_with(|config| config, |config| config).await
    }

    /// The same with other settings.
    pub(crate) async fn open_with(
        &self,
        local: impl FnOnce(StoreConfig) -> StoreConfig,
        etcd: impl FnOnce(EtcdConfig) -> EtcdConfig,
    ) -> Store {
        match self {
            Ground::Local(dir) => Store::open(local(StoreConfig::new(dir.path()))).unwrap(),
            Ground::Etcd(member) => Store::connect(etcd(config([member.endpoint()]))).await.unwrap(),
        }
    }
}

/// Keys of any name, and values that are stamped.
pub(crate) fn config(endpoints: impl IntoIterator<Item = String>) -> EtcdConfig {
    EtcdConfig {
        root: Vec::new(),
        prefix: b"/test/".to_vec(),
        form: Arc::new(Stamped),
        compact_every: None,
        // A loaded machine is slow, and that is not what is tested.
        start_timeout: Duration::from_secs(60),
        read_timeout: Duration::from_secs(60),
        write_timeout: Duration::from_secs(60),
        ..EtcdConfig::new(endpoints)
    }
}

/// A value that ends with `@` and its revision lies in etcd without the revision.
#[derive(Debug)]
pub(crate) struct Stamped;

impl Form for Stamped {
    fn to_stored(&self, _key: &[u8], value: Bytes) -> Result<Bytes, Malformed> {
        match value.strip_suffix(b"@0") {
            Some(rest) => Ok([rest, b"@"].concat().into()),
            None => Ok(value),
        }
    }

    fn from_stored(&self, _key: &[u8], stored: Bytes, revision: Revision) -> Result<Bytes, Malformed> {
        match &stored[..] {
            b"unreadable" => Err(Malformed("nobody can read this".into())),
            [.., b'@'] => Ok([&stored, revision.to_string().as_bytes()].concat().into()),
            _ => Ok(Bytes::copy_from_slice(&stored)),
        }
    }
}

/// Waits for it, with a deadline.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(90);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Makes two tests of each behaviour.
#[macro_export]
macro_rules! on_both {
    ($($behaviour:ident),* $(,)?) => {
        mod local {
            $(#[tokio::test]
            async fn $behaviour() {
                super::$behaviour($crate::ground::Ground::local()).await;
            })*
        }
        mod etcd {
            $(#[tokio::test]
            async fn $behaviour() {
                super::$behaviour($crate::ground::Ground::etcd()).await;
            })*
        }
    };
}
