//! The shim's loop: one `poll` over signals, daemons, output and input.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{Signal, kill},
        signalfd::SignalFd,
        socket::{MsgFlags, SockFlag, accept4},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::{
    packet,
    protocol::{Call, FromShim, Hello, Request, Start},
    shim::{
        code::Code,
        helper::{self, Stdio},
        process::{Attached, Process, with_terminal},
        signals,
        streams::{self, PENDING_BYTES},
    },
};

/// Daemons come one after the other; a few may overlap.
const CONNECTIONS: usize = 8;
/// Commands running in the containers of one pod at once.
const EXECS: usize = 256;

pub(super) struct Shim {
    listener: OwnedFd,
    connections: Vec<OwnedFd>,
    init: Option<i32>,
    containers: BTreeMap<String, Process>,
    execs: BTreeMap<i32, String>,
    ended: bool,
    /// Something rare was done since the loop last waited.
    busy: bool,
}

/// What a ready descriptor means.
#[derive(Clone)]
enum Source {
    Signals,
    Listener,
    Connection(RawFd),
    Output(String, usize),
    Stdin(String),
    Input(String, usize),
}

impl Shim {
    pub(super) fn new(listener: OwnedFd, control: OwnedFd, init: Option<i32>) -> Self {
        Self {
            listener,
            connections: vec![control],
            init,
            containers: BTreeMap::new(),
            execs: BTreeMap::new(),
            ended: false,
            busy: false,
        }
    }

    pub(super) fn run(mut self) -> i32 {
        let Ok(signals) = signals::descriptor() else { return 1 };
        let code = Code::mapped();
        code.forget();
        while !self.ended {
            if std::mem::take(&mut self.busy) {
                code.forget();
            }
            match self.wait(&signals) {
                Ok(ready) => ready.into_iter().for_each(|source| self.handle(&signals, source)),
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return 1,
            }
        }
        0
    }

