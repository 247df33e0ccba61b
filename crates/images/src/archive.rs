//! Archives of images: OCI layouts and `docker save`, in one tar, plain or compressed.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Seek as _, SeekFrom},
    path::Path,
};

use serde::Deserialize;

use crate::{
    Error, Result,
    config::{ConfigFile, Manifest, for_this_machine},
    layer::{decompress, digest_of},
};

/// Manifests and configurations are small; anything larger is not one.
const DOCUMENT_LIMIT_BYTES: u64 = 8 << 20;

/// One image found in an archive.
pub(crate) struct Found {
    pub(crate) names: Vec<String>,
    pub(crate) manifest_digest: Option<String>,
    pub(crate) config: Vec<u8>,
    /// Entries of the layers, lowest first.
    pub(crate) layers: Vec<String>,
}

/// A tar on the disk, its entries by name.
pub(crate) struct ArchiveFile {
    file: File,
    entries: HashMap<String, (u64, u64)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl ArchiveFile {
    /// Opens an archive; a compressed one is first written out to `scratch`.
    pub(crate) fn open(path: &Path, scratch: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        let mut magic = [0u8; 4];
        let read = file.read(&mut magic).map_err(Error::io("read", path))?;
        file.rewind().map_err(Error::io("read", path))?;
        if read == 4 && (magic.starts_with(&[0x1f, 0x8b]) || magic == [0x28, 0xb5, 0x2f, 0xfd]) {
            let mut plain = File::create_new(scratch).map_err(Error::io("create", scratch))?;
            decompress(file).and_then(|mut s| io::copy(&mut s, &mut plain)).map_err(Error::io("decompress", path))?;
            file = File::open(scratch).map_err(Error::io("open", scratch))?;
        }
        let mut entries = HashMap::new();
        let mut archive = tar::Archive::new(&file);
        for entry in archive.entries_with_seek().map_err(Error::io("read", path))? {
            let entry = entry.map_err(Error::io("read", path))?;
            let name = entry.path().map_err(Error::io("read", path))?;
            let name = name.to_string_lossy().trim_start_matches("./").to_owned();
            if entry.header().entry_type().is_symlink() || entry.header().entry_type().is_hard_link() {
                // `docker save` links equal layers to one another.
                if let Ok(Some(target)) = entry.link_name() {
                    let target = resolve(&name, &target.to_string_lossy());
                    if let Some(at) = entries.get(&target).copied() {
                        entries.insert(name, at);
                    }
                }
                continue;
            }
            entries.insert(name, (entry.raw_file_position(), entry.size()));
        }
        if !entries.contains_key("index.json") && !entries.contains_key("manifest.json") {
            return Err(Error::NotAnArchive { path: path.to_owned() });
        }
        Ok(Self { file, entries })
    }

    /// A reader of one entry, with a file position of its own.
    pub(crate) fn reader(&self, entry: &str) -> Result<impl Read + use<>> {
        let missing = || Error::MissingEntry { entry: entry.to_owned() };
        let (at, length) = *self.entries.get(entry).ok_or_else(missing)?;
        let fd = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.file));
        let mut file = File::open(&fd).map_err(Error::io("open", &fd))?;
        file.seek(SeekFrom::Start(at)).map_err(Error::io("read", fd))?;
        Ok(file.take(length))
    }

    fn document(&self, entry: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader(entry)?
            .take(DOCUMENT_LIMIT_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Layer { source })?;
        Ok(bytes)
    }

    fn blob(&self, digest: &str) -> Result<Vec<u8>> {
        let bytes = self.document(&blob_path(digest))?;
        let found = digest_of(&bytes);
        if found == digest {
            Ok(bytes)
        } else {
            Err(Error::Digest { what: "a blob".into(), found, expected: digest.to_owned() })
        }
    }

    /// The images for this machine.
    pub(crate) fn images(&self) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        if self.entries.contains_key("index.json") {
            self.layout(&mut found)?;
        }
        if self.entries.contains_key("manifest.json") {
            self.docker(&mut found)?;
        }
        Ok(found)
    }

    fn layout(&self, found: &mut Vec<Found>) -> Result<()> {
        let index: Manifest = parse("index.json", &self.document("index.json")?)?;
        for descriptor in &index.manifests {
            let note = |key: &str| descriptor.annotations.get(key).filter(|name| !name.is_empty());
            let name = note("io.containerd.image.name")
                .or_else(|| note("org.opencontainers.image.ref.name").filter(|n| n.contains([':', '/'])));
            let mut digest = descriptor.digest.clone();
            let mut manifest: Manifest = parse("a manifest", &self.blob(&digest)?)?;
            if manifest.config.is_none() && !manifest.manifests.is_empty() {
                let Some(ours) = for_this_machine(&manifest.manifests) else {
                    return Err(Error::NoPlatform { architecture: crate::config::architecture() });
                };
                let inner: Manifest = parse("a manifest", &self.blob(&ours.digest)?)?;
                digest.clone_from(&descriptor.digest);
                manifest = inner;
            }
            let Some(config) = manifest.config else { continue };
            found.push(Found {
                names: name.cloned().into_iter().collect(),
                manifest_digest: Some(digest),
                config: self.blob(&config.digest)?,
                layers: manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
            });
        }
        Ok(())
    }

    fn docker(&self, found: &mut Vec<Found>) -> Result<()> {
        let manifests: Vec<DockerManifest> = parse("manifest.json", &self.document("manifest.json")?)?;
        for manifest in manifests {
            let config = self.document(&manifest.config)?;
            let names = manifest.repo_tags.unwrap_or_default();
            match found.iter_mut().find(|other| other.config == config) {
                Some(other) => other.names.extend(names),
                None => found.push(Found { names, manifest_digest: None, config, layers: manifest.layers }),
            }
        }
        Ok(())
    }
}

fn blob_path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

fn resolve(name: &str, target: &str) -> String {
    let mut path: Vec<&str> = name.split('/').collect();
    path.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(path.pop()),
            "." | "" => {}
            part => path.push(part),
        }
    }
    path.join("/")
}

fn parse<T: for<'de> Deserialize<'de>>(what: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| Error::Json { what: what.to_owned(), source })
}

pub(crate) fn parse_config(bytes: &[u8]) -> Result<ConfigFile> {
    parse("the image configuration", bytes)
}
