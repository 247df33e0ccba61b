//! Moving a cluster from a data folder to etcd, and back. No server may run meanwhile. Nothing is overwritten, and
//! everything is read back from where it went and compared object by object before the old place is given up.
//!
//! A note in etcd (`note.rs`) says that a move is under way, so that a death in the middle leaves one place that servers
//! may use at most, and the same command run again ends what was begun.
//!
//! A client must never take the new place's revisions for the old one's. Back into a folder, revisions go on far above
//! all that were given out. Etcd counts by itself: it is made to count past the old numbers, and to forget what was
//! before; where they are too many, etcd keeps a note by which servers tell whoever comes with one to read anew.

mod compare;
mod note;

use std::{
    fmt,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use registry::Resources;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{KeyValue, Revision, Seal, Snapshot, Store, StoreConfig, Write};

use crate::{DatastoreConfig, control_plane::encryption, datastore, store_control::store_dir};

use compare::{compare, equal_by_content};
pub(crate) use note::Note;

/// What is moved, and where to.
pub struct Migration {
    /// The folder of a server that does not run.
    pub data_dir: PathBuf,
    pub datastore: DatastoreConfig,
    pub encryption: Option<PathBuf>,
    pub direction: Direction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
        let mut begun = false;
        let moved = match self.direction {
            Direction::ToEtcd => self.to_etcd(&mut begun).await,
            Direction::ToLocal => self.to_local(&mut begun).await,
        };
        let told = "the move has not ended; run the same again, or give it up by --give-up";
        moved.map_err(|error| if begun { error.context(told) } else { error })
    }

    /// Ends a move that was begun and not ended: everything is as it was before it.
    pub async fn give_up(&self) -> anyhow::Result<String> {
        let etcd = self.connect().await?;
        let note = Note::read(&etcd.current().await?)?.context("no move is under way in this etcd")?;
        let folder = self.folder()?;
        ensure!(note.folder == folder, "{}", note.refusal(&self.datastore.prefix));
        let store = store_dir(&self.data_dir);
        match note.to {
            Direction::ToEtcd => {
                ensure!(
                    store.is_dir(),
                    "this move is done but for its last step: `knarr store migrate --to etcd` does it"
                );
                clear(&etcd).await?;
            }
            Direction::ToLocal => {
                ensure!(
                    !store.exists(),
                    "this move is done, and {} is the cluster: `knarr store migrate --to local` tidies up",
                    store.display()
                );
                remove_dir(&self.unfinished())?;
            }
        }
        Note::remove(&etcd).await?;
        etcd.close().await;
        Ok(match note.to {
            Direction::ToEtcd => format!("given up: the cluster is in {}, etcd is empty", store.display()),
            Direction::ToLocal => format!("given up: the cluster is in etcd, {} was not made", store.display()),
        })
    }

    fn seal(&self, prefix: Option<Vec<u8>>) -> anyhow::Result<Arc<dyn Seal>> {
        encryption::open_existing(self.encryption.as_deref(), &self.data_dir, prefix, &Resources::built_in())
    }

    fn open_local(&self, dir: &Path) -> anyhow::Result<Store> {
        let config = StoreConfig::new(dir);
        Ok(Store::open(StoreConfig { seal: Some(self.seal(None)?), ..config })?)
    }

    async fn connect(&self) -> anyhow::Result<Store> {
        datastore::connect(&self.datastore, Some(self.seal(Some(self.datastore.prefix()))?)).await
    }

    /// By which other machines know the folder.
    fn folder(&self) -> anyhow::Result<String> {
        let failed = || format!("look at {}", self.data_dir.display());
        let host = nix::unistd::gethostname().context("ask for the machine's name")?;
        let path = self.data_dir.canonicalize().with_context(failed)?;
        Ok(format!("{} on {}", path.display(), host.to_string_lossy()))
    }

    /// Where the folder's store is made before it has its name.
    fn unfinished(&self) -> PathBuf {
        self.data_dir.join("store-moving")
    }

    /// The cluster is the folder's until its store has another name, and etcd's as soon as the note is gone. Between
    /// the two no server starts, and another run ends what was begun.
    async fn to_etcd(&self, begun: &mut bool) -> anyhow::Result<Moved> {
        let (dir, kept) = (store_dir(&self.data_dir), self.data_dir.join("store-moved-to-etcd"));
        let note = Note { to: Direction::ToEtcd, folder: self.folder()? };
        let is_renamed = !dir.exists() && kept.is_dir();
        ensure!(is_renamed || dir.is_dir(), "there is no store at {}", dir.display());
        ensure!(is_renamed || !kept.exists(), "{} is left of an earlier move: take it away first", kept.display());
        let local = self.open_local(if is_renamed { &kept } else { &dir })?;
        let etcd = self.connect().await?;
        let source = local.snapshot();
        let found = etcd.current().await?;
        let is_ours = note.is_or_is_free(&found, &self.datastore.prefix)?;
        *begun = is_ours;
        if is_renamed {
            ensure!(is_ours, "there is no store at {}; it was moved to etcd before", dir.display());
            let (objects, bytes) = compare(&source, &found, equal_by_content)?;
            return self.ended(etcd, local, objects, bytes, source.count(b"") - objects).await;
        }
        if is_ours {
            clear(&etcd).await?;
        } else {
            let found = of_cluster(&found).count();
            ensure!(
                found == 0,
                "etcd holds {found} keys below {} already: nothing is overwritten; use another --etcd-prefix, or delete them",
                self.datastore.prefix
            );
            *begun = true;
            note.write(&etcd).await?;
        }
        self.count_past(&etcd, source.revision()).await?;
        copy(&source, &etcd).await?;
        // Nobody may resume from before: the history of the copying is none of the cluster's.
        etcd.rewrite().await.context("let etcd forget what was before")?;
        etcd.close().await;
        let moved = self.connect().await.context("read everything back")?;
        let (objects, bytes) = compare(&source, &moved.current().await?, equal_by_content)?;
        // From here on the folder knows where its cluster is, and then that it is not here.
        datastore::remember(&self.datastore, &self.data_dir)?;
        rename(&dir, &kept)?;
        self.ended(moved, local, objects, bytes, source.count(b"") - objects).await
    }

    async fn ended(
        &self,
        etcd: Store,
        local: Store,
        objects: usize,
        bytes: u64,
        left_out: usize,
    ) -> anyhow::Result<Moved> {
        Note::remove(&etcd).await?;
        let current = etcd.current().await?;
        let (revision, counts_less) = (current.revision(), current.get(registry::MOVED).is_some());
        etcd.close().await;
        local.close().await;
        let kept = Some(self.data_dir.join("store-moved-to-etcd"));
        Ok(Moved { direction: self.direction, objects, bytes, left_out, revision, kept, counts_less })
    }

    /// Makes etcd's revisions greater than any that was given out, or notes that they are not. Then they are made greater
    /// at least than those of earlier places that counted as etcd does: what restores and moves back added is left out.
    async fn count_past(&self, etcd: &Store, given_out: Revision) -> anyhow::Result<()> {
        let counted = etcd.revision().0;
        let missing = |revision: u64| revision.saturating_sub(counted) + 1;
        if missing(given_out.0) > MAX_COUNTED {
            let note = serde_json::json!({"revision": given_out.0});
            etcd.commit(Write::put(registry::MOVED, note.to_string())).await.context("write to etcd")?;
        }
        let all = [given_out.0, given_out.0 % store::RESTORE_SKIPS].map(missing);
        if let Some(missing) = all.into_iter().find(|missing| *missing <= MAX_COUNTED) {
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
        }
        Ok(())
    }

    /// The cluster is etcd's until the folder's store has its name, and no server starts from the first step on. The note
    /// stays in etcd: what lies there is old from then on.
    async fn to_local(&self, begun: &mut bool) -> anyhow::Result<Moved> {
        let (dir, unfinished) = (store_dir(&self.data_dir), self.unfinished());
        std::fs::create_dir_all(&self.data_dir).with_context(|| format!("create {}", self.data_dir.display()))?;
        let note = Note { to: Direction::ToLocal, folder: self.folder()? };
        let etcd = self.connect().await?;
        let source = etcd.current().await?;
        let is_ours = note.is_or_is_free(&source, &self.datastore.prefix)?;
        if is_ours && dir.is_dir() {
            datastore::forget(&self.data_dir)?;
            bail!("the cluster has been moved to {} already: start the server", dir.display());
        }
        ensure!(
            dir.symlink_metadata().is_err(),
            "{} is there already; nothing is overwritten: move it away",
            dir.display()
        );
        ensure!(of_cluster(&source).count() > 0, "there is no cluster below {} in etcd", self.datastore.prefix);
        datastore::check_keys(&source, &self.datastore, &self.data_dir, self.encryption.is_some())?;
        check_nobody_lives(&source)?;
        check_readable(&source)?;
        datastore::remember(&self.datastore, &self.data_dir)?;
        *begun = true;
        if !is_ours {
            note.write(&etcd).await?;
        }
        remove_dir(&unfinished)?;
        self.fetch(&source, &unfinished)?;
        let local = self.open_local(&unfinished)?;
        let (objects, bytes) = compare(&source, &local.snapshot(), |from, to| from.value == to.value)?;
        let mut left_out = 0;
        for kv in local.snapshot().walk(b"", None).filter(|kv| is_of_servers(&kv.key)) {
            local.commit(Write::delete(kv.key.clone(), kv.mod_revision)).await.context("write the store")?;
            left_out += 1;
        }
        let revision = local.revision();
        local.close().await;
        check_nobody_wrote(&source, &etcd.current().await?)?;
        etcd.close().await;
        rename(&unfinished, &dir)?;
        datastore::forget(&self.data_dir)?;
        let (kept, counts_less) = (None, false);
        Ok(Moved { direction: self.direction, objects, bytes, left_out, revision, kept, counts_less })
    }

    /// Makes a store of what etcd holds.
    fn fetch(&self, source: &Snapshot, dir: &Path) -> anyhow::Result<()> {
        let file = self.data_dir.join("moving-from-etcd");
        let failed = || format!("write {}", file.display());
        let made = (|| {
            let seal = self.seal(None)?;
            let mut options = std::fs::File::options();
            let mut out =
                options.write(true).create(true).truncate(true).mode(0o600).open(&file).with_context(failed)?;
            source.save(Some(&*seal), &mut out).with_context(failed)?;
            store::restore_past(&file, dir, given_out(source)?)?;
            Ok(())
        })();
        // One that is left is overwritten by the next move.
        std::fs::remove_file(&file).ok();
        made
    }
}

