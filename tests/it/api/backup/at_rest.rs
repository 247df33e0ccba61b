//! What lies on the disk of a server, and what it does when the disk is full.

use std::{io::Write as _, path::Path, process::Command};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use testkit::{ApiServer, eventually, knarr};

use crate::api::config_map;

const WORD: &str = "a-word-for-nobody-but-us";

fn secret(name: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{word: {WORD}}}\n---\n")
}

/// Whether these bytes lie in a file of the folder or one below it. A running server may take a file away meanwhile.
fn lies_in(dir: &Path, bytes: &[u8]) -> bool {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| !path.to_str().unwrap().ends_with(".sock")).any(|path| {
        if path.is_dir() {
            return lies_in(&path, bytes);
        }
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            content => content.unwrap().windows(bytes.len()).any(|window| window == bytes),
        }
    })
}

fn compact(server: &ApiServer) {
    let compacted =
        Command::new(knarr()).args(["store", "compact", "--data-dir"]).arg(server.data_dir()).output().unwrap();
    assert!(compacted.status.success(), "{}", String::from_utf8_lossy(&compacted.stderr));
}

/// Secrets are JSON with base64 in it.
const ENCODED: &[u8] = b"YS13b3JkLWZvci1ub2JvZHktYnV0LXVz";

#[test]
fn secrets_lie_on_disk_encrypted_and_their_key_can_be_changed() {
    let mut server = ApiServer::start();
    let data = server.data_dir();
    server.kubectl().apply(&(secret("a") + &config_map("open", "x", WORD)));
    assert!(lies_in(&data, WORD.as_bytes()), "ConfigMaps lie there as they are");
    assert!(!lies_in(&data, ENCODED), "the secret lies there as it is");
    assert!(lies_in(&data, b"k8s:enc:aesgcm:v1:key1:"));
    // The folder's own configuration with a new key before the old one: as an administrator would edit it.
    server.kill();
    let file = data.join("encryption.yaml");
    let old = std::fs::read_to_string(&file).unwrap();
    let key2 = r#"{ "name": "key2", "secret": "MTIzNDU2Nzg5MGFiY2RlZjEyMzQ1Njc4OTBhYmNkZWY=" },"#;
    std::fs::write(&file, old.replacen(r#""keys": ["#, &format!(r#""keys": [{key2}"#), 1)).unwrap();
    server.start_again();
    compact(&server);
    // Nothing is encrypted with the old key any more: the new one alone reads all of it.
    server.kill();
    let secret = old.split("\"secret\": ").nth(1).and_then(|rest| rest.split('"').nth(1)).unwrap();
    let new_only =
        old.replacen("\"key1\"", "\"key2\"", 1).replacen(secret, "MTIzNDU2Nzg5MGFiY2RlZjEyMzQ1Njc4OTBhYmNkZWY=", 1);
    std::fs::write(&file, new_only).unwrap();
    server.start_again();
    assert_eq!(server.kubectl().value("secret/a", "{.data.word}").as_bytes(), ENCODED);
    // Without its key, the store is not opened, and says which object and why.
    server.kill();
    std::fs::write(&file, old).unwrap();
    let refused = String::from_utf8(server.command().output().unwrap().stderr).unwrap();
    let key = r#"aesgcm key "key2", which is not configured"#;
    assert!(refused.contains("/registry/secrets/") && refused.contains(key), "{refused}");
}

/// The data folder of a server on a small file system of its own.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    /// `None`, said aloud, where this process may not mount.
    fn mount(dir: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(dir).unwrap();
        let size = Some("size=3m,mode=700");
        match mount(Some("knarr-test"), dir, Some("tmpfs"), MsFlags::empty(), size) {
            Ok(()) => Some(Self(dir)),
            Err(error) => {
                std::io::stderr().write_all(format!("skipped: mounting a small tmpfs: {error}\n").as_bytes()).unwrap();
                None
            }
        }
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        umount2(self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    let mut server = ApiServer::start();
    server.kubectl().apply(&config_map("before", "x", "1"));
    server.kill();
    let data = server.data_dir();
    let aside = server.folder().join("aside");
    std::fs::rename(&data, &aside).unwrap();
    let Some(_small) = Small::mount(&data) else { return };
    let copied = Command::new("cp").arg("-a").arg(format!("{}/.", aside.display())).arg(&data).status().unwrap();
    assert!(copied.success());
    server.start_again();

    let ballast = data.join("ballast");
    // All there is: the kernel stops when it is full.
    drop(std::fs::write(&ballast, vec![1; 4 << 20]));
    let kubectl = server.kubectl();
    let mut number = 0;
    let refused = eventually("a write is refused", || {
        number += 1;
        let object = config_map(&format!("full-{number}"), "x", &"x".repeat(20_000));
        let answer = kubectl.run_with(&object, ["create", "-f", "-"]);
        if answer.is_success() { Err(answer) } else { Ok(answer) }
    });
    for part in ["InsufficientStorage", "no space left on the disk of the store"] {
        assert!(refused.stderr.contains(part), "{part} is not in {refused}");
    }
    // Reads and watches go on, and the server is not taken for dead.
    assert_eq!(kubectl.value("cm/before", "{.data.key}"), "1");
    kubectl.until_says("get --raw /api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1", "\"before\"");
    assert_eq!(kubectl.run(["get", "--raw", "/livez"]).stdout, "ok");

    std::fs::remove_file(&ballast).unwrap();
    kubectl.apply(&config_map("after", "x", "2"));
    assert_eq!(kubectl.value("cm/after", "{.data.key}"), "2");
    server.kill();
}
