//! The images that are present, and the way in and out.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::Read,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    Error, Image, Registries, Result,
    archive::{ArchiveFile, parse_config},
    config::architecture,
    index::{Index, IndexFile},
    layer::{Digesting, decompress, digest_of},
    unpack::unpack,
};

/// Digits of a chain id in a folder's name: enough to be unique, few enough for many lower directories in one mount.
const NAME_DIGITS: usize = 26;

/// Cheap to clone. Methods that touch the disk block.
#[derive(Debug, Clone)]
pub struct Images {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    index: Mutex<IndexFile>,
    counter: AtomicU64,
    /// Held shared while layers come in, so that garbage collection does not take them before the index knows them.
    pub(crate) incoming: std::sync::RwLock<()>,
    pub(crate) registries: Registries,
}

/// What the images take on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    pub path: PathBuf,
    pub bytes: u64,
    pub inodes: u64,
}

/// Where one layer comes from.
pub(crate) trait LayerSource {
    fn open(&self, layer: usize) -> Result<Box<dyn Read + '_>>;
}

impl Images {
    /// Opens the store in a folder of its own, made if absent.
    pub fn open(root: &Path, registries: Registries) -> Result<Self> {
        for folder in [root.to_owned(), root.join("s"), root.join("tmp")] {
            fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        }
        let index = Mutex::new(IndexFile::new(root));
        let inner = Inner {
            root: root.to_owned(),
            index,
            counter: AtomicU64::new(0),
            incoming: std::sync::RwLock::new(()),
            registries,
        };
        let images = Self { inner: Arc::new(inner) };
        images.with_index(|_| ())?;
        Ok(images)
    }

    pub(crate) fn registries(&self) -> &Registries {
        &self.inner.registries
    }

    fn file(&self) -> MutexGuard<'_, IndexFile> {
        self.inner.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_index<T>(&self, read: impl FnOnce(&Index) -> T) -> Result<T> {
        self.file().read().map(read)
    }

    pub fn list(&self) -> Result<Vec<Image>> {
        self.with_index(|index| index.images.values().cloned().collect())
    }

    /// By id, or by a name that is completed as Docker does.
    pub fn find(&self, reference: &str) -> Result<Option<Image>> {
        self.with_index(|index| index.find(reference).cloned())
    }

    /// The directories of an image, topmost first, as overlay's `lowerdir` wants them.
    pub fn lower_directories(&self, image: &Image) -> Vec<PathBuf> {
        image.chain_ids.iter().rev().map(|chain| self.snapshot(chain)).collect()
    }

    fn snapshot(&self, chain: &str) -> PathBuf {
        let digits = chain.trim_start_matches("sha256:");
        self.inner.root.join("s").join(&digits[..NAME_DIGITS.min(digits.len())]).join("fs")
    }

    /// A fresh path for work that is not yet to be seen.
    pub(crate) fn scratch(&self) -> PathBuf {
        let number = self.inner.counter.fetch_add(1, Ordering::Relaxed);
        self.inner.root.join("tmp").join(format!("{}-{number}", std::process::id()))
    }

    /// Imports all images for this machine from an OCI layout or docker archive; answers them.
    pub fn import(&self, path: &Path) -> Result<Vec<Image>> {
        let _incoming = self.inner.incoming.read().unwrap_or_else(PoisonError::into_inner);
        let scratch = self.scratch();
        let imported = self.import_archive(path, &scratch);
        if scratch.exists() {
            fs::remove_file(&scratch).map_err(Error::io("remove", &scratch))?;
        }
        imported
    }

