//! Moving a cluster from a data folder to etcd, and back. No server may run meanwhile. Nothing is overwritten, and
//! everything is read back from where it went and compared object by object before the old place is given up.
//!
//! A client must never take the new place's revisions for the old one's. Back into a folder, revisions go on far above
//! all that were given out. Etcd counts by itself: it is made to count past the old numbers, and to forget what was
//! before; where they are too many, etcd keeps a note by which servers tell whoever comes with one to read anew.

use std::{fmt, path::PathBuf, sync::Arc};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use registry::Resources;
use serde_json::Value;
use store::{KeyValue, Revision, Seal, Snapshot, Store, StoreConfig, Write};

use crate::{DatastoreConfig, control_plane::encryption, datastore, store_control::store_dir};

/// What is moved, and where to.
pub struct Migration {
    /// The folder of a server that does not run.
    pub data_dir: PathBuf,
    pub datastore: DatastoreConfig,
    pub encryption: Option<PathBuf>,
    pub direction: Direction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToEtcd,
    ToLocal,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Moved {
    direction: Direction,
    objects: usize,
    bytes: u64,
    /// Keys that servers only used among themselves.
    left_out: usize,
    revision: Revision,
    /// Where the old store lies, where it was in the folder.
    kept: Option<PathBuf>,
    /// Etcd does not count as far as the folder did.
    counts_less: bool,
}

/// What concerns the servers and not the cluster.
const OF_SERVERS: [&[u8]; 3] =
    [registry::NOTES, b"/registry/masterleases/", b"/registry/leases/kube-system/apiserver-"];
/// Writes to etcd under way at a time.
const MAX_WRITES: usize = 256;
/// Etcd is made to count so far, which takes minutes at most; a restored store counts by thousands of millions.
const MAX_COUNTED: u64 = 1_000_000;
/// A server that said within this time that it lives may still run.
const LIFE_SECONDS: i64 = 20;

impl Migration {
    pub async fn run(&self) -> anyhow::Result<Moved> {
        match self.direction {
            Direction::ToEtcd => self.to_etcd().await,
            Direction::ToLocal => self.to_local().await,
        }
    }

    fn seal(&self, prefix: Option<Vec<u8>>) -> anyhow::Result<Arc<dyn Seal>> {
        encryption::open(self.encryption.as_deref(), &self.data_dir, prefix, &Resources::built_in())
    }

    fn open_local(&self) -> anyhow::Result<Store> {
        let config = StoreConfig::new(store_dir(&self.data_dir));
        Ok(Store::open(StoreConfig { seal: Some(self.seal(None)?), ..config })?)
    }

    async fn connect(&self) -> anyhow::Result<Store> {
        datastore::connect(&self.datastore, Some(self.seal(Some(self.datastore.prefix()))?)).await
    }

    async fn to_etcd(&self) -> anyhow::Result<Moved> {
        let dir = store_dir(&self.data_dir);
        ensure!(dir.is_dir(), "there is no store at {}", dir.display());
        let kept = self.data_dir.join("store-moved-to-etcd");
        ensure!(!kept.exists(), "{} is left of an earlier move: take it away first", kept.display());
        let local = self.open_local()?;
        let etcd = self.connect().await?;
        let found = of_cluster(&etcd.current().await?).count();
        ensure!(
            found == 0,
            "etcd holds {found} keys below {} already: nothing is overwritten; use another --etcd-prefix, or delete them",
            self.datastore.prefix
        );
        let source = local.snapshot();
        let counts_less = self.count_past(&etcd, source.revision()).await?;
        copy(&source, &etcd).await?;
        // Nobody may resume from before: the history of the copying is none of the cluster's.
        let revision = etcd.rewrite().await.context("let etcd forget what was before")?;
        etcd.close().await;
        let moved = self.connect().await.context("read everything back")?;
        let compared = compare(&source, &moved.current().await?, equal_by_content);
        moved.close().await;
        let (objects, bytes) = compared?;
        local.close().await;
        std::fs::rename(&dir, &kept).with_context(|| format!("rename {}", dir.display()))?;
        let left_out = source.count(b"") - objects;
        let kept = Some(kept);
        Ok(Moved { direction: self.direction, objects, bytes, left_out, revision, kept, counts_less })
    }

