//! Death at a chosen system call, by `strace`: what is killed needs no places of its own for that.

use std::{
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, Stdio},
};

/// What changes a file, its name, or what a folder holds.
pub const FILE_CALLS: &str =
    "fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,link,linkat,ftruncate,fallocate";

/// The same command, killed when one of its threads makes its `nth` (from 1) of these calls; the call is not made.
/// The process that is started is the command's own.
pub fn deadly(command: &Command, calls: &str, nth: u32) -> Command {
    let mut deadly = Command::new("strace");
    // With --seccomp-bpf, which is faster, strace forgets the signal.
    deadly.args(["-D", "-f", "-qq", "-o", "/dev/null"]);
    deadly.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:signal=KILL:when={nth}"), "--"]);
    deadly.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => deadly.env(name, value),
            None => deadly.env_remove(name),
        };
    }
    deadly
}

/// The same where only calls about one of these files or folders count.
pub fn deadly_about(command: &Command, paths: &[PathBuf], calls: &str, nth: u32) -> Command {
    let deadly = deadly(command, calls, nth);
    let mut about = Command::new(deadly.get_program());
    for path in paths {
        about.arg("-P").arg(path);
    }
    about.args(deadly.get_args());
    about.envs(deadly.get_envs().filter_map(|(name, value)| Some((name, value?))));
    about
}

/// Runs a command that ends by itself, and kills it there; false if it ended before it came so far.
#[track_caller]
pub fn killed_at(command: &Command, calls: &str, nth: u32) -> bool {
    let output = deadly(command, calls, nth).stdin(Stdio::null()).output().expect("strace can be started");
    if output.status.signal() == Some(9) {
        return true;
    }
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    false
}
