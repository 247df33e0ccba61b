//! What can go wrong with images, in the words people know from containerd.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("invalid reference format: {reference:?}")]
    BadReference { reference: String },
    #[error("image {reference:?} is not present")]
    NotPresent { reference: String },
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is neither an OCI image layout nor a docker archive: it has no index.json and no manifest.json", path = path.display())]
    NotAnArchive { path: PathBuf },
    #[error("the archive lacks {entry}")]
    MissingEntry { entry: String },
    #[error("cannot parse {what}: {source}")]
    Json { what: String, source: serde_json::Error },
    #[error("no match for platform in manifest: not found; this machine needs linux/{architecture}")]
    NoPlatform { architecture: &'static str },
    #[error("image is for {image}, this machine needs linux/{architecture}")]
    WrongPlatform { image: String, architecture: &'static str },
    #[error("{what} has digest {found}, expected {expected}")]
    Digest { what: String, found: String, expected: String },
    #[error("the image has {layers} layers but {diff_ids} diff ids")]
    LayerCount { layers: usize, diff_ids: usize },
    #[error("layer entry {entry:?} leaves the root file system")]
    Escape { entry: String },
    #[error("cannot unpack layer entry {entry:?}: {source}")]
    Unpack { entry: String, source: io::Error },
    #[error("cannot read layer: {source}")]
    Layer { source: io::Error },
    #[error("the layer is larger than {limit} bytes unpacked")]
    TooLarge { limit: u64 },
    #[error("the image index {path} is damaged: {source}; move it away and import the images again", path = path.display())]
    DamagedIndex { path: PathBuf, source: serde_json::Error },
    #[error(
        "failed to pull and unpack image \"{reference}\": failed to resolve reference \"{reference}\": {reference}: not found"
    )]
    NotFound { reference: String },
    #[error(
        "failed to pull and unpack image \"{reference}\": failed to resolve reference \"{reference}\": pull access denied, repository does not exist or may require authorization: {detail}"
    )]
    Denied { reference: String, detail: String },
    #[error(
        "failed to pull and unpack image \"{reference}\": failed to resolve reference \"{reference}\": failed to do request: {detail}"
    )]
    Unreachable { reference: String, detail: String },
    #[error("failed to pull and unpack image \"{reference}\": {detail}")]
    Pull { reference: String, detail: String },
    #[error("failed to pull and unpack image \"{reference}\": {source}")]
    PullUnpack { reference: String, source: Box<Error> },
    #[error("cannot use the CA file {path}: {source}", path = path.display())]
    CaFile { path: PathBuf, source: io::Error },
    #[error("a task of the image store died")]
    TaskDied,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