    /// Makes etcd's revisions greater than any that was given out, or notes that they are not.
    async fn count_past(&self, etcd: &Store, given_out: Revision) -> anyhow::Result<bool> {
        let counted = etcd.revision().0;
        let missing = given_out.0.saturating_sub(counted) + 1;
        if missing <= MAX_COUNTED {
            let key = [registry::NOTES, b"counting"].concat();
            stream::iter(0..missing)
                .map(|_| etcd.commit(Write::put(key.clone(), "")))
                .buffer_unordered(MAX_WRITES)
                .try_for_each(|_| async { Ok(()) })
                .await
                .context("make etcd count")?;
            if let Some(stored) = etcd.current().await?.get(&key) {
                etcd.commit(Write::delete(key, stored.mod_revision)).await.context("make etcd count")?;
            }
            return Ok(false);
        }
        let note = serde_json::json!({"revision": given_out.0});
        etcd.commit(Write::put(registry::MOVED, note.to_string())).await.context("write to etcd")?;
        Ok(true)
    }

    async fn to_local(&self) -> anyhow::Result<Moved> {
        let dir = store_dir(&self.data_dir);
        ensure!(
            dir.symlink_metadata().is_err(),
            "{} is there already; nothing is overwritten: move it away",
            dir.display()
        );
        let etcd = self.connect().await?;
        let source = etcd.current().await?;
        ensure!(of_cluster(&source).count() > 0, "there is no cluster below {} in etcd", self.datastore.prefix);
        check_nobody_lives(&source)?;
        check_readable(&source)?;
        let file = self.data_dir.join("moving-from-etcd");
        let saved = (|| {
            let seal = self.seal(None)?;
            let mut out = std::fs::File::create(&file).with_context(|| format!("write {}", file.display()))?;
            source.save(Some(&*seal), &mut out).with_context(|| format!("write {}", file.display()))?;
            Ok(store::restore(&file, &dir)?)
        })();
        std::fs::remove_file(&file).ok();
        let saved: anyhow::Result<_> = saved;
        saved?;
        let local = self.open_local()?;
        let (objects, bytes) = compare(&source, &local.snapshot(), |from, to| from.value == to.value)?;
        let mut left_out = 0;
        for kv in local.snapshot().walk(b"", None).filter(|kv| is_of_servers(&kv.key)) {
            local.commit(Write::delete(kv.key.clone(), kv.mod_revision)).await.context("write the store")?;
            left_out += 1;
        }
        let revision = local.revision();
        local.close().await;
        etcd.close().await;
        datastore::forget(&self.data_dir)?;
        let (kept, counts_less) = (None, false);
        Ok(Moved { direction: self.direction, objects, bytes, left_out, revision, kept, counts_less })
    }
}

fn is_of_servers(key: &[u8]) -> bool {
    OF_SERVERS.iter().any(|prefix| key.starts_with(prefix))
}

fn of_cluster(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<KeyValue>> {
    snapshot.walk(b"", None).filter(|kv| !is_of_servers(&kv.key))
}

async fn copy(source: &Snapshot, etcd: &Store) -> anyhow::Result<()> {
    stream::iter(of_cluster(source))
        .map(|kv| async {
            let written = etcd.commit(Write::create(kv.key.clone(), kv.value.clone())).await;
            written.map(drop).with_context(|| format!("write {}", String::from_utf8_lossy(&kv.key)))
        })
        .buffer_unordered(MAX_WRITES)
        .try_for_each(|()| async { Ok(()) })
        .await
}

/// Everything of the cluster is there and the same, and nothing else; answers how much that is.
fn compare(
    from: &Snapshot,
    to: &Snapshot,
    same: impl Fn(&KeyValue, &KeyValue) -> bool,
) -> anyhow::Result<(usize, u64)> {
    let (mut objects, mut bytes) = (0, 0);
    for kv in of_cluster(from) {
        let key = || String::from_utf8_lossy(&kv.key);
        let there = to.get(&kv.key).with_context(|| format!("{} did not arrive", key()))?;
        ensure!(same(kv, &there), "{} did not arrive as it was", key());
        objects += 1;
        bytes += (kv.key.len() + kv.value.len()) as u64;
    }
    let arrived = of_cluster(to).count();
    ensure!(arrived == objects, "{arrived} keys arrived of {objects}");
    Ok((objects, bytes))
}

/// By what the objects say, but for their resource versions.
fn equal_by_content(from: &KeyValue, to: &KeyValue) -> bool {
    let tree = |value: &Bytes| serde_json::from_slice::<Value>(value).ok();
    match (tree(&from.value), tree(&to.value)) {
        (Some(from), Some(to)) => is_within(&from, &to, true),
        _ => from.value == to.value,
    }
}

/// Whether all of `part` is in `whole`, which may have defaults that an older version did not fill in.
fn is_within(part: &Value, whole: &Value, is_object: bool) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part.iter().all(|(name, value)| match whole.get(name) {
            Some(Value::Object(_)) if is_object && name == "metadata" => {
                let without = |value: &Value| {
                    let mut value = value.clone();
                    if let Value::Object(map) = &mut value {
                        map.remove("resourceVersion");
                    }
                    value
                };
                is_within(&without(value), &without(&whole[name]), false)
            }
            Some(found) => is_within(value, found, false),
            None => value.is_null(),
        }),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_within(part, whole, false))
        }
        (part, whole) => part == whole,
    }
}

