//! A busybox image as `docker save` writes it, from the machine's static busybox.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

pub(crate) const NAME: &str = "bench/busybox:1";

fn header(path: &str, kind: EntryType, mode: u32, size: usize) -> anyhow::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_path(path)?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

fn layer() -> anyhow::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for folder in ["bin", "etc", "proc", "sys", "dev", "tmp"] {
        tar.append(&header(folder, EntryType::Directory, 0o755, 0)?, &[][..])?;
    }
    let busybox = fs::read("/bin/busybox").context("busybox-static is not installed")?;
    tar.append(&header("bin/busybox", EntryType::Regular, 0o755, busybox.len())?, &busybox[..])?;
    for applet in ["sh", "sleep"] {
        let name = format!("bin/{applet}");
        tar.append_link(&mut header(&name, EntryType::Symlink, 0o777, 0)?, name, "busybox")?;
    }
    Ok(tar.into_inner()?)
}

/// Writes the archive.
pub(crate) fn busybox(folder: &Path) -> anyhow::Result<PathBuf> {
    let layer = layer()?;
    let digest: String = Sha256::digest(&layer).iter().map(|byte| format!("{byte:02x}")).collect();
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }, "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sleep", "100000"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]}
    })
    .to_string();
    let manifest =
        serde_json::json!([{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]}]).to_string();
    let path = folder.join("busybox.tar");
    let mut tar = Builder::new(File::create(&path)?);
    let files = [("manifest.json", manifest.as_bytes()), ("config.json", config.as_bytes()), ("layer.tar", &layer)];
    for (name, bytes) in files {
        tar.append(&header(name, EntryType::Regular, 0o644, bytes.len())?, bytes)?;
    }
    tar.finish()?;
    Ok(path)
}
