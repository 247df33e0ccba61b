//! `knarr store snapshot`: in files, and in S3-compatible storage.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use supervisor::{ControlError, S3, S3Config, S3Place};

use super::Place;

/// What a file that passes through the data folder is called, before the number of the process.
const PASSING: &str = ".snapshot-";
/// What is written so is no file.
const S3_SCHEME: &str = "s3://";

#[derive(Subcommand)]
pub(crate) enum Snapshot {
    /// Save the store to a new file or object, while its server runs or not, and read it back
    Save {
        /// A file, or s3://BUCKET/FOLDER/NAME
        #[arg(value_name = "SNAPSHOT")]
        to: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        storage: Storage,
    },
    /// Make the store of a data folder that has none from a snapshot
    Restore {
        /// A file, or s3://BUCKET/FOLDER/NAME
        #[arg(value_name = "SNAPSHOT")]
        from: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        storage: Storage,
    },
    /// List snapshots
    List {
        /// A folder, or s3://BUCKET/FOLDER [default: snapshots in the data folder]
        #[arg(value_name = "FOLDER")]
        of: Option<String>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        storage: Storage,
    },
    /// Remove all but the latest of the snapshots that a schedule took
    Prune {
        /// A folder, or s3://BUCKET/FOLDER [default: snapshots in the data folder]
        #[arg(value_name = "FOLDER")]
        of: Option<String>,
        /// How many stay
        #[arg(long, value_name = "N", default_value_t = 5)]
        keep: usize,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        storage: Storage,
    },
}

/// How S3 is used.
#[derive(Args)]
pub(crate) struct Storage {
    /// Endpoint of the storage [default: Amazon's, in the region]
    #[arg(long, value_name = "URL")]
    s3_endpoint: Option<String>,
    /// Region of the storage
    #[arg(long, value_name = "NAME", default_value = "us-east-1")]
    s3_region: String,
    /// Authorities of the endpoint's certificate [default: those of the system]
    #[arg(long, value_name = "FILE")]
    s3_ca: Option<PathBuf>,
    /// File with the keys, in the form of ~/.aws/credentials [default: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY]
    #[arg(long, value_name = "FILE")]
    s3_credentials: Option<PathBuf>,
}

impl Storage {
    fn open(self, place: S3Place) -> anyhow::Result<S3> {
        let Self { s3_endpoint: endpoint, s3_region: region, s3_ca: ca, s3_credentials: credentials } = self;
        Ok(S3::open(&S3Config { place, endpoint, region, ca, credentials })?)
    }

    /// The storage and the name of one object.
    fn object(self, text: &str) -> anyhow::Result<(S3, String)> {
        let place: S3Place = text.parse()?;
        let (folder, name) = place.split().context("name the object too: s3://BUCKET/FOLDER/NAME")?;
        Ok((self.open(folder)?, name.to_owned()))
    }
}

/// Waits for what a storage does.
fn wait<T, E: Into<anyhow::Error>>(work: impl Future<Output = Result<T, E>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    runtime.block_on(work).map_err(Into::into)
}

/// A file in the data folder that is gone again afterwards.
struct Passing(PathBuf);

impl Passing {
    fn new(data_dir: &Path) -> anyhow::Result<Passing> {
        std::fs::create_dir_all(data_dir).with_context(|| format!("create {}", data_dir.display()))?;
        let failed = || format!("tidy up {}", data_dir.display());
        for entry in std::fs::read_dir(data_dir).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let name = entry.file_name();
            let owner =
                name.to_str().and_then(|name| name.strip_prefix(PASSING)?.split('.').next()?.parse::<u32>().ok());
            // What was killed has left its file; whoever has our number now is us.
            let is_dead = |pid: u32| pid == std::process::id() || !Path::new("/proc").join(pid.to_string()).exists();
            if owner.is_some_and(is_dead) {
                std::fs::remove_file(entry.path()).with_context(failed)?;
            }
        }
        Ok(Passing(data_dir.join(format!("{PASSING}{}", std::process::id()))))
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // One that was never made is gone too.
        std::fs::remove_file(&self.0).ok();
    }
}

