//! Snapshots of the store on a schedule, the latest of which are kept.
//!
//! The wall clock gives them their names, and it may jump. A snapshot from the future was taken before the clock was
//! set back, so it is older than what the past has: then the one that was just taken is always the newest.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::Context;
use controller_runtime::Tasks;
use store::{Contents, Store};
use tokio::time::Instant;

use crate::{
    s3::{S3, S3Config, S3Error},
    store_control::{UNFINISHED, save_as},
};

/// When snapshots are taken, and how many stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// `None`: never.
    pub every: Option<Duration>,
    pub keep: usize,
    pub dir: PathBuf,
    /// Where each is also put, and as many are kept.
    pub s3: Option<S3Config>,
}

impl SnapshotConfig {
    /// Twice a day into `snapshots` in the data folder; the latest five are kept.
    pub fn new(data_dir: &Path) -> Self {
        Self { every: Some(Duration::from_secs(12 * 3600)), keep: 5, dir: data_dir.join("snapshots"), s3: None }
    }
}

/// A data folder without snapshots gets its first after this time: by then there is something to save.
const FIRST_AFTER: Duration = Duration::from_secs(300);
/// A snapshot that failed is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(600);
const PREFIX: &str = "snapshot-";
const STAMP: &str = "%Y%m%dT%H%M%SZ";

pub(crate) fn start(store: &Store, config: SnapshotConfig, tasks: &Tasks) {
    let Some(every) = config.every else { return };
    let store = store.clone();
    tasks.spawn("snapshots", async move {
        let mut wait = first_wait(&config.dir, every, SystemTime::now());
        let mut last = None;
        let mut next = Instant::now() + wait;
        // The newest one, while it is not in the other storage: the last server may have ended before it was.
        let mut unsent = match config.s3 {
            Some(_) => newest_whole(&config.dir).await,
            None => None,
        };
        if unsent.is_some() {
            wait = Duration::ZERO;
        }
        loop {
            tokio::time::sleep_until(next.min(Instant::now() + wait)).await;
            wait = every;
            if Instant::now() >= next {
                next = Instant::now() + every;
                let revision = store.revision();
                if last != Some(revision) {
                    match scheduled(&store, &config).await {
                        Some((path, revision)) => (last, unsent) = (Some(revision), config.s3.is_some().then_some(path)),
                        None => next = Instant::now() + RETRY_AFTER.min(every),
                    }
                }
            }
            if let (Some(path), Some(s3)) = (&unsent, &config.s3) {
                match send(path, s3, config.keep).await {
                    Ok(()) => unsent = None,
                    Err(error) => {
                        tracing::error!(error = format!("{error:#}"), place = %s3.place, "a snapshot could not be put into its other storage; tried again");
                        wait = RETRY_AFTER;
                    }
                }
            }
        }
    });
}

/// The latest snapshot in the folder, if it is as it was written.
async fn newest_whole(dir: &Path) -> Option<PathBuf> {
    let dir = dir.to_owned();
    let found = tokio::task::spawn_blocking(move || {
        let mut names = names(&dir).ok()?;
        in_order(&mut names, jiff::Timestamp::now());
        let path = dir.join(names.pop()?);
        let whole = store::check(&path);
        whole.inspect_err(|error| tracing::warn!(%error, "a snapshot is not put into its other storage")).ok()?;
        Some(path)
    });
    found.await.ok().flatten()
}

/// Takes one; what goes wrong is said.
async fn scheduled(store: &Store, config: &SnapshotConfig) -> Option<(PathBuf, store::Revision)> {
    let (store, config, now) = (store.clone(), config.clone(), jiff::Timestamp::now());
    match tokio::task::spawn_blocking(move || take(&store, &config, now)).await {
        Ok(Ok((path, Contents { revision, keys, bytes }))) => {
            tracing::info!(path = %path.display(), revision = revision.0, keys, bytes, "snapshot of the store saved");
            return Some((path, revision));
        }
        Ok(Err(error)) => {
            tracing::error!(error = format!("{error:#}"), "the store's snapshot failed; see --snapshot-dir");
        }
        Err(error) => tracing::error!(%error, "the store's snapshot panicked"),
    }
    None
}

