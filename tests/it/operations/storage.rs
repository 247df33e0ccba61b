//! Snapshots in a storage that speaks S3 over TLS, by hand and by the schedule of a running server.

use std::{
    fs::File,
    io::Write as _,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use testkit::{ApiServer, Storage, Trouble, eventually};

use super::{config_map, refused, said, store};

const SECRET: &str = "a-key-that-nobody-may-see";

/// A storage, and what one needs to use it.
struct Far {
    storage: Storage,
    dir: tempfile::TempDir,
}

impl Far {
    fn start() -> Self {
        let authority = pki::Authority::generate("of the storage").unwrap();
        let leaf = pki::Leaf::server("storage", &["localhost"], &["127.0.0.1".parse().unwrap()]);
        let serving = pki::ServingCertificate::new(&authority.issue(&leaf).unwrap()).unwrap();
        let config = pki::server_config(serving, authority.certificate_pem()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.crt"), authority.certificate_pem()).unwrap();
        let mut keys = File::options().write(true).create_new(true).mode(0o600).open(dir.path().join("keys")).unwrap();
        writeln!(keys, "[default]\naws_access_key_id = id\naws_secret_access_key = {SECRET}").unwrap();
        Self { storage: Storage::secure(Arc::new(config)), dir }
    }

    fn flags(&self) -> Vec<String> {
        let path = |name: &str| self.dir.path().join(name).to_str().unwrap().to_owned();
        let pairs = [
            ("--s3-endpoint", self.storage.endpoint().to_owned()),
            ("--s3-ca", path("ca.crt")),
            ("--s3-credentials", path("keys")),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    fn knarr(&self, data_dir: &Path, words: &[&str]) -> std::process::Command {
        let mut command = store(data_dir, words);
        command.args(self.flags());
        command
    }

    /// Scheduled ones.
    /// The oldest first.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.storage.names().into_iter().filter(|name| name.starts_with("c/snapshot-")).collect();
        names.sort_by_key(|name| {
            let (stamp, revision) = name.split_once("-r").unwrap();
            (stamp.to_owned(), revision.parse::<u64>().unwrap())
        });
        names
    }
}

#[test]
fn a_cluster_is_restored_from_a_storage() {
    let far = Far::start();
    let mut server = ApiServer::start();
    let data = server.data_dir();
    server.kubectl().apply(&config_map("kept"));
    server.kubectl().ok("create secret generic s --from-literal=word=treasure");
    let place = "s3://bucket/c/before-upgrade";
    let saved = said(&mut far.knarr(&data, &["snapshot", "save", place]));
    assert!(saved.starts_with(&format!("{place} saved and checked: revision ")), "{saved}");
    let listed = said(&mut far.knarr(&data, &["snapshot", "list", "s3://bucket/c"]));
    assert!(listed.starts_with("before-upgrade  ") && listed.lines().count() == 1, "{listed}");
    assert!(said(&mut far.knarr(&data, &["check", place])).contains("is whole"));
    assert!(
        refused(&mut far.knarr(&data, &["snapshot", "save", place])).contains(&format!("{place} is there already"))
    );

    // Each trouble is told by what is to be done about it, and nothing half is left.
    let save = |place: &str| refused(&mut far.knarr(&data, &["snapshot", "save", place]));
    for (trouble, told) in [
        (Trouble::Refuses, "403 SignatureDoesNotMatch"),
        (Trouble::NoBucket, "there is no bucket bucket at https://127.0.0.1:"),
        (Trouble::Full, "507 XMinioStorageFull"),
        (Trouble::Busy, "503 SlowDown"),
        (Trouble::CutsUpload, "cannot put at https://127.0.0.1:"),
        (Trouble::Garbles, "s3://bucket/c/other came back different from what was sent, and was removed"),
    ] {
        far.storage.set(trouble);
        let line = save("s3://bucket/c/other");
        assert!(line.contains(told), "{trouble:?}: {line}");
        assert!(!line.contains(SECRET) && !line.contains("X-Amz"), "{line}");
    }
    far.storage.set(Trouble::None);
    assert_eq!(far.storage.names(), ["c/before-upgrade"]);
    let mut untrusting = store(&data, &["snapshot", "list", "s3://bucket/c", "--s3-endpoint", far.storage.endpoint()]);
    let keys = far.dir.path().join("keys");
    let line = refused(untrusting.arg("--s3-credentials").arg(keys));
    assert!(line.contains("its certificate is not trusted") && line.contains("--s3-ca"), "{line}");

    // What was damaged over there is not restored, and says what it is.
    server.kill();
    std::fs::rename(data.join("store"), server.folder().join("lost")).unwrap();
    let whole = far.storage.get("c/before-upgrade").unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    for bytes in [damaged, whole[..whole.len() / 2].to_vec()] {
        far.storage.put("c/before-upgrade", bytes);
        for words in [&["check", place][..], &["snapshot", "restore", place]] {
            let line = refused(&mut far.knarr(&data, words));
            assert!(line.starts_with(&format!("knarr: {place} is damaged at byte ")), "{line}");
        }
    }
    assert!(!data.join("store").exists());
    far.storage.put("c/before-upgrade", whole);
    assert!(said(&mut far.knarr(&data, &["snapshot", "restore", place])).contains("restored"));
    server.start_again();
    assert_eq!(server.kubectl().value("cm/kept", "{.data.key}"), "1");
    assert_eq!(server.kubectl().value("secret/s", "{.data.word}"), "dHJlYXN1cmU=");
    let left = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.starts_with(".snapshot-")).collect::<Vec<_>>(), Vec::<String>::new());
    assert!(!far.storage.asked().join("\n").contains(SECRET));
}

/// Makes the snapshots of a folder look old, so that the next start of a server takes one at once.
fn age(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    let first = dir.join("snapshot-20200101T000000Z-r1");
    if std::fs::read_dir(dir).unwrap().next().is_none() {
        std::fs::write(first, "").unwrap();
    }
    for entry in std::fs::read_dir(dir).unwrap() {
        let file = File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000)).unwrap();
    }
}