    fn wait(&self, signals: &SignalFd) -> nix::Result<Vec<Source>> {
        let mut fds = vec![
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        let mut sources = vec![Source::Signals, Source::Listener];
        for connection in &self.connections {
            fds.push(PollFd::new(connection.as_fd(), PollFlags::POLLIN));
            sources.push(Source::Connection(connection.as_raw_fd()));
        }
        for (id, container) in &self.containers {
            for (which, output) in container.outputs.iter().enumerate() {
                if let Some(file) = &output.file {
                    fds.push(PollFd::new(file.as_fd(), PollFlags::POLLIN));
                    sources.push(Source::Output(id.clone(), which));
                }
            }
            if let Some(stdin) = &container.stdin
                && !container.pending.is_empty()
            {
                fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLOUT));
                sources.push(Source::Stdin(id.clone()));
            }
            if container.pending.len() < PENDING_BYTES {
                for (client, attached) in container.attached.iter().enumerate() {
                    if let Some(stdin) = &attached.stdin {
                        fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
                        sources.push(Source::Input(id.clone(), client));
                    }
                }
            }
        }
        poll(&mut fds, PollTimeout::NONE)?;
        let ready = fds.iter().map(|fd| fd.any().unwrap_or(false));
        Ok(sources.into_iter().zip(ready).filter(|(_, ready)| *ready).map(|(source, _)| source).collect())
    }

    fn handle(&mut self, signals: &SignalFd, source: Source) {
        match source {
            Source::Signals => {
                signals::drain(signals);
                self.reap();
            }
            Source::Listener => self.accept(),
            Source::Connection(fd) => self.request(fd),
            Source::Output(id, which) => {
                if let Some(container) = self.containers.get_mut(&id) {
                    container.pump(which);
                }
            }
            Source::Stdin(id) => {
                if let Some(container) = self.containers.get_mut(&id) {
                    container.give_input();
                }
            }
            Source::Input(id, client) => {
                if let Some(container) = self.containers.get_mut(&id) {
                    container.take_input(client);
                }
            }
        }
    }

    fn accept(&mut self) {
        let Ok(fd) = accept4(self.listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC) else { return };
        // SAFETY: the descriptor is fresh and ours.
        let connection = unsafe { OwnedFd::from_raw_fd(fd) };
        let hello = Hello::new(self.init, None);
        if packet::send(connection.as_raw_fd(), &hello, &[]).is_err() {
            return;
        }
        if self.connections.len() >= CONNECTIONS {
            self.connections.remove(0);
        }
        self.connections.push(connection);
    }

    fn request(&mut self, fd: RawFd) {
        let Some(connection) = self.connections.iter().find(|c| c.as_raw_fd() == fd) else { return };
        match packet::receive::<Request>(connection, MsgFlags::MSG_DONTWAIT) {
            Ok(Some((request, descriptors))) => {
                self.busy = true;
                let (result, master) = self.call(request.call, descriptors);
                let rights: Vec<RawFd> = master.iter().map(|m| m.as_raw_fd()).collect();
                let done = FromShim::Done { number: request.number, result };
                // A daemon that is gone is noticed by its end of connection.
                packet::send(fd, &done, &rights).unwrap_or_default();
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Ok(None) | Err(_) => self.connections.retain(|c| c.as_raw_fd() != fd),
        }
    }

    fn container(&mut self, id: &str) -> Result<&mut Process, String> {
        self.containers.get_mut(id).ok_or_else(|| format!("container {id} is not known"))
    }

    fn call(&mut self, call: Call, fds: Vec<OwnedFd>) -> (Result<i32, String>, Option<std::fs::File>) {
        let result = match call {
            Call::Start(start) => self.start(start),
            Call::Signal { container, signal, all } => self.container(&container).and_then(|c| c.signal(signal, all)),
            Call::Exec { container, exec, process, tty } => {
                return self.exec(&container, exec, &process, tty, fds);
            }
            Call::KillExec { exec } => {
                let pid = self.execs.iter().find(|(_, id)| **id == exec).map(|(pid, _)| *pid);
                match pid {
                    Some(pid) => kill(Pid::from_raw(pid), Signal::SIGKILL).map(|()| 0).map_err(|e| e.to_string()),
                    None => Ok(0),
                }
            }
            Call::ReopenLog { container } => self.container(&container).and_then(Process::reopen_log),
            Call::Resize { container, width, height } => {
                self.container(&container).and_then(|c| c.resize(width, height))
            }
            Call::Attach { container, stdin } => self.attach(&container, stdin, fds),
            Call::Delete { container } => self.delete(&container),
            Call::Shutdown => {
                self.shutdown();
                Ok(0)
            }
        };
        (result, None)
    }

    fn start(&mut self, start: Start) -> Result<i32, String> {
        let id = start.container.clone();
        if self.containers.contains_key(&id) {
            return Err(format!("container {id} was started before"));
        }
        let process = Process::start(start)?;
        let pid = process.status.pid;
        self.containers.insert(id, process);
        Ok(pid)
    }

    fn attach(&mut self, id: &str, stdin: bool, fds: Vec<OwnedFd>) -> Result<i32, String> {
        let container = self.container(id)?;
        if container.status.finished_at != 0 {
            return Err("the container has ended".into());
        }
        for fd in &fds {
            streams::nonblocking(fd).map_err(|e| e.to_string())?;
        }
        let mut fds = fds.into_iter().map(std::fs::File::from);
        let (stdout, stderr) = (fds.next(), fds.next());
        let attached = Attached { stdout, stderr, stdin: if stdin { fds.next() } else { None } };
        container.attached.push(attached);
        Ok(0)
    }

    fn exec(
        &mut self,
        id: &str,
        exec: String,
        process: &std::path::Path,
        tty: bool,
        fds: Vec<OwnedFd>,
    ) -> (Result<i32, String>, Option<std::fs::File>) {
        if self.execs.len() >= EXECS {
            return (Err(format!("{EXECS} commands are running in this pod already")), None);
        }
        let container = match self.container(id) {
            Ok(c) if c.status.finished_at != 0 => return (Err("the container has ended".into()), None),
            Ok(c) => &c.started,
            Err(error) => return (Err(error), None),
        };
        let started = if tty {
            with_terminal(&exec, |stdio| helper::exec(container, process, stdio))
                .map(|(pid, master)| (pid, Some(master)))
        } else {
            match <[OwnedFd; 3]>::try_from(fds) {
                Ok(fds) => helper::exec(container, process, Stdio::Descriptors(fds)).map(|pid| (pid, None)),
                Err(_) => Err("three descriptors are needed".into()),
            }
        };
        match started {
            Ok((pid, master)) => {
                self.execs.insert(pid, exec);
                (Ok(pid), master)
            }
            Err(error) => (Err(error), None),
        }
    }

    fn delete(&mut self, id: &str) -> Result<i32, String> {
        match self.containers.get(id) {
            Some(container) if container.status.finished_at == 0 => Err("the container is running".into()),
            _ => {
                self.containers.remove(id);
                Ok(0)
            }
        }
    }

    /// Kills all containers and reaps them, then the loop ends and with it the pod's namespaces.
    fn shutdown(&mut self) {
        for container in self.containers.values() {
            // A container that ended meanwhile needs no signal.
            container.signal(libc::SIGKILL, true).unwrap_or_default();
        }
        for _ in 0..self.containers.len() + self.execs.len() {
            let running = self.containers.values().any(|c| c.status.finished_at == 0);
            if !running {
                break;
            }
            match waitpid(None::<Pid>, None) {
                Ok(status) => self.waited(status),
                Err(_) => break,
            }
        }
        self.ended = true;
    }

    fn reap(&mut self) {
        loop {
            match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(status) => self.waited(status),
            }
        }
    }

    fn waited(&mut self, status: WaitStatus) {
        let (pid, code) = match status {
            WaitStatus::Exited(pid, code) => (pid.as_raw(), code),
            WaitStatus::Signaled(pid, signal, _) => (pid.as_raw(), 128 + signal as i32),
            _ => return,
        };
        if let Some(exec) = self.execs.remove(&pid) {
            self.tell(&FromShim::ExecExited { exec, code });
            return;
        }
        if Some(pid) == self.init {
            // The first process of the shared namespace is gone, and the kernel has killed all others in it.
            self.init = None;
        }
        let found = self.containers.iter_mut().find(|(_, c)| c.status.pid == pid && c.status.finished_at == 0);
        if let Some((id, container)) = found {
            container.exited(code);
            let event = FromShim::Exited { container: id.clone(), status: container.status.clone() };
            self.tell(&event);
        }
    }

    fn tell(&self, event: &FromShim) {
        for connection in &self.connections {
            // Whoever is gone reads the files when it comes back.
            packet::send(connection.as_raw_fd(), event, &[]).unwrap_or_default();
        }
    }
}
