//! The recorded answers of upstream's server, replayed against this one. A case that is listed in
//! `golden-passing.txt` and fails is a step back; the list only grows.
//!
//! The corpus is not part of the repository: it lies in `../shared/golden` beside the clone, or nowhere.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use apiserver::Anonymous;

use crate::{cluster::Cluster, kubectl};

/// The kubectl whose texts the corpus has.
const KUBECTL: &str = "kubectl.1.32";

fn corpus() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    // Beside the clone, or beside a worktree of it.
    ["../shared/golden", "../../shared/golden"].iter().map(|p| root.join(p)).find(|p| p.join("replay.py").is_file())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passed_passes() {
    let Some(corpus) = corpus() else {
        std::io::stderr()
            .write_all(b"skipped: no recorded answers beside the clone (../shared/golden): nothing was replayed\n")
            .unwrap();
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path().to_owned(), 0, Anonymous::Everything).await.unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut replay = Command::new("python3");
    replay
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(corpus.join("replay.py"))
        .args(["replay", "--failures-only", "--max-diffs", "6", "--service-cidr", "10.0.0.0/24", "--server"])
        .arg(cluster.url())
        .arg("--ca")
        .arg(cluster.file("ca.crt"))
        .arg("--cert")
        .arg(cluster.file("admin.crt"))
        .arg("--key")
        .arg(cluster.file("admin.key"))
        .arg("--ids")
        .arg(here.join("golden-passing.txt"))
        .arg("--overrides")
        .arg(here.join("golden-overrides.json"));
    if let Some(kubectl) = kubectl::binaries().into_iter().find(|path| path.ends_with(KUBECTL)) {
        replay.arg("--kubectl").arg(kubectl);
    }
    let output = tokio::task::spawn_blocking(move || replay.output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("all "), "the replay said nothing: {text}");
}
