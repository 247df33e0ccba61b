//! The index of images: one small JSON file, replaced whole and synced, shared by the daemon and the command line.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::{Error, ImageConfig, Result};

/// An image that is present, all its layers unpacked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Digest of its configuration: `sha256:…`.
    pub id: String,
    /// Complete names with a tag.
    pub tags: Vec<String>,
    /// Complete names with a digest.
    pub digests: Vec<String>,
    /// Bytes of the unpacked layers.
    pub size_bytes: u64,
    /// Chain ids of the layers, lowest first.
    pub chain_ids: Vec<String>,
    pub config: ImageConfig,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Index {
    pub(crate) images: BTreeMap<String, Image>,
}

impl Index {
    /// By id, by complete name, or by a name to be completed.
    pub(crate) fn find(&self, reference: &str) -> Option<&Image> {
        if let Some(image) = self.images.get(reference) {
            return Some(image);
        }
        if reference.len() == 64 && reference.bytes().all(|b| b.is_ascii_hexdigit()) {
            return self.images.get(&format!("sha256:{reference}"));
        }
        let name = crate::normalize(reference).ok()?;
        self.images.values().find(|image| image.tags.contains(&name) || image.digests.contains(&name))
    }

    /// Puts an image in and takes its tags from whoever had them.
    pub(crate) fn insert(&mut self, mut image: Image) {
        for other in self.images.values_mut() {
            other.tags.retain(|tag| !image.tags.contains(tag));
        }
        if let Some(old) = self.images.remove(&image.id) {
            image.tags.extend(old.tags);
            image.digests.extend(old.digests);
        }
        image.tags.sort();
        image.tags.dedup();
        image.digests.sort();
        image.digests.dedup();
        self.images.insert(image.id.clone(), image);
    }
}

/// The file, and what was last read from it.
#[derive(Debug)]
pub(crate) struct IndexFile {
    path: PathBuf,
    lock: PathBuf,
    seen: Option<(u64, i64, i64)>,
    index: Index,
}

impl IndexFile {
    pub(crate) fn new(root: &Path) -> Self {
        Self { path: root.join("images.json"), lock: root.join("lock"), seen: None, index: Index::default() }
    }

    /// The index as it is on the disk now; parsed again only if another process replaced it.
    pub(crate) fn read(&mut self) -> Result<&Index> {
        let stat = match fs::metadata(&self.path) {
            Ok(stat) => Some((stat.ino(), stat.mtime(), stat.mtime_nsec())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("read", &self.path)(error)),
        };
        if stat.is_none() {
            self.index = Index::default();
        } else if stat != self.seen {
            let bytes = fs::read(&self.path).map_err(Error::io("read", &self.path))?;
            self.index = serde_json::from_slice(&bytes)
                .map_err(|source| Error::DamagedIndex { path: self.path.clone(), source })?;
        }
        self.seen = stat;
        Ok(&self.index)
    }

    /// Changes the index under a lock that other processes honour; on the disk when this returns.
    pub(crate) fn update<T>(&mut self, change: impl FnOnce(&mut Index) -> T) -> Result<T> {
        let lock = File::create(&self.lock).map_err(Error::io("create", &self.lock))?;
        let _held = Flock::lock(lock, FlockArg::LockExclusive)
            .map_err(|(_, errno)| Error::io("lock", &self.lock)(errno.into()))?;
        let mut index = self.read()?.clone();
        let answer = change(&mut index);
        let temporary = self.path.with_extension("tmp");
        let bytes = serde_json::to_vec(&index).map_err(|source| Error::Json { what: "the index".into(), source })?;
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            File::open(self.path.parent().unwrap_or(Path::new("/")))?.sync_all()
        });
        written.map_err(Error::io("write", &self.path))?;
        self.seen = None;
        self.read()?;
        Ok(answer)
    }
}