/// The greatest number that clients may know: etcd's, or that of a folder which counted further before.
fn given_out(source: &Snapshot) -> anyhow::Result<Revision> {
    let before = registry::moved_from(source).context("the note of the move to etcd cannot be read")?;
    Ok(before.map_or(source.revision(), |before| source.revision().max(Revision(before))))
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

/// Removes what an earlier run has copied.
async fn clear(etcd: &Store) -> anyhow::Result<()> {
    let current = etcd.current().await?;
    stream::iter(current.walk(b"", None).filter(|kv| kv.key[..] != *note::KEY))
        .map(|kv| etcd.commit(Write::delete(kv.key.clone(), kv.mod_revision)))
        .buffer_unordered(MAX_WRITES)
        .try_for_each(|_| async { Ok(()) })
        .await
        .context("remove what an earlier run has copied")
}

fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    let failed = || format!("rename {} to {}", from.display(), to.display());
    std::fs::rename(from, to).with_context(failed)?;
    let parent = to.parent().unwrap_or(Path::new("."));
    std::fs::File::open(parent).and_then(|parent| parent.sync_all()).with_context(failed)
}

fn remove_dir(dir: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// What cannot be read would not be moved, but only the reason why.
fn check_readable(source: &Snapshot) -> anyhow::Result<()> {
    let mut unreadable = source.walk(b"", None).filter_map(|kv| registry::why_unreadable(&kv.value));
    let Some(first) = unreadable.next() else { return Ok(()) };
    bail!("{first} ({} more such objects); nothing was moved: store them anew, or delete them", unreadable.count())
}

/// A server that nobody saw alive may have started meanwhile.
fn check_nobody_wrote(before: &Snapshot, now: &Snapshot) -> anyhow::Result<()> {
    let newest = |snapshot: &Snapshot| of_cluster(snapshot).map(|kv| kv.mod_revision).max();
    let is_same = of_cluster(before).count() == of_cluster(now).count() && newest(before) == newest(now);
    ensure!(is_same, "somebody wrote to this etcd meanwhile: stop all servers, and run this again");
    Ok(())
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