/// What cannot be read would not be moved, but only the reason why.
fn check_readable(source: &Snapshot) -> anyhow::Result<()> {
    let mut unreadable = source.walk(b"", None).filter_map(|kv| registry::why_unreadable(&kv.value));
    let Some(first) = unreadable.next() else { return Ok(()) };
    bail!("{first} ({} more such objects); nothing was moved: store them anew, or delete them", unreadable.count())
}

/// A server that still writes would write to what is left behind.
fn check_nobody_lives(source: &Snapshot) -> anyhow::Result<()> {
    let now = jiff::Timestamp::now();
    for kv in source.walk(OF_SERVERS[2], None) {
        let lease: Value = serde_json::from_slice(&kv.value).unwrap_or_default();
        let renewed = lease["spec"]["renewTime"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let host = lease["metadata"]["labels"]["kubernetes.io/hostname"].as_str().unwrap_or_default();
        let alive = renewed.is_some_and(|renewed| now.duration_since(renewed).as_secs() < LIFE_SECONDS);
        ensure!(
            !alive,
            "an API server on {host:?} wrote to this etcd less than {LIFE_SECONDS} s ago: stop all servers first"
        );
    }
    Ok(())
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { objects, bytes, left_out, revision, .. } = self;
        let place = match self.direction {
            Direction::ToEtcd => "etcd",
            Direction::ToLocal => "the data folder",
        };
        writeln!(f, "{objects} objects ({bytes} bytes) are in {place}, read back and compared one by one")?;
        if *left_out > 0 {
            writeln!(f, "{left_out} keys by which servers knew each other were left out; servers make their own")?;
        }
        writeln!(f, "revisions go on from {revision}; watches of before are told to read anew")?;
        if self.counts_less {
            writeln!(f, "they are smaller than those of before: start agents and other clients again")?;
        }
        match (&self.kept, self.direction) {
            (Some(kept), _) => {
                write!(f, "the old store is kept as {}; start servers with --datastore-endpoint", kept.display())
            }
            (None, _) => write!(f, "etcd still has its copy; start the server without --datastore-endpoint"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_added_may_differ() {
        let within = |part: Value, whole: Value| is_within(&part, &whole, true);
        let stored = json!({"metadata": {"name": "a", "resourceVersion": "7"}, "spec": {"list": [{"a": 1}]}});
        let mut moved = stored.clone();
        moved["metadata"]["resourceVersion"] = "1".into();
        moved["spec"]["policy"] = "Default".into();
        moved["spec"]["list"][0]["b"] = 2.into();
        assert!(within(stored.clone(), moved.clone()));
        assert!(!within(moved.clone(), stored.clone()), "something is missing");
        moved["spec"]["list"][0]["a"] = 2.into();
        assert!(!within(stored.clone(), moved.clone()), "something is another");
        assert!(!within(json!({"metadata": {}, "data": {}}), json!({"metadata": {}})));
        assert!(!within(stored, json!({"metadata": {"name": "b"}, "spec": {"list": [{"a": 1}]}})));
    }
}
