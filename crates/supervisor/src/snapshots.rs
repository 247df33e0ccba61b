//! Snapshots of the store on a schedule, the latest of which are kept.

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

pub(crate) fn start(store: &Store, config: SnapshotConfig, tasks: &Tasks) {
    let Some(every) = config.every else { return };
    let store = store.clone();
    tasks.spawn("snapshots", async move {
        let mut wait = first_wait(&config.dir, every);
        let mut last = None;
        loop {
            tokio::time::sleep(wait).await;
            wait = every;
            let revision = store.revision();
            if last == Some(revision) {
                continue;
            }
            let (store, config) = (store.clone(), config.clone());
            match tokio::task::spawn_blocking(move || take(&store, &config)).await {
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

/// A restart neither puts a snapshot off nor brings one forward.
fn first_wait(dir: &Path, every: Duration) -> Duration {
    let newest = names(dir).ok().and_then(|names| names.last().map(|name| dir.join(name)));
    let age =
        newest.and_then(|path| path.metadata().ok()?.modified().ok()).map(|at| SystemTime::now().duration_since(at));
    match age {
        Some(age) => every.saturating_sub(age.unwrap_or_default()),
        None => FIRST_AFTER.min(every),
    }
}

fn take(store: &Store, config: &SnapshotConfig) -> anyhow::Result<(PathBuf, Contents)> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = &config.dir;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("create {}", dir.display()))?;
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let path = dir.join(format!("{PREFIX}{now}-r{}", store.revision()));
    let contents = save_as(&path, |file| {
        let written = store.save(file).map(|_| ());
        written.map_err(|source| crate::ControlError::Io { action: "write", path: path.clone(), source })
    })?;
    let names = names(dir).with_context(|| format!("list {}", dir.display()))?;
    for old in &names[..names.len().saturating_sub(config.keep.max(1))] {
        let old = dir.join(old);
        std::fs::remove_file(&old).with_context(|| format!("remove {}", old.display()))?;
    }
    Ok((path, contents))
}

/// Snapshots in the folder, oldest first: their names begin with the time.
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
    names.sort();
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
            taken.push(take(&store, &config).unwrap());
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
        assert!(first_wait(&config.dir, every) > Duration::from_secs(900));
        assert_eq!(first_wait(folder.path(), every), FIRST_AFTER);
    }
}
