//! What operators live through: backups in a storage, certificates that ended, and deaths in the middle of it all.

mod aged;
mod ended;
mod kills;
mod power;
mod storage;

use std::{
    path::Path,
    process::{Command, Output},
};

use testkit::knarr;

/// `knarr store`, not yet started.
fn store(data_dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(knarr());
    command.arg("store").args(words).arg("--data-dir").arg(data_dir);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it says when it succeeds.
#[track_caller]
fn said(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(status.success(), "{command:?}: {}", text(&stderr));
    text(&stdout)
}

/// The one line by which it fails.
#[track_caller]
fn refused(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert!(!status.success(), "{command:?} succeeded: {}", text(&stdout));
    let text = text(&stderr);
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{key: \"1\"}}\n---\n")
}