    fn import_archive(&self, path: &Path, scratch: &Path) -> Result<Vec<Image>> {
        struct Entries<'a>(&'a ArchiveFile, &'a [String]);
        impl LayerSource for Entries<'_> {
            fn open(&self, layer: usize) -> Result<Box<dyn Read + '_>> {
                Ok(Box::new(self.0.reader(&self.1[layer])?))
            }
        }
        let archive = ArchiveFile::open(path, scratch)?;
        let mut images = Vec::new();
        for found in archive.images()? {
            let tags: Vec<String> = found.names.iter().map(|name| crate::normalize(name)).collect::<Result<_>>()?;
            let digests = match (&found.manifest_digest, tags.first()) {
                (Some(digest), Some(tag)) => {
                    let parsed = crate::reference::parse(tag)?;
                    vec![format!("{}/{}@{digest}", parsed.registry(), parsed.repository())]
                }
                _ => Vec::new(),
            };
            let expected: Vec<Option<String>> = found
                .layers
                .iter()
                .map(|entry| entry.strip_prefix("blobs/sha256/").map(|hex| format!("sha256:{hex}")))
                .collect();
            let source = Entries(&archive, &found.layers);
            images.push(self.add(&found.config, &expected, &source, tags, digests)?);
        }
        Ok(images)
    }

    /// Unpacks what is missing of an image and writes it into the index. `expected` are digests of the layers as stored.
    pub(crate) fn add(
        &self,
        config: &[u8],
        expected: &[Option<String>],
        source: &dyn LayerSource,
        tags: Vec<String>,
        digests: Vec<String>,
    ) -> Result<Image> {
        let parsed = parse_config(config)?;
        if (parsed.os.as_str(), parsed.architecture.as_str()) != ("linux", architecture())
            && !parsed.architecture.is_empty()
        {
            let image = format!("{}/{}", parsed.os, parsed.architecture);
            return Err(Error::WrongPlatform { image, architecture: architecture() });
        }
        let diff_ids = parsed.rootfs.diff_ids;
        if diff_ids.len() != expected.len() {
            return Err(Error::LayerCount { layers: expected.len(), diff_ids: diff_ids.len() });
        }
        let mut chain_ids: Vec<String> = Vec::new();
        let mut size_bytes = 0;
        for (number, diff_id) in diff_ids.iter().enumerate() {
            let chain = match chain_ids.last() {
                Some(below) => digest_of(format!("{below} {diff_id}").as_bytes()),
                None => diff_id.clone(),
            };
            let lower: Vec<PathBuf> = chain_ids.iter().rev().map(|chain| self.snapshot(chain)).collect();
            size_bytes +=
                self.ensure_layer(&chain, diff_id, &lower, expected[number].as_deref(), || source.open(number))?;
            chain_ids.push(chain);
        }
        let image = Image {
            id: digest_of(config),
            tags,
            digests,
            size_bytes,
            chain_ids,
            config: parsed.config.unwrap_or_default(),
        };
        let id = image.id.clone();
        let stored = self.file().update(|index| {
            index.insert(image);
            index.images.get(&id).cloned()
        })?;
        stored.ok_or(Error::NotPresent { reference: id })
    }

    /// Whether a layer is unpacked already, so that it need not be downloaded.
    pub(crate) fn has_layer(&self, chain: &str) -> bool {
        self.snapshot(chain).exists()
    }

    fn ensure_layer<'s>(
        &self,
        chain: &str,
        diff_id: &str,
        lower: &[PathBuf],
        expected: Option<&str>,
        open: impl FnOnce() -> Result<Box<dyn Read + 's>>,
    ) -> Result<u64> {
        let place = self.snapshot(chain);
        let place = place.parent().unwrap_or(&place).to_owned();
        if let Ok(size) = fs::read_to_string(place.join("size")) {
            return Ok(size.trim().parse().unwrap_or(0));
        }
        let scratch = self.scratch();
        let made = self.unpack_layer(&scratch, diff_id, lower, expected, open).and_then(|size| {
            match fs::rename(&scratch, &place) {
                // Another import brought the same layer first.
                Err(_) if place.join("size").exists() => fs::remove_dir_all(&scratch),
                done => done,
            }
            .map_err(Error::io("rename", &place))?;
            Ok(size)
        });
        if made.is_err()
            && let Err(error) = fs::remove_dir_all(&scratch)
        {
            tracing::warn!(path = %scratch.display(), %error, "cannot remove a half unpacked layer");
        }
        made
    }

    fn unpack_layer<'s>(
        &self,
        scratch: &Path,
        diff_id: &str,
        lower: &[PathBuf],
        expected: Option<&str>,
        open: impl FnOnce() -> Result<Box<dyn Read + 's>>,
    ) -> Result<u64> {
        let fs_dir = scratch.join("fs");
        fs::create_dir_all(&fs_dir).map_err(Error::io("create", &fs_dir))?;
        let mut stored = Digesting::new(open()?);
        let (found, size) = {
            let mut plain = Digesting::new(decompress(&mut stored).map_err(|source| Error::Layer { source })?);
            let size = unpack(&mut plain, &fs_dir, lower)?;
            plain.drain().map_err(|source| Error::Layer { source })?;
            (plain.digest(), size)
        };
        if found != diff_id {
            return Err(Error::Digest { what: "a layer".into(), found, expected: diff_id.to_owned() });
        }
        stored.drain().map_err(|source| Error::Layer { source })?;
        if let Some(expected) = expected
            && stored.digest() != expected
        {
            let found = stored.digest();
            return Err(Error::Digest { what: "a blob".into(), found, expected: expected.to_owned() });
        }
        fs::write(scratch.join("size"), size.to_string()).map_err(Error::io("write", scratch))?;
        let dir = File::open(scratch).map_err(Error::io("open", scratch))?;
        // One call for the thousands of files of a layer.
        // SAFETY: the descriptor is open.
        if unsafe { libc::syncfs(dir.as_raw_fd()) } < 0 {
            return Err(Error::io("sync", scratch)(std::io::Error::last_os_error()));
        }
        Ok(size)
    }

    /// Takes one name from an image, or with an id all its names and the image itself. The layers go with
    /// [`Images::collect_garbage`].
    pub fn remove(&self, reference: &str) -> Result<()> {
        let gone = self.file().update(|index| {
            let image = index.find(reference)?.clone();
            let name = crate::normalize(reference).unwrap_or_default();
            let named = image.tags.contains(&name) || image.digests.contains(&name);
            if named && image.tags.len() > 1 {
                let entry = index.images.get_mut(&image.id)?;
                entry.tags.retain(|tag| *tag != name);
                entry.digests.retain(|digest| *digest != name);
            } else {
                index.images.remove(&image.id);
            }
            Some(())
        })?;
        gone.ok_or_else(|| Error::NotPresent { reference: reference.to_owned() })
    }

    /// Removes layers that neither an image nor `in_use` (lower directories of containers) needs, and what crashes left.
    pub fn collect_garbage(&self, in_use: &HashSet<PathBuf>) -> Result<usize> {
        let Ok(_quiet) = self.inner.incoming.try_write() else { return Ok(0) };
        let mut needed: HashSet<PathBuf> = in_use.clone();
        for image in self.list()? {
            needed.extend(self.lower_directories(&image));
        }
        let mut removed = 0;
        for place in folders(&self.inner.root.join("s"))? {
            if !needed.contains(&place.join("fs")) {
                fs::remove_dir_all(&place).map_err(Error::io("remove", &place))?;
                removed += 1;
            }
        }
        for left in folders(&self.inner.root.join("tmp"))? {
            let owner = left.file_name().and_then(|n| n.to_str()).and_then(|n| n.split('-').next());
            if owner.is_some_and(|pid| Path::new("/proc").join(pid).exists()) {
                continue;
            }
            let gone = if left.is_dir() { fs::remove_dir_all(&left) } else { fs::remove_file(&left) };
            gone.map_err(Error::io("remove", &left))?;
        }
        Ok(removed)
    }

    /// Bytes and inodes of all unpacked layers, each counted once.
    pub fn usage(&self) -> Result<Usage> {
        let mut sizes: BTreeMap<PathBuf, u64> = BTreeMap::new();
        let root = self.inner.root.join("s");
        for place in folders(&root)? {
            let size = fs::read_to_string(place.join("size")).ok().and_then(|s| s.trim().parse().ok());
            sizes.insert(place, size.unwrap_or(0));
        }
        Ok(Usage { path: root, bytes: sizes.values().sum(), inodes: sizes.len() as u64 })
    }

    pub(crate) fn hold_incoming(&self) -> impl Drop + '_ {
        self.inner.incoming.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).map_err(Error::io("read", path))?;
    entries.map(|entry| entry.map(|e| e.path()).map_err(Error::io("read", path))).collect()
}
