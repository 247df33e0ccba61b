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

use crate::store_control::save_as;

/// When snapshots are taken, and how many stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// `None`: never.
    pub every: Option<Duration>,
    pub keep: usize,
    pub dir: PathBuf,
}

impl SnapshotConfig {
    /// Twice a day into `snapshots` in the data folder; the latest five are kept.
    pub fn new(data_dir: &Path) -> Self {
        Self { every: Some(Duration::from_secs(12 * 3600)), keep: 5, dir: data_dir.join("snapshots") }
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
        loop {
            tokio::time::sleep(wait).await;
            wait = every;
            let revision = store.revision();
            if last == Some(revision) {
                continue;
            }
            let (store, config) = (store.clone(), config.clone());
            let now = jiff::Timestamp::now();
            match tokio::task::spawn_blocking(move || take(&store, &config, now)).await {
                Ok(Ok((path, contents))) => {
                    let Contents { revision, keys, bytes } = contents;
                    last = Some(revision);
                    tracing::info!(path = %path.display(), revision = revision.0, keys, bytes, "snapshot of the store saved");
                }
                Ok(Err(error)) => {
                    tracing::error!(error = format!("{error:#}"), "the store's snapshot failed; see --snapshot-dir");
                    wait = RETRY_AFTER.min(every);
                }
                Err(error) => tracing::error!(%error, "the store's snapshot panicked"),
            }
        }
    });
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
    names.sort_by(|a, b| (*a <= now, a).cmp(&(*b <= now, b)));
}

fn take(store: &Store, config: &SnapshotConfig, now: jiff::Timestamp) -> anyhow::Result<(PathBuf, Contents)> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = &config.dir;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("create {}", dir.display()))?;
    let path = dir.join(format!("{PREFIX}{}-r{}", now.strftime(STAMP), store.revision()));
    let contents = save_as(&path, |file| {
        let written = store.save(file).map(|_| ());
        written.map_err(|source| crate::ControlError::Io { action: "write", path: path.clone(), source })
    })?;
    let mut names = names(dir).with_context(|| format!("list {}", dir.display()))?;
    in_order(&mut names, now);
    for old in &names[..names.len().saturating_sub(config.keep.max(1))] {
        let old = dir.join(old);
        std::fs::remove_file(&old).with_context(|| format!("remove {}", old.display()))?;
    }
    Ok((path, contents))
}

/// Snapshots in the folder: their names begin with the time.
fn names(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        if let Ok(name) = entry?.file_name().into_string()
            && name.starts_with(PREFIX)
            && !name.ends_with(".tmp")
        {
            names.push(name);
        }
    }
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
        let mut kept = names(&config.dir).unwrap();
        kept.sort();
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
}
