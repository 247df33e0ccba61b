//! `knarr store`.

mod snapshot;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use supervisor::{ControlError, Direction, Migration, StoreControl};

use crate::{datastore_settings::DatastoreSettings, run, settings::DEFAULT_DATA_DIR};

use snapshot::{Snapshot, Storage};

#[derive(Subcommand)]
pub(crate) enum Store {
    /// Show how the store of a running server is
    Status {
        #[command(flatten)]
        place: Place,
    },
    /// Save and restore the store
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Compare all checksums of the store's files, or of a snapshot; changes nothing
    Check {
        /// A file, or s3://BUCKET/FOLDER/NAME; the store itself if none is named
        #[arg(value_name = "SNAPSHOT")]
        snapshot: Option<String>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        storage: Storage,
    },
    /// Move a cluster whose servers are stopped from a data folder to etcd, or back; compares all objects afterwards
    Migrate {
        /// Where to
        #[arg(long, value_enum, required_unless_present = "give_up")]
        to: Option<Target>,
        /// End a move that was begun and not ended: everything is as it was before
        #[arg(long, conflicts_with = "to")]
        give_up: bool,
        /// File that says what is encrypted at rest, if the server has one [default: the data folder's own]
        #[arg(long, value_name = "FILE")]
        encryption_provider_config: Option<PathBuf>,
        #[command(flatten)]
        datastore: DatastoreSettings,
        #[command(flatten)]
        place: Place,
    },
    /// Let go of the history of a running server's store and write all of it anew, with the first encryption key
    Compact {
        #[command(flatten)]
        place: Place,
    },
}

/// From where to where.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Target {
    /// From the data folder to etcd
    Etcd,
    /// From etcd to the data folder
    Local,
}

/// Whose store.
#[derive(Args)]
pub(crate) struct Place {
    /// Data folder of the server
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR)]
    pub(crate) data_dir: PathBuf,
}

impl Place {
    pub(crate) fn store(&self) -> StoreControl {
        StoreControl::new(&self.data_dir)
    }
}

impl Store {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Status { place } => status(&place),
            Self::Snapshot(snapshot) => snapshot.run(),
            Self::Check { snapshot: Some(of), place, storage } => snapshot::check(&of, &place, storage),
            Self::Check { snapshot: None, place, .. } => check(&place),
            Self::Migrate { to, give_up, encryption_provider_config, datastore, place } => {
                let datastore = datastore.config()?.context("--datastore-endpoint says which etcd is meant")?;
                let direction = match to {
                    Some(Target::Local) => Direction::ToLocal,
                    _ => Direction::ToEtcd,
                };
                let encryption = encryption_provider_config;
                let migration = Migration { data_dir: place.data_dir, datastore, encryption, direction };
                match give_up {
                    true => println!("{}", run::to_end(migration.give_up())?),
                    false => println!("{}", run::to_end(migration.run())?),
                }
                Ok(())
            }
            Self::Compact { place } => {
                println!("history before revision {} is gone; all of it is written anew", place.store().compact()?);
                Ok(())
            }
        }
    }
}

fn status(place: &Place) -> anyhow::Result<()> {
    let status = match place.store().status() {
        Ok(status) => status,
        Err(error @ ControlError::NotRunning { .. }) => {
            anyhow::bail!("{error}; `knarr store check` reads the files of a store that is not in use")
        }
        Err(error) => return Err(error.into()),
    };
    println!("writes      {}", status.writes);
    println!("revision    {}", status.revision);
    println!("history     from revision {}", status.compacted);
    println!("keys        {}", status.keys);
    println!("data        {:.1} MB", megabytes(status.live_bytes));
    println!("on disk     {:.1} MB", megabytes(status.disk_bytes));
    println!("watches     {}", status.watches);
    Ok(())
}

fn check(place: &Place) -> anyhow::Result<()> {
    let found = place.store().verify()?;
    let (keys, revision) = (found.snapshot.count(b""), found.snapshot.revision());
    let records = found.recovery.records;
    println!(
        "the store is whole: revision {revision}, {keys} keys, {records} records in the log, {:.1} MB",
        megabytes(found.bytes)
    );
    if let Some(cut) = found.recovery.cut {
        println!(
            "the last {} bytes of {} are an unfinished write: of a server that is writing now, or was killed",
            cut.bytes,
            cut.file.display()
        );
    }
    Ok(())
}

pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
