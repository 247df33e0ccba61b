//! Power cuts while the small files of a data folder are written: certificates, keys, what is encrypted with, where the
//! cluster is. Each way of writing is recorded call by call and judged; then servers start on what is left after any of
//! the calls.
//!
//! `KNARR_OPERATION_KILLS` says how many of the cuts are tried; what is tried of the store is in its own crate.

mod disk;
mod trace;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use testkit::{ApiServer, Etcd, eventually};

use super::{
    aged,
    kills::{cluster, dice, is_whole, kills},
    said, store,
};
use disk::{Disk, Left, World};
use trace::{Step, read, traced};

/// What a server says when all may rely on it.
const READY: &str = "API server ready";

/// What is not the store's.
fn is_small(name: &Path) -> bool {
    !name.to_string_lossy().starts_with("store")
}

/// What a command does, which `run` runs to its end, and which says that it is done.
fn recorded(command: &Command, told: &str, run: impl FnOnce(Command)) -> Vec<Step> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    run(traced(command, trace.path()));
    // Who watches may be behind.
    eventually("all is recorded", || {
        let steps = read(trace.path());
        if steps.iter().any(|step| says(step, told)) { Ok(steps) } else { Err(steps.len()) }
    })
}

fn says(step: &Step, told: &str) -> bool {
    matches!(step, Step::Say { text } if text.contains(told))
}

fn recorded_start(server: &mut ApiServer) -> Vec<Step> {
    let command = server.command();
    recorded(&command, READY, |traced| {
        assert!(server.serves(traced));
        eventually(
            "it says that it is ready",
            || if server.log().contains(READY) { Ok(()) } else { Err(server.log()) },
        );
        server.kill();
    })
}

/// No name stands for what is not on disk yet, and nobody is told of what a power cut could take away.
fn judge(mut disk: Disk, steps: &[Step], told: &str) {
    let mut is_told = false;
    for step in steps {
        if let Step::Rename { from, to } = step {
            let mut unwritten = disk.unwritten(from);
            // Who has the store open; nobody, after a power cut.
            unwritten.retain(|name| !name.ends_with("LOCK"));
            assert!(unwritten.is_empty(), "{} is named before it is on disk: {unwritten:?}", to.display());
        }
        disk.take(step);
        if says(step, told) {
            is_told = true;
            let mut unsynced = disk.unsynced(Path::new(""));
            // What is left of a pair says once more what its two files say.
            unsynced.retain(|name| is_small(name) && name.extension().is_none_or(|kind| kind != "pair"));
            assert!(unsynced.is_empty(), "{told:?} is said before these are on disk: {unsynced:?}");
        }
    }
    assert!(is_told, "{told:?} was not said");
}

/// All that a power cut may leave of the small files after each of these steps; each once, with the first step.
fn cuts(mut disk: Disk, steps: &[Step]) -> Vec<(String, World)> {
    let mut worlds = BTreeMap::<World, String>::new();
    for (number, step) in steps.iter().enumerate() {
        if !disk.take(step) {
            continue;
        }
        for left in [Left::Synced, Left::NamesBeforeContents] {
            let mut world = disk.cut(left);
            world.retain(|name, _| is_small(name));
            worlds.entry(world).or_insert_with(|| format!("step {number}, {left:?}"));
        }
    }
    worlds.into_iter().map(|(world, cut)| (cut, world)).collect()
}

/// A server that is yet to start on this, and on the store of that folder.
fn server_on(world: &World, base: &Path) -> ApiServer {
    let server = ApiServer::not_started(&[]);
    let data = server.data_dir();
    fs::create_dir_all(&data).unwrap();
    for (name, node) in world {
        let path = data.join(name);
        match node {
            None => {
                fs::create_dir_all(&path).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            }
            Some((content, mode)) => {
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
            }
        }
    }
    let store = base.join("store");
    if store.exists() {
        assert!(Command::new("cp").arg("-a").args([&store, &data.join("store")]).status().unwrap().success());
    }
    server
}

/// As many of them as are asked for.
fn some<T>(mut all: Vec<T>) -> Vec<T> {
    let mut dice = dice();
    let wanted = usize::try_from(3 * kills()).unwrap();
    while all.len() > wanted {
        all.swap_remove(usize::try_from(dice.roll(all.len() as u64)).unwrap());
    }
    all
}

#[test]
fn a_first_start_may_be_cut_anywhere() {
    let mut server = ApiServer::not_started(&[]);
    fs::create_dir_all(server.data_dir()).unwrap();
    let disk = Disk::of(&server.data_dir());
    let steps = recorded_start(&mut server);
    judge(disk.clone(), &steps, READY);
    let cuts = cuts(disk, &steps);
    println!("{} cuts", cuts.len());
    for (cut, world) in some(cuts) {
        println!("{cut}: {:?}", world.keys());
        let mut server = server_on(&world, Path::new("/nowhere"));
        server.start_again();
        server.kubectl().ok("create configmap made");
        server.kill();
        // And it is the same cluster from then on.
        let key = fs::read(server.data_dir().join("pki/ca.key")).unwrap();
        server.start_again();
        server.kubectl().ok("get configmap made");
        server.kill();
        assert!(fs::read(server.data_dir().join("pki/ca.key")).unwrap() == key);
    }
}

#[test]
fn a_renewal_may_be_cut_anywhere() {
    let mut server = cluster();
    aged::server(&server.data_dir());
    let base = server.folder().join("base");
    assert!(Command::new("cp").arg("-a").args([&server.data_dir(), &base]).status().unwrap().success());
    let kept = ["ca.key", "kubelet-ca.key", "sa.key"].map(|name| PathBuf::from("pki").join(name));
    // The harness removes it before each start.
    drop(fs::remove_file(server.kubeconfig()));
    let disk = Disk::of(&server.data_dir());
    let steps = recorded_start(&mut server);
    judge(disk.clone(), &steps, READY);
    let cuts = cuts(disk, &steps);
    println!("{} cuts", cuts.len());
    for (cut, world) in some(cuts) {
        println!("{cut}");
        let mut server = server_on(&world, &base);
        server.start_again();
        is_whole(&server);
        server.kill();
        for name in &kept {
            let (is, was) = [server.data_dir(), base.clone()].map(|dir| fs::read(dir.join(name)).unwrap()).into();
            assert!(is == was, "{cut}: {} is another", name.display());
        }
        let pem = fs::read_to_string(server.data_dir().join("pki/apiserver.crt")).unwrap();
        assert!(pki::is_valid_now(&pem), "{cut}");
    }
}

#[test]
fn a_move_is_on_disk_before_it_is_told() {
    let (etcd, server) = (Etcd::start(), cluster());
    for (to, told) in [("etcd", "are in etcd"), ("local", "are in the data folder")] {
        let migrate = store(&server.data_dir(), &["migrate", "--to", to, "--datastore-endpoint", &etcd.endpoint()]);
        let disk = Disk::of(&server.data_dir());
        let steps = recorded(&migrate, told, |mut traced| drop(said(&mut traced)));
        let moves = |from: &Path, to: &Path| {
            let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
            format!("{} to {}", name(from), name(to))
        };
        let renames = steps.iter().filter_map(|step| match step {
            Step::Rename { from, to } => Some(moves(from, to)),
            _ => None,
        });
        let renames: Vec<String> = renames.collect();
        let moved = if to == "etcd" { "store to store-moved-to-etcd" } else { "store-moving to store" };
        assert!(renames.iter().any(|rename| rename == moved), "{renames:?}");
        judge(disk, &steps, told);
    }
}
