//! `knarr apiserver` killed at random moments under load.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use client::Client;
use tokio::{
    process::{Child as Process, Command},
    time::{Instant, timeout},
};

use super::{Load, Tasks, all};
use crate::{
    backend::{Backend, api_server::ApiServer},
    history::{Inner, Restart},
    traffic::{Life, PATIENCE, Run},
};
use testkit::Dice;

/// Where the server lives, over all its lives.
pub struct Stage {
    program: PathBuf,
    dir: tempfile::TempDir,
}

impl Stage {
    pub fn new(program: &Path) -> Stage {
        let dir = tempfile::Builder::new().prefix("knarr-robustness-").tempdir().expect("a temporary folder");
        Stage { program: program.to_owned(), dir }
    }

    /// Starts the server, and returns when it is ready.
    async fn start(&self) -> (Process, Client) {
        let kubeconfig = self.dir.path().join("data/admin.kubeconfig");
        // It is written when the port is known; an old one names the old port.
        std::fs::remove_file(&kubeconfig).ok();
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("log"));
        let mut command = Command::new(&self.program);
        command.args(["apiserver", "--bind-address", "127.0.0.1", "--secure-port", "0", "--data-dir"]);
        command.arg(self.dir.path().join("data")).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let mut process = command.stderr(log.expect("the log can be written")).spawn().expect("it can be started");
        let begun = Instant::now();
        loop {
            let ready = async {
                let client = Client::from_kubeconfig(&kubeconfig).await.ok()?;
                client.get_bytes("/readyz", "text/plain").await.ok()?;
                Some(client)
            };
            if let Some(client) = ready.await {
                return (process, client);
            }
            let ended = process.try_wait().expect("a child can be asked");
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "it does not start: {ended:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// Several lives of one server, each of them short.
pub async fn run(program: &Path, seed: u64, lives: u64) -> Inner {
    let mut dice = Dice(seed);
    let stage = Stage::new(program);
    let (mut process, client) = stage.start().await;
    let first = ApiServer(client.clone()).list("", None).await.expect("a server that is ready answers").revision;
    let run = Run::new(first);
    let mut backend = Arc::new(ApiServer(client));
    for _ in 0..lives {
        let life = Life::new(run.clone(), backend.clone());
        let load = Load { calls: u64::MAX, ..Load::some(&mut dice) };
        let tasks = Tasks::start(&life, load, &mut dice).await;
        tokio::time::sleep(Duration::from_micros(dice.roll(150_000))).await;
        let died = run.history.clock.now();
        process.kill().await.expect("it can be killed");
        life.end();
        timeout(PATIENCE, all(tasks.clients)).await.expect("clients of a dead server end");
        timeout(PATIENCE, all(tasks.watches)).await.expect("watches of a dead server end");
        let (again, client) = stage.start().await;
        process = again;
        backend = Arc::new(ApiServer(client));
        let state = backend.list("", None).await.expect("a server that is ready answers");
        let (ended, revision) = (run.history.clock.now(), state.revision);
        // A kill loses nothing, so everything up to here is kept.
        run.history.restarted(Restart { begun: died, ended, kept: revision, revision, is_power_cut: false, state });
    }
    end(&run, backend, process).await;
    Arc::into_inner(run).expect("everybody has ended").history.finish()
}

/// The watch of everything comes to the end: to the last of our own writes.
async fn end(run: &Arc<Run>, backend: Arc<ApiServer>, mut process: Process) {
    let life = Life::new(run.clone(), backend.clone());
    let tasks = Tasks::start(&life, Load { clients: 0, watchers: 0, calls: 0 }, &mut Dice(0)).await;
    let state = backend.list("", None).await.expect("it answers");
    let newest = state.items.iter().map(|(_, version)| version.revision).max().unwrap_or_default();
    life.recorded(newest).await;
    process.kill().await.expect("it can be killed");
    all(tasks.watches).await;
}
