//! `knarr image`.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use supervisor::{Images, image_store};

use crate::settings::ClusterSettings;

#[derive(Subcommand)]
pub(crate) enum Image {
    /// Import images from a tar file: an OCI layout or a docker archive
    Import {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// List images
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Remove images by name or id
    #[command(visible_alias = "remove")]
    Rm {
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
}

/// Whose images.
#[derive(Args)]
pub(crate) struct Place {
    #[command(flatten)]
    settings: ClusterSettings,
}

impl Place {
    fn open(self) -> anyhow::Result<Images> {
        Ok(image_store(&self.settings.config()?.node)?)
    }
}

impl Image {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Import { files, place } => import(&place.open()?, &files),
            Self::List { place } => list(&place.open()?),
            Self::Rm { images, place } => {
                let store = place.open()?;
                for image in images {
                    store.remove(&image).with_context(|| format!("remove {image}"))?;
                    println!("{image} removed");
                }
                Ok(())
            }
        }
    }
}

fn import(store: &Images, files: &[PathBuf]) -> anyhow::Result<()> {
    for file in files {
        let images = store.import(file).with_context(|| format!("import {}", file.display()))?;
        for image in images {
            println!("{} imported", image.tags.first().unwrap_or(&image.id));
        }
    }
    Ok(())
}

/// An image without a name has its id alone.
fn list(store: &Images) -> anyhow::Result<()> {
    let mut rows = vec![["IMAGE".to_owned(), "ID".to_owned(), "SIZE".to_owned()]];
    for image in store.list()? {
        let id: String = image.id.trim_start_matches("sha256:").chars().take(13).collect();
        let size = format!("{:.1} MB", image.size_bytes as f64 / 1e6);
        let names = if image.tags.is_empty() { vec!["<none>".to_owned()] } else { image.tags };
        rows.extend(names.into_iter().map(|name| [name, id.clone(), size.clone()]));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let (first, second) = (width(0), width(1));
    for [name, id, size] in &rows {
        println!("{name:first$}   {id:second$}   {size}");
    }
    Ok(())
}
