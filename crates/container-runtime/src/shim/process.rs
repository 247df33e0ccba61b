//! One container as its shim sees it.

use std::{
    fs::{self, File},
    io::Write as _,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    cgroup,
    protocol::{Start, Status, now},
    shim::{
        helper::{self, Stdio},
        log::{Line, Log},
        signals,
        streams::{self, ConsoleSocket, Got, PENDING_BYTES},
    },
};

/// Reads per readiness, so that a container that never stops writing cannot keep the loop.
const READS_IN_A_ROW: usize = 16;
const BUFFER_BYTES: usize = 32 * 1024;

/// Somebody attached.
pub(super) struct Attached {
    pub(super) stdout: Option<File>,
    pub(super) stderr: Option<File>,
    pub(super) stdin: Option<File>,
}

pub(super) struct Output {
    pub(super) file: Option<File>,
    name: &'static str,
    line: Line,
}

pub(super) struct Process {
    pub(super) started: Start,
    pub(super) status: Status,
    /// Standard output and error; a terminal is the first and both.
    pub(super) outputs: [Output; 2],
    /// Where input goes: a pipe, or a second handle of the terminal.
    pub(super) stdin: Option<File>,
    pub(super) pending: Vec<u8>,
    pub(super) attached: Vec<Attached>,
    log: Option<Log>,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Process {
    /// Starts a container. On an error nothing of it is left but its folder.
    pub(super) fn start(started: Start) -> Result<Self, String> {
        let log = started.log.as_deref().map(Log::open).transpose().map_err(|e| format!("cannot open the log: {e}"))?;
        let mut process = Self {
            status: Status::default(),
            outputs: [("stdout"), ("stderr")].map(|name| Output { file: None, name, line: Line::default() }),
            stdin: None,
            pending: Vec::new(),
            attached: Vec::new(),
            log,
            started,
        };
        let pid = if process.started.tty { process.create_with_terminal() } else { process.create_with_pipes() }?;
        process.status.pid = pid;
        process.status.started_at = now();
        process.save().map_err(text)?;
        if let Err(error) = helper::release(&process.started.container, &process.started.state) {
            process.kill_all();
            return Err(error);
        }
        Ok(process)
    }

    fn create_with_pipes(&mut self) -> Result<i32, String> {
        let (stdout, stdout_child) = signals::pipe().map_err(text)?;
        let (stderr, stderr_child) = signals::pipe().map_err(text)?;
        let stdin_child: OwnedFd = if self.started.stdin {
            let (child, ours) = signals::pipe().map_err(text)?;
            streams::nonblocking(&ours).map_err(text)?;
            self.stdin = Some(ours.into());
            child
        } else {
            File::open("/dev/null").map_err(text)?.into()
        };
        streams::nonblocking(&stdout).map_err(text)?;
        streams::nonblocking(&stderr).map_err(text)?;
        self.outputs[0].file = Some(stdout.into());
        self.outputs[1].file = Some(stderr.into());
        let stdio = Stdio::Descriptors([stdin_child, stdout_child, stderr_child]);
        helper::create(&self.started, stdio)
    }

    fn create_with_terminal(&mut self) -> Result<i32, String> {
        let (pid, master) = with_terminal(&self.started.container, |stdio| helper::create(&self.started, stdio))?;
        streams::nonblocking(&master).map_err(text)?;
        if self.started.stdin {
            self.stdin = Some(master.try_clone().map_err(text)?);
        }
        self.outputs[0].file = Some(master);
        Ok(pid)
    }

    pub(super) fn save(&self) -> std::io::Result<()> {
        let path = self.started.bundle.join("status.json");
        let temporary = self.started.bundle.join("status.tmp");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(&self.status)?)?;
        fs::rename(temporary, path)
    }

    /// Reads what an output has; answers whether it ended.
    pub(super) fn pump(&mut self, which: usize) {
        let mut buffer = [0u8; BUFFER_BYTES];
        for _ in 0..READS_IN_A_ROW {
            let output = &mut self.outputs[which];
            let Some(file) = output.file.as_mut() else { return };
            match streams::read(file, &mut buffer) {
                Got::Nothing => return,
                Got::End => {
                    output.file = None;
                    return;
                }
                Got::Bytes(n) => self.deliver(which, &buffer[..n]),
            }
        }
    }

    fn deliver(&mut self, which: usize, bytes: &[u8]) {
        let output = &mut self.outputs[which];
        if let Some(log) = &mut self.log
            && let Err(error) = log.write(output.name, &mut output.line, bytes)
        {
            // A full disk must not stop the container; what cannot be logged is lost.
            self.status.message = format!("cannot write the log: {error}");
        }
        for attached in &mut self.attached {
            let to = if which == 0 { &mut attached.stdout } else { &mut attached.stderr };
            if let Some(file) = to
                && streams::write(file, bytes) != Some(bytes.len())
            {
                // Gone, or too slow for a socket's buffer: the container is not to wait for it.
                *to = None;
            }
        }
        self.attached.retain(|a| a.stdout.is_some() || a.stderr.is_some() || a.stdin.is_some());
    }

