//! A daemon that a test started, and that does not outlive it.

use std::{
    fs::File,
    io::{Read, Seek},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Killed when it is dropped, and when the test's process ends without dropping it.
pub struct Process {
    child: Child,
    log: PathBuf,
    /// Whatever dies with the test's process closes this pipe, and the guard kills the daemon.
    guard: Child,
}

impl Process {
    /// Starts `command` with its output in the file `log`.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("the log can be written");
        let errors = file.try_clone().expect("a file can be cloned");
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let script = format!("read -r _; kill -KILL {}", child.id());
        let guard = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh can be started");
        Self { child, log: log.to_owned(), guard }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has printed so far.
    pub fn log(&self) -> String {
        let mut text = String::new();
        let mut file = File::open(&self.log).expect("the log is there");
        file.rewind().and_then(|()| file.read_to_string(&mut text)).expect("the log can be read");
        text
    }

    /// How it ended, or none while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let pid = i32::try_from(self.child.id()).expect("a pid fits");
            kill(Pid::from_raw(pid), signal).expect("an unreaped child can be signalled");
        }
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("a child can be waited for");
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub fn stop(&mut self, patience: Duration) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(start.elapsed() < patience, "still running {patience:?} after SIGTERM:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guard goes first: the pid may belong to somebody else once the child is waited for.
        drop(self.guard.kill());
        drop(self.guard.wait());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
