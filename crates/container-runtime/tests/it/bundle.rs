//! Builds a busybox image as a docker archive, from Debian's static busybox.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn header(path: &str, kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(path).unwrap();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    header
}

fn layer() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for dir in ["bin", "etc", "proc", "sys", "dev", "tmp", "root", "data"] {
        tar.append(&header(dir, tar::EntryType::Directory, if dir == "tmp" { 0o1777 } else { 0o755 }, 0), &[][..])
            .unwrap();
    }
    let busybox = std::fs::read("/bin/busybox").expect("busybox-static is installed");
    tar.append(&header("bin/busybox", tar::EntryType::Regular, 0o755, busybox.len() as u64), &busybox[..]).unwrap();
    for applet in [
        "sh", "echo", "cat", "sleep", "true", "false", "id", "env", "ls", "kill", "ip", "nc", "wget", "hostname", "ps",
        "touch", "mount", "grep", "dd", "tail", "mknod", "stty", "unshare", "tr", "head", "yes", "trap", "test",
        "mkdir",
    ] {
        let mut link = header(&format!("bin/{applet}"), tar::EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut link, format!("bin/{applet}"), "busybox").unwrap();
    }
    let passwd = b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/data:/bin/sh\n";
    tar.append(&header("etc/passwd", tar::EntryType::Regular, 0o644, passwd.len() as u64), &passwd[..]).unwrap();
    let group = b"root:x:0:\nweb:x:34:\nextra:x:50:web\n";
    tar.append(&header("etc/group", tar::EntryType::Regular, 0o644, group.len() as u64), &group[..]).unwrap();
    tar.into_inner().unwrap()
}

/// Writes `docker save`'s format.
pub(crate) fn busybox(folder: &Path) -> PathBuf {
    let plain = layer();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let packed = gzip.finish().unwrap();
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }, "os": "linux",
        "config": {"Env": ["PATH=/bin", "FROM_IMAGE=yes"], "Cmd": ["sleep", "1000"], "StopSignal": "SIGTERM"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex(&plain))]}
    })
    .to_string();
    let manifest = serde_json::json!([
        {"Config": "config.json", "RepoTags": ["test/busybox:1"], "Layers": ["layer.tar"]}
    ])
    .to_string();
    let path = folder.join("busybox.tar");
    let mut tar = tar::Builder::new(File::create(&path).unwrap());
    for (name, bytes) in
        [("manifest.json", manifest.as_bytes()), ("config.json", config.as_bytes()), ("layer.tar", &packed)]
    {
        tar.append(&header(name, tar::EntryType::Regular, 0o644, bytes.len() as u64), bytes).unwrap();
    }
    tar.finish().unwrap();
    path
}
