//! The store in a process that is killed at random moments and at every failpoint.

use std::{
    collections::BTreeMap,
    io::Write,
    os::unix::{ffi::OsStrExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use store::failpoints::PLACES;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child as Process, Command},
    time::timeout,
};

use super::{Load, Tasks, all};
use crate::{
    backend::{Backend, child::Child},
    history::{Inner, Restart},
    host::Ready,
    traffic::{Life, PATIENCE, Run},
};
use testkit::Dice;

/// Where the process under test is started.
pub struct Stage {
    /// The executable that has `host` as a command.
    pub program: PathBuf,
    pub dir: tempfile::TempDir,
}

/// How each life ended, for the report.
#[derive(Clone, Debug, Default)]
pub struct Deaths {
    pub at_random: usize,
    pub at_places: BTreeMap<&'static str, usize>,
}

impl Stage {
    /// In memory: what is tested is not the disk.
    pub fn new(program: &Path) -> Stage {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary folder");
        Stage { program: program.to_owned(), dir }
    }

    fn command(&self, number: u64, die: Option<&str>) -> (Command, PathBuf) {
        let socket = self.dir.path().join(format!("{number}.sock"));
        let mut command = Command::new(&self.program);
        command.arg("host").arg("--dir").arg(self.dir.path().join("store")).arg("--socket").arg(&socket);
        if let Some(die) = die {
            command.args(["--die", die]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        (command, socket)
    }

    /// Leaves at the end of the log what a write leaves that a power cut tore.
    fn tear(&self, dice: &mut Dice) {
        let Ok(entries) = std::fs::read_dir(self.dir.path().join("store")) else { return };
        let names = entries.map(|entry| entry.expect("the folder can be read").path());
        let is_log = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"log-"));
        let Some(last) = names.filter(is_log).max() else { return };
        // Records come after the header is on disk.
        const HEADER_BYTES: u64 = 32;
        if last.metadata().expect("a file has a size").len() < HEADER_BYTES {
            return;
        }
        let torn: Vec<u8> = (0..1 + dice.roll(300)).map(|_| dice.roll(256) as u8).collect();
        let mut file = std::fs::File::options().append(true).open(last).expect("the log can be opened");
        file.write_all(&torn).expect("the log can be written");
    }

    /// Starts the process; `None` if it died before it was ready.
    async fn start(&self, number: u64, die: Option<&str>) -> Option<(Process, PathBuf, Ready)> {
        let (mut command, socket) = self.command(number, die);
        let mut process = command.spawn().expect("the process can be started");
        let mut line = String::new();
        let output = process.stdout.take().expect("its output is a pipe");
        let read = timeout(PATIENCE, async { BufReader::new(output).read_line(&mut line).await });
        read.await.expect("the process says something in time").expect("its output can be read");
        match serde_json::from_str(&line) {
            Ok(ready) => Some((process, socket, ready)),
            Err(_) => {
                let status = process.wait().await.expect("a child can be waited for");
                assert!(status.signal().is_some(), "it could not start: {status}");
                None
            }
        }
    }
}

/// Several lives of one store.
pub async fn run(program: &Path, seed: u64, lives: u64) -> (Inner, Deaths) {
    let mut dice = Dice(seed);
    let stage = Stage::new(program);
    let run = Run::new(store::Revision::FIRST.0);
    let mut deaths = Deaths::default();
    let mut died = None;
    for number in 0..lives {
        // One place after the other, so that none is left out.
        let turn = seed.wrapping_mul(lives).wrapping_add(number) % PLACES.len() as u64;
        let place = (dice.roll(4) > 0).then(|| PLACES[turn as usize]);
        if dice.roll(4) == 0 || place == Some("recovery.cut") {
            stage.tear(&mut dice);
        }
        let is_passed_once = place.is_some_and(|place| place.starts_with("recovery") || place.starts_with("close"));
        let times = if is_passed_once { 1 } else { 1 << dice.roll(5) };
        let die = place.map(|place| format!("{place}:{}", 1 + dice.roll(times)));
        let started = stage.start(number, die.as_deref()).await;
        let Some((mut process, socket, ready)) = started else {
            *deaths.at_places.entry(place.expect("nothing else kills it so early")).or_default() += 1;
            died.get_or_insert_with(|| run.history.clock.now());
            continue;
        };
        let life = begin(&run, &socket, &ready, died).await;
        let Some(life) = life else { continue };
        let mut tasks = Tasks::start(&life, Load::some(&mut dice), &mut dice).await;
        let clients = async { while tasks.clients.join_next().await.is_some_and(|ended| ended.is_ok()) {} };
        let enough = Duration::from_micros(2000 + dice.roll(60_000));
        // At a place, if it comes to it; otherwise at some moment, or by a proper stop, which has a place too.
        if timeout(if place.is_some() { PATIENCE } else { enough }, clients).await.is_ok() {
            stop(&mut process).await;
        }
        died = Some(run.history.clock.now());
        match (process.try_wait().expect("a child can be asked"), place) {
            (Some(status), Some(place)) if status.signal().is_some() => {
                *deaths.at_places.entry(place).or_default() += 1
            }
            _ => deaths.at_random += 1,
        }
        // An error says that it is dead already.
        process.kill().await.ok();
        life.end();
        all(tasks.clients).await;
        all(tasks.watches).await;
    }
    finish(&stage, &run, lives, died).await;
    (Arc::into_inner(run).expect("everybody has ended").history.finish(), deaths)
}

/// Asks the process to end, and waits.
async fn stop(process: &mut Process) {
    if let Some(pid) = process.id() {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid fits"));
        // A child that is not waited for can be signalled, dead or alive.
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("a child can be signalled");
    }
    timeout(PATIENCE, process.wait()).await.expect("it stops in time").expect("a child can be waited for");
}

/// Notes what was found; `None` if the process is dead already.
async fn begin(run: &Arc<Run>, socket: &Path, ready: &Ready, died: Option<u64>) -> Option<Life> {
    let backend = Arc::new(Child::new(socket));
    if let Some(begun) = died {
        let state = backend.list("", Some(ready.revision)).await.ok()?;
        let ended = run.history.clock.now();
        let (kept, revision) = (ready.kept, ready.revision);
        run.history.restarted(Restart { begun, ended, kept, revision, is_power_cut: false, state });
    }
    Some(Life::new(run.clone(), backend))
}

/// A last life in which the watch of everything comes to the end.
async fn finish(stage: &Stage, run: &Arc<Run>, number: u64, died: Option<u64>) {
    let (mut process, socket, ready) = stage.start(number, None).await.expect("it starts");
    let life = begin(run, &socket, &ready, died).await.expect("it lives");
    let tasks = Tasks::start(&life, Load { clients: 0, watchers: 0, calls: 0 }, &mut Dice(0)).await;
    life.recorded(ready.revision).await;
    process.kill().await.ok();
    all(tasks.watches).await;
}