impl Snapshot {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Save { to, place, storage } => save(&to, &place, storage),
            Self::Restore { from, place, storage } => restore(&from, &place, storage),
            Self::List { of, place, storage } => list(of, &place, storage),
            Self::Prune { of, keep, place, storage } => prune(of, keep, &place, storage),
        }
    }
}

fn save(to: &str, place: &Place, storage: Storage) -> anyhow::Result<()> {
    let saved = if to.starts_with(S3_SCHEME) {
        let (s3, name) = storage.object(to)?;
        let file = Passing::new(&place.data_dir)?;
        let saved = place.store().save(&file.0)?;
        wait(s3.save(&file.0, &name))?;
        saved
    } else {
        place.store().save(Path::new(to))?
    };
    println!("{to} saved and checked: revision {}, {} keys, {} bytes", saved.revision, saved.keys, saved.bytes);
    Ok(())
}

fn restore(from: &str, place: &Place, storage: Storage) -> anyhow::Result<()> {
    let restored = if from.starts_with(S3_SCHEME) {
        let (s3, name) = storage.object(from)?;
        let file = Passing::new(&place.data_dir)?;
        wait(s3.fetch(&name, &file.0))?;
        place.store().restore(&file.0).map_err(|error| error.about(from))?
    } else {
        place.store().restore(Path::new(from))?
    };
    let (dir, keys, revision) = (place.data_dir.display(), restored.keys, restored.revision);
    println!("store of {dir} restored: {keys} keys; its revisions go on from {revision}");
    Ok(())
}

/// Compares all checksums of a snapshot, in a file or an object.
pub(super) fn check(of: &str, place: &Place, storage: Storage) -> anyhow::Result<()> {
    let found = if of.starts_with(S3_SCHEME) {
        let (s3, name) = storage.object(of)?;
        let file = Passing::new(&place.data_dir)?;
        wait(s3.fetch(&name, &file.0))?;
        supervisor::check_snapshot(&file.0).map_err(|error| ControlError::from(error).about(of))?
    } else {
        supervisor::check_snapshot(Path::new(of))?
    };
    println!("{of} is whole: revision {}, {} keys, {} bytes", found.revision, found.keys, found.bytes);
    Ok(())
}

fn list(of: Option<String>, place: &Place, storage: Storage) -> anyhow::Result<()> {
    let each: Vec<(String, u64)> = match of {
        Some(of) if of.starts_with(S3_SCHEME) => {
            let found = wait(storage.open(of.parse()?)?.list(""))?;
            found.into_iter().map(|object| (object.name, object.bytes)).collect()
        }
        of => {
            let of_user = of.is_some();
            let dir = folder(of, place);
            let failed = || format!("list {}", dir.display());
            let names = if of_user { snapshots_in(&dir) } else { supervisor::snapshot_names(&dir) };
            let names = names.with_context(failed)?;
            let size = |name: String| Ok((name.clone(), dir.join(name).metadata().with_context(failed)?.len()));
            names.into_iter().map(size).collect::<anyhow::Result<_>>()?
        }
    };
    for (name, bytes) in each {
        println!("{name}  {bytes} bytes");
    }
    Ok(())
}

/// All of a folder that begins as a snapshot does, whoever named it.
fn snapshots_in(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file()
            && let Ok(name) = entry.file_name().into_string()
            && !name.ends_with(".tmp")
            && supervisor::is_snapshot(&entry.path())
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn prune(of: Option<String>, keep: usize, place: &Place, storage: Storage) -> anyhow::Result<()> {
    anyhow::ensure!(keep > 0, "--keep: at least one must stay");
    let now = jiff::Timestamp::now();
    let gone = match of {
        Some(of) if of.starts_with(S3_SCHEME) => {
            wait(supervisor::prune_s3_snapshots(&storage.open(of.parse()?)?, keep, now))?
        }
        of => {
            let dir = folder(of, place);
            supervisor::prune_snapshots(&dir, keep, now).with_context(|| format!("prune {}", dir.display()))?
        }
    };
    gone.iter().for_each(|name| println!("{name} removed"));
    Ok(())
}

fn folder(of: Option<String>, place: &Place) -> PathBuf {
    of.map_or_else(|| place.data_dir.join("snapshots"), PathBuf::from)
}
