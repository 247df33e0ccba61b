//! What daemon, zygote and shim say to one another: one JSON message per packet, descriptors beside it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What starting a process means. A daemon has only shims of its own version start any: one that reads less in a request
/// than was meant would leave out what confines the process.
pub(crate) const VERSION: u32 = 1;

/// To the zygote, with the shim's end of a socket pair beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) sandbox: String,
    /// Where the shim listens for daemons to come.
    pub(crate) socket: PathBuf,
    pub(crate) hostname: String,
    pub(crate) own_network: bool,
    pub(crate) own_ipc: bool,
    pub(crate) own_uts: bool,
    /// One process namespace for all containers, with a child of the shim as its first process.
    pub(crate) shared_pid: bool,
    /// Sysctls of the pod, written inside its namespaces.
    pub(crate) sysctls: Vec<(String, String)>,
    /// `cgroup.procs` files the shim enters.
    pub(crate) cgroups: Vec<PathBuf>,
}

/// The first message of a shim, and its answer to anyone who connects.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) pid: i32,
    /// First process of the shared process namespace.
    pub(crate) init: Option<i32>,
    pub(crate) error: Option<String>,
    /// [`VERSION`] of the shim's program.
    #[serde(default)]
    pub(crate) version: u32,
}

impl Hello {
    pub(crate) fn new(init: Option<i32>, error: Option<String>) -> Self {
        Self { pid: nix::unistd::getpid().as_raw(), init, error, version: VERSION }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) number: u64,
    pub(crate) call: Call,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    Start(Start),
    Signal {
        container: String,
        signal: i32,
        all: bool,
    },
    /// Descriptors: stdin, stdout, stderr; none with a terminal, whose master comes back.
    Exec {
        container: String,
        exec: String,
        process: PathBuf,
        tty: bool,
    },
    KillExec {
        exec: String,
    },
    ReopenLog {
        container: String,
    },
    /// Descriptors: stdout, stderr, and stdin if `stdin`.
    Attach {
        container: String,
        stdin: bool,
    },
    Resize {
        container: String,
        width: u16,
        height: u16,
    },
    Delete {
        container: String,
    },
    Shutdown,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) container: String,
    /// Folder with `config.json`; the shim keeps `status.json` there.
    pub(crate) bundle: PathBuf,
    /// libcontainer's own folder.
    pub(crate) state: PathBuf,
    pub(crate) log: Option<PathBuf>,
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    pub(crate) stdin_once: bool,
    /// The container's directories in the cgroup hierarchies.
    pub(crate) cgroups: Vec<PathBuf>,
    /// The system call filter of all its processes.
    pub(crate) filter: Option<PathBuf>,
    /// All its other mounts are private.
    pub(crate) propagating: Vec<Propagating>,
}

/// A source of a container's mount that passes on what is mounted below it later.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Propagating {
    pub(crate) path: PathBuf,
    /// From the container to the host too.
    pub(crate) sends: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromShim {
    Done { number: u64, result: Result<i32, String> },
    Exited { container: String, status: Status },
    ExecExited { exec: String, code: i32 },
}

/// What `status.json` holds: the truth about a container, written by its shim.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) pid: i32,
    /// Nanoseconds since 1970; 0 if it has not happened.
    pub(crate) started_at: i64,
    pub(crate) finished_at: i64,
    pub(crate) exit_code: i32,
    pub(crate) oom_killed: bool,
    pub(crate) message: String,
    /// A reason other than what the exit code says; empty if there is none.
    #[serde(default)]
    pub(crate) reason: String,
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