/// Puts a snapshot into the other storage, and removes the oldest there.
async fn send(path: &Path, config: &S3Config, keep: usize) -> anyhow::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).context("a snapshot has a name")?;
    let s3 = S3::open(config)?;
    let bytes = tokio::fs::metadata(path).await.with_context(|| format!("look at {}", path.display()))?.len();
    // Nobody else gives such names: what is there is this one, read back and compared when it was put.
    if s3.list(name).await?.iter().any(|object| object.name == name && object.bytes == bytes) {
        return Ok(());
    }
    s3.save(path, name).await?;
    prune_s3(&s3, keep, jiff::Timestamp::now()).await?;
    tracing::info!(name, place = %config.place, "snapshot put into its other storage");
    Ok(())
}

/// Removes all but the latest of those that were put there by a schedule; says which.
pub async fn prune_s3(s3: &S3, keep: usize, now: jiff::Timestamp) -> Result<Vec<String>, S3Error> {
    let mut names: Vec<String> = s3.list(PREFIX).await?.into_iter().map(|object| object.name).collect();
    names.retain(|name| is_ours(name));
    in_order(&mut names, now);
    names.truncate(names.len().saturating_sub(keep.max(1)));
    for name in &names {
        s3.remove(name).await?;
    }
    Ok(names)
}

/// Removes all but the latest scheduled snapshots of a folder; says which.
pub fn prune(dir: &Path, keep: usize, now: jiff::Timestamp) -> std::io::Result<Vec<String>> {
    let mut names = names(dir)?;
    in_order(&mut names, now);
    names.truncate(names.len().saturating_sub(keep.max(1)));
    names.iter().try_for_each(|name| std::fs::remove_file(dir.join(name)))?;
    Ok(names)
}

/// A restart neither puts a snapshot off nor brings one forward. If the newest one is from the future, the clock was
/// set back and nothing tells its age: the next one comes soon.
fn first_wait(dir: &Path, every: Duration, now: SystemTime) -> Duration {
    let names = names(dir).unwrap_or_default();
    let times = names.iter().filter_map(|name| dir.join(name).metadata().ok()?.modified().ok());
    match times.max().map(|newest| now.duration_since(newest)) {
        Some(Ok(age)) => every.saturating_sub(age),
        Some(Err(_)) | None => FIRST_AFTER.min(every),
    }
}

/// The order in which snapshots were taken, as far as their names tell.
fn in_order(names: &mut [String], now: jiff::Timestamp) {
    let now = format!("{PREFIX}{}~", now.strftime(STAMP));
    names.sort_by(|a, b| (*a <= now, moment(a)).cmp(&(*b <= now, moment(b))));
}

/// When it was taken: of two of one second, the revision tells.
fn moment(name: &str) -> (&str, u64) {
    let (stamp, revision) = name.rsplit_once("-r").unwrap_or((name, ""));
    (stamp, revision.parse().unwrap_or_default())
}

fn take(store: &Store, config: &SnapshotConfig, now: jiff::Timestamp) -> anyhow::Result<(PathBuf, Contents)> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = &config.dir;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("create {}", dir.display()))?;
    remove_unfinished(dir).with_context(|| format!("remove what is unfinished in {}", dir.display()))?;
    let savable = store.savable()?;
    let path = dir.join(format!("{PREFIX}{}-r{}", now.strftime(STAMP), savable.revision()));
    let contents = save_as(&path, |file| {
        let written = savable.save(file).map(|_| ());
        written.map_err(|source| crate::ControlError::Io { action: "write", path: path.clone(), source })
    })?;
    prune(dir, config.keep, now).with_context(|| format!("remove old snapshots in {}", dir.display()))?;
    Ok((path, contents))
}

/// Removes what a server that was killed has left of a scheduled snapshot.
fn remove_unfinished(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().and_then(|name| name.strip_suffix(UNFINISHED)).is_some_and(is_ours) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether a schedule gave this name: `snapshot-20261121T100000Z-r1840`. Only these are ever removed.
fn is_ours(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once("Z-r"));
    let stamp = parts.and_then(|(stamp, revision)| Some((stamp.split_once('T')?, revision)));
    stamp.is_some_and(|((date, time), revision)| digits(date) && digits(time) && digits(revision))
}

