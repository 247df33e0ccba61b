//! The machine fails the server: a disk that is full, read-only or damaged, a kernel that lacks something.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};
use testkit::{ApiServer, Kubectl, Output, eventually, knarr};

use super::config_map;

/// Mounts of this thread and its children are theirs alone from here on.
fn private_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
}

/// A file system in memory, taken away in the end.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path, flags: MsFlags, options: &str) -> Self {
        mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(options)).unwrap();
        Self(at.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

/// Writes until nothing more fits.
pub(crate) fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    for size in [1 << 16, 1] {
        while file.write(&vec![0; size]).is_ok() {}
    }
}

fn create(kubectl: &Kubectl, name: &str) -> Output {
    kubectl.run(["create", "configmap", name, "--from-literal=key=value"])
}

#[test]
fn a_full_disk_stops_writes_and_nothing_else() {
    let mut server = ApiServer::start();
    server.process().stop(std::time::Duration::from_secs(60));
    server.kill();
    private_mounts();
    let data = server.data_dir();
    let aside = server.folder().join("aside");
    fs::rename(&data, &aside).unwrap();
    fs::create_dir(&data).unwrap();
    let disk = Disk::mount(&data, MsFlags::empty(), "size=96m,mode=0700");
    assert!(Command::new("cp").arg("-a").arg(aside.join(".")).arg(&data).status().unwrap().success());
    server.start_again();
    let kubectl = server.kubectl();
    create(&kubectl, "before").ok();

    let ballast = data.join("ballast");
    fill(&ballast);
    // What fits into blocks the log already has is still taken; then the disk is full for the log too.
    let mut written = Vec::new();
    let refused = eventually("writes are refused", || {
        let name = format!("late-{}", written.len());
        let answer = kubectl.run(["create", "configmap", &name, "--from-literal=key=value", "-v=8"]);
        if answer.is_success() {
            written.push(name);
            return Err("written");
        }
        Ok(answer)
    });
    assert!(refused.stderr.contains("no space") || refused.stderr.contains("disk"), "{refused}");
    assert!(refused.stderr.contains("507"), "{refused}");
    // Reads go on, and so does the server.
    assert_eq!(kubectl.value("configmap/before", "{.data.key}"), "value");

    fs::remove_file(&ballast).unwrap();
    eventually("writes are taken again", || {
        let answer = create(&kubectl, "after");
        if answer.is_success() { Ok(()) } else { Err(answer) }
    });
    server.kill();
    server.start_again();
    let kubectl = server.kubectl();
    for name in written.iter().map(String::as_str).chain(["before", "after"]) {
        assert_eq!(kubectl.value(&format!("configmap/{name}"), "{.data.key}"), "value");
    }
    server.kill();
    drop(disk);
}

/// What a command that must fail printed on standard error, one line.
#[track_caller]
fn refused(mut command: Command) -> String {
    let output = command.env("KNARR_LOG", "error").stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success(), "{command:?} succeeded");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

fn server_in(data: &Path) -> Command {
    let mut command = Command::new(knarr());
    command.args(["server", "--data-dir"]).arg(data).arg("--runtime-dir").arg(data.with_file_name("run"));
    command
}

#[test]
fn a_read_only_disk_is_named() {
    private_mounts();
    let folder = tempfile::tempdir().unwrap();
    let _disk = Disk::mount(folder.path(), MsFlags::MS_RDONLY, "size=1m");
    let line = refused(server_in(&folder.path().join("data")));
    assert!(line.contains("Read-only file system") && line.contains("--data-dir"), "{line}");
    assert_eq!(line.matches("Read-only file system").count(), 1, "{line}");
}

#[test]
fn what_the_machine_lacks_is_named_with_its_remedy() {
    private_mounts();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("filesystems");
    let known = fs::read_to_string("/proc/filesystems").unwrap();
    fs::write(&list, known.replace("\toverlay\n", "\tsomething\n")).unwrap();
    mount(Some(&list), "/proc/filesystems", None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
    let data = folder.path().join("data");
    let line = refused(server_in(&data));
    assert!(line.contains("overlay") && line.contains("modprobe overlay"), "{line}");
    assert!(!data.exists(), "nothing is made before");

    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--clear-groups"]).arg(knarr()).args(["server", "--data-dir"]).arg(&data);
    let line = refused(nobody);
    assert!(line.contains("root"), "{line}");
}

#[test]
fn a_folder_and_a_port_belong_to_one_server() {
    let server = ApiServer::start();
    let kubectl = server.kubectl();
    create(&kubectl, "before").ok();
    let line = refused(server.command());
    assert!(line.contains(server.data_dir().to_str().unwrap()), "{line}");

    let address = kubectl.ok("config view --minify -o jsonpath={.clusters[0].cluster.server}");
    let port = address.rsplit(':').next().unwrap();
    let other = tempfile::tempdir().unwrap();
    let mut command = Command::new(knarr());
    command.args(["apiserver", "--bind-address", "127.0.0.1", "--secure-port", port, "--data-dir"]).arg(other.path());
    let line = refused(command);
    assert!(line.contains(&format!("127.0.0.1:{port}")) && line.contains("--secure-port"), "{line}");
    assert!(!other.path().join("store").exists(), "nothing is stored before");
    // The one that was there goes on.
    create(&kubectl, "after").ok();
}

#[test]
fn a_damaged_log_stops_the_start_and_is_left_as_it_is() {
    let mut server = ApiServer::start();
    let kubectl = server.kubectl();
    for number in 0..4 {
        kubectl.apply(&config_map(&format!("kept-{number}"), "x", "value-to-damage"));
    }
    server.kill();
    let (path, mut bytes, at) = find(&server.data_dir(), b"value-to-damage").expect("the log holds what was written");
    bytes[at] ^= 0x20;
    fs::write(&path, &bytes).unwrap();
    let line = refused(server.command());
    assert!(line.contains(path.to_str().unwrap()), "{line}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    // Mended, it starts and has everything.
    bytes[at] ^= 0x20;
    fs::write(&path, &bytes).unwrap();
    server.start_again();
    assert_eq!(server.kubectl().value("configmap/kept-3", "{.data.key}"), "value-to-damage");
}

/// The first file below a folder that holds these bytes, its content, and where they begin.
fn find(folder: &Path, wanted: &[u8]) -> Option<(PathBuf, Vec<u8>, usize)> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries.into_iter().find_map(|path| {
        if path.is_dir() {
            return find(&path, wanted);
        }
        let bytes = fs::read(&path).ok()?;
        let at = bytes.windows(wanted.len()).position(|window| window == wanted)?;
        Some((path, bytes, at))
    })
}