    /// Takes input from an attached client, as far as there is room.
    pub(super) fn take_input(&mut self, client: usize) {
        let mut buffer = [0u8; BUFFER_BYTES];
        let room = PENDING_BYTES.saturating_sub(self.pending.len()).min(buffer.len());
        let Some(attached) = self.attached.get_mut(client) else { return };
        let Some(file) = attached.stdin.as_mut() else { return };
        match streams::read(file, &mut buffer[..room]) {
            Got::Nothing => {}
            Got::Bytes(n) => {
                self.pending.extend_from_slice(&buffer[..n]);
                self.give_input();
            }
            Got::End => {
                attached.stdin = None;
                if self.started.stdin_once && self.pending.is_empty() {
                    self.stdin = None;
                }
            }
        }
    }

    pub(super) fn give_input(&mut self) {
        let Some(stdin) = self.stdin.as_mut() else {
            self.pending.clear();
            return;
        };
        match streams::write(stdin, &self.pending) {
            Some(n) => drop(self.pending.drain(..n)),
            None => {
                self.stdin = None;
                self.pending.clear();
            }
        }
        let readers = self.attached.iter().any(|a| a.stdin.is_some());
        if self.pending.is_empty() && self.started.stdin_once && !readers && !self.attached.is_empty() {
            self.stdin = None;
        }
    }

    pub(super) fn reopen_log(&mut self) -> Result<i32, String> {
        match &mut self.log {
            Some(log) => log.reopen().map(|()| 0).map_err(text),
            None => Ok(0),
        }
    }

    pub(super) fn resize(&self, width: u16, height: u16) -> Result<i32, String> {
        match (&self.outputs[0].file, self.started.tty) {
            (Some(terminal), true) => streams::resize(terminal, width, height).map(|()| 0).map_err(text),
            _ => Err("the container has no terminal".into()),
        }
    }

    pub(super) fn signal(&self, signal: i32, all: bool) -> Result<i32, String> {
        if self.status.finished_at != 0 {
            return Ok(0);
        }
        let signal = Signal::try_from(signal).map_err(text)?;
        if all {
            self.kill_all();
            return Ok(0);
        }
        kill(Pid::from_raw(self.status.pid), signal).map(|()| 0).map_err(text)
    }

    /// Kills every process of the container, those in other process groups and namespaces too.
    fn kill_all(&self) {
        cgroup::kill_all(&self.started.cgroups);
        if self.status.pid > 0 && self.status.finished_at == 0 {
            // Ended already is as good as killed.
            kill(Pid::from_raw(self.status.pid), Signal::SIGKILL).unwrap_or_default();
        }
    }

    /// The first process ended: the rest of the container goes, its last words are read, the end is written down.
    pub(super) fn exited(&mut self, code: i32) {
        cgroup::kill_all(&self.started.cgroups);
        for which in 0..2 {
            // A bound, since a process outside our reach may hold the pipe and write for ever.
            for _ in 0..64 {
                if self.outputs[which].file.is_some() {
                    self.pump(which);
                }
            }
            let output = &mut self.outputs[which];
            if let Some(log) = &mut self.log
                && let Err(error) = log.finish(output.name, &mut output.line)
            {
                self.status.message = format!("cannot write the log: {error}");
            }
            output.file = None;
        }
        self.stdin = None;
        self.attached.clear();
        self.status.oom_killed = cgroup::oom_kills(&self.started.cgroups) > 0;
        self.status.exit_code = code;
        self.status.finished_at = now();
        self.status.pid = 0;
        if let Err(error) = self.save() {
            self.status.message = format!("cannot write the status: {error}");
        }
        self.log = None;
    }
}

/// Starts a process on a new terminal and answers both.
pub(super) fn with_terminal(
    name: &str,
    start: impl FnOnce(Stdio) -> Result<i32, String>,
) -> Result<(i32, File), String> {
    // Short, for a Unix address; in a folder only root can enter.
    let path: PathBuf =
        Path::new("/tmp").join(format!("knarr-tty-{}-{}", std::process::id(), &name[..name.len().min(12)]));
    match fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(text(e)),
        _ => {}
    }
    let console = ConsoleSocket::bind(&path).map_err(text)?;
    let pid = start(Stdio::Terminal(path.clone()));
    fs::remove_file(&path).map_err(text)?;
    let pid = pid?;
    let master = console.master().map_err(|e| format!("no terminal came: {e}"))?;
    let _checked = master.as_fd();
    Ok((pid, master))
}
