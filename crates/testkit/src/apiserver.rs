//! `knarr apiserver` alone, on a free port of the loopback address.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{Kubectl, Process, binary::knarr, eventually};

/// What servers of a cluster have in common, in the data folder.
pub(crate) const SHARED_KEYS: [&str; 6] =
    ["pki/ca.crt", "pki/ca.key", "pki/kubelet-ca.crt", "pki/kubelet-ca.key", "pki/sa.key", "encryption.yaml"];

/// An API server in a process of its own, with a data folder of its own. Both end with it.
pub struct ApiServer {
    folder: TempDir,
    process: Option<Process>,
    flags: Vec<String>,
}

impl ApiServer {
    /// Returns when it answers.
    pub fn start() -> Self {
        Self::with_flags(&[])
    }

    /// The same with more flags.
    pub fn with_flags(flags: &[&str]) -> Self {
        let mut server = Self::not_started(flags);
        server.start_again();
        server
    }

    /// A folder for one, which is not started yet.
    pub fn not_started(flags: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("knarr-test-").tempdir().expect("a temporary folder");
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self { folder, process: None, flags }
    }

    /// Another one of the same cluster: with the same flags and the cluster's keys.
    pub fn beside(&self) -> Self {
        let mut beside = Self::not_started(&[]);
        beside.flags.clone_from(&self.flags);
        beside.take_keys_of(self);
        beside.start_again();
        beside
    }

    /// Copies the keys that all servers of a cluster share.
    pub fn take_keys_of(&self, other: &Self) {
        std::fs::create_dir_all(self.data_dir().join("pki")).expect("a folder in a new folder");
        for name in SHARED_KEYS {
            let copied = std::fs::copy(other.data_dir().join(name), self.data_dir().join(name));
            copied.unwrap_or_else(|error| panic!("copy {name}: {error}"));
        }
    }

    /// Other flags from the next start on.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// Runs it until it gives up; answers what it said last.
    #[track_caller]
    pub fn gives_up(&self) -> String {
        let output = self.command().output().expect("it can be started");
        assert!(!output.status.success(), "it ran");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.lines().last().unwrap_or_default().to_owned()
    }

    /// The command that runs it in this folder.
    pub fn command(&self) -> Command {
        let mut command = Command::new(knarr());
        command.args(["apiserver", "--bind-address", "127.0.0.1", "--secure-port", "0", "--data-dir"]);
        command.arg(self.data_dir()).args(&self.flags);
        command
    }

    /// Starts it on what it left, after [`ApiServer::kill`]; on another port.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.serves(self.command()), "the API server ended:\n{}", self.log());
    }

    /// Starts it by this command; false if it ended before it was ready.
    pub fn serves(&mut self, command: Command) -> bool {
        assert!(self.process.is_none(), "it runs already");
        // The file is written when the port is known; an old one would name the old port.
        drop(std::fs::remove_file(self.kubeconfig()));
        let mut process = Process::start(command, &self.folder.path().join("log"));
        let (kubeconfig, kubectl) = (self.kubeconfig(), self.kubectl());
        let serves = eventually("the API server is ready or has ended", || {
            if process.ended().is_some() {
                return Ok(false);
            }
            if !kubeconfig.is_file() {
                return Err(process.log());
            }
            let answer = kubectl.run(["get", "--raw", "/readyz"]);
            if answer.stdout == "ok" { Ok(true) } else { Err(answer.to_string()) }
        });
        if serves {
            self.process = Some(process);
        }
        serves
    }

    /// Everything it has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir().join("admin.kubeconfig")
    }

    /// The newest kubectl, as the administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::newest(&self.kubeconfig(), self.folder.path())
    }

    /// Every kubectl on the machine, as the administrator.
    pub fn kubectls(&self) -> Vec<Kubectl> {
        Kubectl::all(&self.kubeconfig(), self.folder.path())
    }

    /// A folder that ends with the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }
}
