//! The process that applies a transaction is killed in the midst of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::Instant;

use super::apply;
use crate::Namespace;

/// Set in the process that will be killed.
const DOOMED: &str = "KNARR_TEST_DOOMED";
const PATIENCE: Duration = Duration::from_secs(90);
/// More than a pipe holds.
const CHAINS: usize = 5_000;

/// A table whose last chain comes long after what a pipe holds.
fn transaction() -> String {
    let mut text = "add table ip doomed\n".to_owned();
    (0..CHAINS).for_each(|n| writeln!(text, "add chain ip doomed chain-number-{n}").unwrap());
    text
}

/// Says its process number and becomes nft when it is told to.
const SLOW: &str = "echo $$ > begun; read word < go; exec nft \"$@\"";

/// Puts a program in the place of nft.
fn slow_nft(folder: &Path, start: &str) {
    for fifo in ["begun", "go"] {
        nix::unistd::mkfifo(&folder.join(fifo), nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    let text = format!("#!/bin/sh\nPATH=${{PATH#*:}}\ncd {}\n{start}\n", folder.display());
    fs::write(folder.join("nft"), text).unwrap();
    fs::set_permissions(folder.join("nft"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// This test once more in a process of its own, which applies the transaction.
fn doomed(test: &str, folder: &Path) -> Child {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("nft::tests::{test}")])
        .env(DOOMED, "1")
        .env("PATH", path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills who applies the transaction after nft has begun, and before it reads. Answers nft's process number.
fn kill_in_the_midst(test: &str, folder: &Path, namespace: &Namespace) -> u32 {
    namespace
        .run(|| {
            let mut child = doomed(test, folder);
            let nft = fs::read_to_string(folder.join("begun")).unwrap().trim().parse().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            nft
        })
        .unwrap()
}

fn tables(namespace: &Namespace) -> String {
    let output = namespace.run(|| Command::new("nft").args(["list", "ruleset"]).output().unwrap()).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn apply_to_the_death() {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(apply(&transaction()))
        .unwrap();
}

#[test]
fn nft_dies_with_its_parent() {
    if std::env::var_os(DOOMED).is_some() {
        return apply_to_the_death();
    }
    let (folder, namespace) = (tempfile::tempdir().unwrap(), Namespace::create().unwrap());
    slow_nft(folder.path(), SLOW);
    let nft = kill_in_the_midst("nft_dies_with_its_parent", folder.path(), &namespace);
    eventually("nft is gone", || {
        let stat = fs::read_to_string(format!("/proc/{nft}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z")
    });
    assert_eq!(tables(&namespace), "");
}

#[test]
fn a_transaction_is_whole_though_its_author_dies() {
    if std::env::var_os(DOOMED).is_some() {
        return apply_to_the_death();
    }
    let (folder, namespace) = (tempfile::tempdir().unwrap(), Namespace::create().unwrap());
    // A grandchild is not tied to its parent's life: the worst case of an nft that is too quick to be killed.
    slow_nft(folder.path(), &format!("exec 3<&0\n({SLOW} <&3 2>&- 3<&-) &"));
    kill_in_the_midst("a_transaction_is_whole_though_its_author_dies", folder.path(), &namespace);
    fs::write(folder.path().join("go"), "\n").unwrap();
    eventually("all of it takes effect", || tables(&namespace).contains(&format!("chain-number-{}", CHAINS - 1)));
}