/// Scheduled snapshots in the folder; none if there is no such folder.
pub fn names(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(names),
        entries => entries?,
    };
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string()
            && is_ours(&name)
        {
            names.push(name);
        }
    }
    names.sort_by(|a, b| moment(a).cmp(&moment(b)));
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use store::{StoreConfig, Write};

    use super::*;

    #[tokio::test]
    async fn the_latest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig::new(folder.path().join("store"))).unwrap();
        let config = SnapshotConfig { keep: 2, ..SnapshotConfig::new(folder.path()) };
        let mut taken = Vec::new();
        for n in 0..4_u8 {
            store.commit(Write::put([b'k', n], "v")).await.unwrap();
            taken.push(take(&store, &config, jiff::Timestamp::now()).unwrap());
        }
        let kept = names(&config.dir).unwrap();
        assert_eq!(kept.len(), 2);
        for ((path, contents), name) in taken[2..].iter().zip(&kept) {
            assert_eq!(path.file_name().unwrap().to_str().unwrap(), name);
            assert_eq!(store::check(path).unwrap(), *contents);
        }
        assert_eq!(taken[3].1.keys, 4);
        // Taken just now, so the next is due after the whole interval.
        let every = Duration::from_secs(1000);
        let now = SystemTime::now();
        assert!(first_wait(&config.dir, every, now) > Duration::from_secs(900));
        assert_eq!(first_wait(folder.path(), every, now), FIRST_AFTER);
        // Whatever the clock says, the next one comes, and not later than it would.
        let year = Duration::from_secs(365 * 24 * 3600);
        assert_eq!(first_wait(&config.dir, every, now + 100 * year), Duration::ZERO);
        assert_eq!(first_wait(&config.dir, every, now - 50 * year), FIRST_AFTER);
    }

    #[test]
    fn of_one_second_the_lower_revision_is_older() {
        let now = "2026-03-01T00:00:00Z".parse().unwrap();
        let mut names =
            ["1-r7", "0-r9", "0-r10143", "0-r2"].map(|end| format!("{PREFIX}20260301T00000{end}").replace("-r", "Z-r"));
        in_order(&mut names, now);
        let ends = names.each_ref().map(|name| &name[PREFIX.len() + 14..]);
        assert_eq!(ends, ["1Z-r7", "0Z-r2", "0Z-r9", "0Z-r10143"], "what is in the future first");
    }

    #[tokio::test]
    async fn no_jump_of_the_clock_throws_away_what_was_just_taken() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig::new(folder.path().join("store"))).unwrap();
        let config = SnapshotConfig { keep: 2, ..SnapshotConfig::new(folder.path()) };
        let mut before: Option<PathBuf> = None;
        // Right, far ahead, right again, far back, right again: twice each, so that each pushes out what was before.
        for (n, year) in [2026, 2026, 2099, 2099, 2026, 2026, 1970, 1970, 2027, 2027].into_iter().enumerate() {
            store.commit(Write::put([b'k', n as u8], "v")).await.unwrap();
            let now = format!("{year}-03-01T00:00:{n:02}Z").parse().unwrap();
            let (path, _) = take(&store, &config, now).unwrap();
            assert!(path.exists(), "{year}, step {n}");
            assert_eq!(names(&config.dir).unwrap().len(), if n == 0 { 1 } else { 2 });
            // The one before it goes only where the clock makes it look older than what was taken long before.
            let is_kept = before.is_none_or(|before| before.exists());
            assert!(is_kept || [2026, 2027].contains(&year), "{year}, step {n}");
            before = Some(path);
        }
    }

    fn s3_of(storage: &testkit::Storage, dir: &Path) -> S3Config {
        use std::{io::Write as _, os::unix::fs::OpenOptionsExt};
        let keys = dir.join("keys");
        let mut file =
            std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&keys).unwrap();
        file.write_all(b"aws_access_key_id=id\naws_secret_access_key=hidden\n").unwrap();
        let endpoint = Some(storage.endpoint().to_owned());
        S3Config { endpoint, credentials: Some(keys), ..S3Config::new("s3://bucket/f".parse().unwrap()) }
    }

    async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The loop itself, at a pace no user may choose: what is taken is sent, a storage that is away gets the latest when
    /// it is back, the oldest go from both, and what is not ours stays.
    #[tokio::test]
    async fn a_running_store_sends_what_it_takes() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, storage) = (folder.path().join("snapshots"), testkit::Storage::start());
        storage.put("f/before-upgrade", "kept");
        let store = Store::open(StoreConfig::new(folder.path().join("store"))).unwrap();
        let every = Some(Duration::from_millis(100));
        let s3 = Some(s3_of(&storage, folder.path()));
        let config = SnapshotConfig { every, keep: 2, s3, dir: dir.clone() };
        storage.set(testkit::Trouble::Busy);
        let tasks = Tasks::new();
        start(&store, config.clone(), &tasks);
        // Names are by the second and the revision, so each write makes another.
        let mut wrote = 0_u8;
        let ours = || storage.names().into_iter().filter(|name| name.starts_with("f/snapshot-")).collect::<Vec<_>>();
        while wrote < 4 {
            let before = names(&dir).unwrap().last().cloned();
            store.commit(Write::put([b'k', wrote], "v")).await.unwrap();
            wrote += 1;
            until("one is taken", || names(&dir).unwrap().last().cloned() != before).await;
        }
        assert_eq!(ours(), Vec::<String>::new());
        until("the oldest are removed", || names(&dir).unwrap().len() == 2).await;
        storage.set(testkit::Trouble::None);
        let newest = format!("f/{}", names(&dir).unwrap().last().unwrap());
        until("the latest is sent", || storage.names().contains(&newest)).await;
        for n in 0..4_u8 {
            let before = ours();
            store.commit(Write::put([b'l', n], "v")).await.unwrap();
            until("the next is sent", || ours() != before).await;
        }
        let local = || names(&dir).unwrap().iter().map(|name| format!("f/{name}")).collect::<Vec<_>>();
        until("both have the same two", || local().len() == 2 && local() == ours()).await;
        assert_eq!(storage.get("f/before-upgrade").unwrap(), b"kept");
        for name in names(&dir).unwrap() {
            assert_eq!(Some(std::fs::read(dir.join(&name)).unwrap()), storage.get(&format!("f/{name}")));
        }
        assert!(tasks.stop(Duration::from_secs(10)).await);
    }

    #[tokio::test]
    async fn what_the_last_server_did_not_send_is_sent_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let storage = testkit::Storage::start();
        let store = Store::open(StoreConfig::new(folder.path().join("store"))).unwrap();
        store.commit(Write::put(*b"k", "v")).await.unwrap();
        let s3 = Some(s3_of(&storage, folder.path()));
        let config = SnapshotConfig { s3, ..SnapshotConfig::new(folder.path()) };
        let (path, _) = take(&store, &config, jiff::Timestamp::now()).unwrap();
        let name = format!("f/{}", path.file_name().unwrap().to_str().unwrap());
        // What was killed in the middle is not taken for one, and goes with the next that is taken.
        let half = path.with_added_extension("tmp");
        std::fs::write(&half, "half").unwrap();
        let tasks = Tasks::new();
        start(&store, config.clone(), &tasks);
        until("it is sent", || storage.names() == [name.clone()]).await;
        assert!(tasks.stop(Duration::from_secs(10)).await);
        let puts = || storage.asked().iter().filter(|head| head.starts_with("PUT")).count();
        let (tasks, asked) = (Tasks::new(), storage.asked().len());
        start(&store, config.clone(), &tasks);
        until("it is looked for", || storage.asked().len() > asked).await;
        assert!(tasks.stop(Duration::from_secs(10)).await);
        assert_eq!(puts(), 1);
        store.commit(Write::put(*b"k", "w")).await.unwrap();
        take(&store, &config, jiff::Timestamp::now()).unwrap();
        assert!(!half.exists());
        // One that is damaged here is no backup there.
        names(&config.dir).unwrap().iter().for_each(|name| std::fs::write(config.dir.join(name), "damaged").unwrap());
        assert_eq!(newest_whole(&config.dir).await, None);
    }
}
