//! Which process is the daemon of a data folder, so that it can be ended by those who know only the folder. The lock
//! says whether it lives: the kernel releases it with the process, however that ends.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A daemon asked to end has this long; then it is killed.
const TERM_LIMIT: Duration = Duration::from_secs(20);
const KILL_LIMIT: Duration = Duration::from_secs(5);
/// How long a lock may outlive its daemon.
const INHERITED_LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct PidFile {
    _lock: Flock<File>,
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("knarr.pid")
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Takes the lock. A process that a daemon was about to start when it was killed holds on to it for a moment, until its
/// own program runs; so who is gone by name is waited for.
fn lock(mut file: File) -> Result<Flock<File>, (File, Errno)> {
    let begun = tokio::time::Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((again, Errno::EWOULDBLOCK)) if begun.elapsed() < INHERITED_LIMIT && is_gone(&again) => file = again,
            done => return done,
        }
        std::thread::sleep(INHERITED_LIMIT / 500);
    }
}

/// Whether the process that the file names has ended.
fn is_gone(mut file: &File) -> bool {
    let mut pid = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut pid)).and_then(|_| file.rewind());
    let pid = read.ok().and_then(|()| pid.trim().parse().ok());
    pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

impl PidFile {
    /// Makes this process the daemon of the folder; fails while another is.
    pub(crate) fn write(data_dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(data_dir)
            .with_context(|| format!("create the data folder {}; choose another by --data-dir", data_dir.display()))?;
        let path = path(data_dir);
        let file =
            open(&path).with_context(|| format!("write {}; choose another folder by --data-dir", path.display()))?;
        let mut lock = match lock(file) {
            Ok(lock) => lock,
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).ok();
                bail!(
                    "another knarr (pid {}) runs on {}; stop it, or choose another folder by --data-dir",
                    pid.trim(),
                    data_dir.display()
                );
            }
            Err((_, error)) => return Err(error).with_context(|| format!("lock {}", path.display())),
        };
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| lock.write_all(std::process::id().to_string().as_bytes()))
            .with_context(|| format!("write {}", path.display()))?;
        Ok(Self { _lock: lock })
    }

    /// Ends the folder's daemon; done at once when there is none.
    pub(crate) async fn stop(data_dir: &Path) -> anyhow::Result<()> {
        let path = path(data_dir);
        for (signal, limit) in [(Signal::SIGTERM, TERM_LIMIT), (Signal::SIGKILL, KILL_LIMIT)] {
            let mut file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
            };
            let mut pid = String::new();
            file.read_to_string(&mut pid).with_context(|| format!("read {}", path.display()))?;
            let Err((file, _)) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { return Ok(()) };
            // The lock is held, so the process is alive and the number is its own.
            let pid = pid.trim().parse().with_context(|| format!("{} has no process id", path.display()))?;
            kill(Pid::from_raw(pid), signal).with_context(|| format!("send {signal} to {pid}"))?;
            let released = tokio::task::spawn_blocking(move || Flock::lock(file, FlockArg::LockExclusive).is_ok());
            if matches!(tokio::time::timeout(limit, released).await, Ok(Ok(true))) {
                return Ok(());
            }
        }
        bail!("the daemon of {} does not end", data_dir.display())
    }
}
