//! What the runtime remembers on the disk: a record per sandbox and per container, written whole and renamed.
//!
//! Records are not synced: after a power cut every pod is gone anyway, and a torn record is removed with its folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use cri::v1;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SandboxRecord {
    pub(crate) id: String,
    pub(crate) config: v1::PodSandboxConfig,
    pub(crate) runtime_handler: String,
    pub(crate) created_at: i64,
    pub(crate) ip: Option<std::net::Ipv4Addr>,
    /// Whole: until then a crash leaves something to be cleaned up, not a sandbox.
    pub(crate) ready: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) id: String,
    pub(crate) sandbox: String,
    pub(crate) config: v1::ContainerConfig,
    pub(crate) created_at: i64,
    /// Digest of the image's configuration.
    pub(crate) image_id: String,
    pub(crate) image_ref: String,
    pub(crate) stop_signal: i32,
    pub(crate) log: Option<PathBuf>,
    pub(crate) cgroup: PathBuf,
    pub(crate) lower: Vec<PathBuf>,
}

pub(crate) fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, serde_json::to_vec(value)?)?;
    fs::rename(temporary, path)
}

/// None if it is absent or torn.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) root: PathBuf,
    pub(crate) state: PathBuf,
}

impl Layout {
    pub(crate) fn sandboxes(&self) -> PathBuf {
        self.root.join("sandboxes")
    }

    pub(crate) fn sandbox(&self, id: &str) -> PathBuf {
        self.sandboxes().join(id)
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    pub(crate) fn container(&self, id: &str) -> PathBuf {
        self.containers().join(id)
    }

    pub(crate) fn rootfs(&self, id: &str) -> PathBuf {
        self.container(id).join("rootfs")
    }

    /// The writable layer.
    pub(crate) fn upper(&self, id: &str) -> PathBuf {
        self.container(id).join("upper")
    }

    /// The seccomp filter of a container; see [`crate::seccomp::Confinement`].
    pub(crate) fn filter(&self, id: &str) -> PathBuf {
        self.container(id).join("seccomp.bpf")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// libcontainer's folder.
    pub(crate) fn libcontainer(&self) -> PathBuf {
        self.state.join("c")
    }

    pub(crate) fn socket(&self, sandbox: &str) -> PathBuf {
        self.state.join("s").join(format!("{}.sock", &sandbox[..sandbox.len().min(16)]))
    }
}

pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