#[test]
fn a_running_server_sends_what_its_schedule_takes() {
    let far = Far::start();
    far.storage.put("c/by-hand", "kept");
    let mut flags = ["--snapshot-s3", "s3://bucket/c", "--snapshot-retention", "2"].map(str::to_owned).to_vec();
    flags.extend(far.flags());
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut server = ApiServer::not_started(&flags);
    let dir: PathBuf = server.data_dir().join("snapshots");
    let mut seen = Vec::new();
    for round in 0..4 {
        age(&dir);
        let is_away = round == 2;
        far.storage.set(if is_away { Trouble::Busy } else { Trouble::None });
        server.start_again();
        server.kubectl().apply(&config_map(&format!("of-round-{round}")));
        if is_away {
            eventually("the log says why", || {
                let log = server.log();
                if log.contains("503 SlowDown") && log.contains("tried again") { Ok(()) } else { Err(log) }
            });
            assert_eq!(far.names(), seen);
        } else {
            seen = eventually("another one is there, and two stay", || {
                let names = far.names();
                let is_new = names.last() != seen.last() && names.len() == (round + 1).min(2);
                if is_new { Ok(names) } else { Err((names, server.log())) }
            });
        }
        server.kill();
    }
    // Those of the storage are those of the folder, byte by byte, and each is a store.
    for name in &seen {
        let local = dir.join(name.trim_start_matches("c/"));
        if local.exists() {
            assert_eq!(std::fs::read(&local).unwrap(), far.storage.get(name).unwrap());
        }
        let place = format!("s3://bucket/{name}");
        assert!(said(&mut far.knarr(&server.data_dir(), &["check", &place])).contains("is whole"));
    }
    assert_eq!(far.storage.get("c/by-hand").unwrap(), b"kept");
    assert!(!server.log().contains(SECRET) && !server.log().contains("X-Amz"), "{}", server.log());
    let pruned = said(&mut far.knarr(&server.data_dir(), &["snapshot", "prune", "s3://bucket/c", "--keep", "1"]));
    assert_eq!(pruned, format!("{} removed\n", seen[0].trim_start_matches("c/")));
    assert_eq!(far.storage.names(), ["c/by-hand".to_owned(), seen[1].clone()]);
}

#[test]
fn a_folder_without_snapshots_has_none() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(said(&mut store(dir.path(), &["snapshot", "list"])), "");
    assert_eq!(said(&mut store(dir.path(), &["snapshot", "prune"])), "");
    let server = ApiServer::start();
    let file = dir.path().join("before-upgrade");
    said(&mut store(&server.data_dir(), &["snapshot", "save", file.to_str().unwrap()]));
    std::fs::write(dir.path().join("notes"), "mine").unwrap();
    let listed = said(&mut store(&server.data_dir(), &["snapshot", "list", dir.path().to_str().unwrap()]));
    assert_eq!(listed, format!("before-upgrade  {} bytes\n", file.metadata().unwrap().len()));
}
