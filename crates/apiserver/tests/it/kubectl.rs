//! Every kubectl on this machine, unmodified, over TLS.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use apiserver::Anonymous;

use crate::cluster::Cluster;

/// The kubectl on the path, and other versions beside it.
pub(crate) fn binaries() -> Vec<PathBuf> {
    let found = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|dir| dir.join("kubectl")).find(|candidate| candidate.is_file())
    });
    let Some(first) = found.and_then(|path| path.canonicalize().ok()) else { return Vec::new() };
    let beside = first.parent().and_then(|dir| dir.read_dir().ok()).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> = beside
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("kubectl")))
        .collect();
    all.sort();
    all
}

struct Kubectl<'a> {
    binary: &'a Path,
    config: &'a Path,
    home: &'a Path,
}

impl Kubectl<'_> {
    /// Runs a command that must succeed; answers what it printed.
    fn run(&self, arguments: &str, input: &str) -> String {
        let mut child = Command::new(self.binary)
            .env("KUBECONFIG", self.config)
            .env("HOME", self.home)
            .args(arguments.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{} {arguments}: {stderr}", self.binary.display());
        stdout.into_owned()
    }

    fn work(&self, namespace: &str) {
        self.run(&format!("create namespace {namespace}"), "");
        let account = r#"{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}"#;
        self.run(&format!("-n {namespace} apply -f -"), account);
        self.run(&format!("-n {namespace} create configmap c --from-literal=a=b"), "");
        assert_eq!(self.run(&format!("-n {namespace} get cm c -o jsonpath={{.data.a}}"), ""), "b");
        let applied = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: d}\ndata: {x: \"1\"}\n";
        self.run(&format!("-n {namespace} apply -f -"), applied);
        let out = self.run(&format!("-n {namespace} apply -f -"), &applied.replace("\"1\"", "\"2\""));
        assert!(out.contains("configured"), "{out}");
        self.run(&format!("-n {namespace} apply --server-side --force-conflicts -f -"), applied);
        self.run(&format!("-n {namespace} run p --image=i --restart=Never"), "");
        assert!(self.run(&format!("-n {namespace} get pods"), "").contains("Pending"));
        self.run(&format!("-n {namespace} create deployment web --image=i --replicas=2"), "");
        self.run(&format!("-n {namespace} scale deployment web --replicas=3"), "");
        assert_eq!(self.run(&format!("-n {namespace} get deploy web -o jsonpath={{.spec.replicas}}"), ""), "3");
        assert_eq!(self.run("auth can-i create pods", "").trim(), "yes");
        assert!(self.run("explain deployment.spec.replicas", "").contains("replicas"));
        assert!(self.run("api-resources", "").contains("deployments"));
        self.run(&format!("-n {namespace} describe pod p"), "");
        self.run(&format!("-n {namespace} delete pod p --grace-period=0 --force"), "");
        self.run(&format!("-n {namespace} delete cm c d"), "");
        assert!(!self.run(&format!("-n {namespace} get cm -o name"), "").contains("configmap/c"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_works() {
    let binaries = binaries();
    if binaries.is_empty() {
        eprintln!("no kubectl on the path: nothing was run");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path().to_owned(), 0, Anonymous::HealthAndVersion).await.unwrap();
    let (config, home) = (cluster.kubeconfig().unwrap(), dir.path().to_owned());
    tokio::task::spawn_blocking(move || {
        for (n, binary) in binaries.iter().enumerate() {
            Kubectl { binary, config: &config, home: &home }.work(&format!("n{n}"));
        }
    })
    .await
    .unwrap();
}
