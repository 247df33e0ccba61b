//! Transactions of the nftables program: text in, all of it takes effect or nothing, even when this process is killed
//! in the midst of one.

use std::{
    fs::File,
    io::{self, Seek, Write},
    process::Stdio,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        memfd::{MFdFlags, memfd_create},
        prctl,
        signal::Signal,
    },
};
use tokio::process::Command;

/// A transaction of ten thousand services takes under a second.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What is kept of nft's complaint.
const MAX_COMPLAINT_BYTES: usize = 2048;

#[derive(Debug, thiserror::Error)]
pub enum NftError {
    #[error("the nft program is not there: install nftables")]
    Missing,
    #[error("run nft: {0}")]
    Io(#[source] io::Error),
    #[error("nft did not finish within {TIMEOUT:?}")]
    TimedOut,
    #[error("nft refused the transaction: {complaint}")]
    Refused { complaint: String },
}

/// Applies the transaction in the network namespace of the calling process.
pub async fn apply(transaction: &str) -> Result<(), NftError> {
    let mut command = Command::new("nft");
    command
        .args(["-f", "-"])
        .stdin(script(transaction).map_err(NftError::Io)?)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // SAFETY: between fork and exec it makes system calls only.
    unsafe { command.pre_exec(die_with(nix::unistd::getpid())) };
    let child = command
        .spawn()
        .map_err(|e| if e.kind() == io::ErrorKind::NotFound { NftError::Missing } else { NftError::Io(e) })?;
    let ended = tokio::time::timeout(TIMEOUT, child.wait_with_output()).await;
    let output = ended.map_err(|_| NftError::TimedOut)?.map_err(NftError::Io)?;
    if output.status.success() {
        return Ok(());
    }
    let mut complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let end = (0..=MAX_COMPLAINT_BYTES.min(complaint.len())).rev().find(|i| complaint.is_char_boundary(*i));
    complaint.truncate(end.unwrap_or_default());
    Err(NftError::Refused { complaint: complaint.trim().to_owned() })
}

/// The text as a whole. Through a pipe, nft would take what came before its writer died for all of it.
fn script(transaction: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create(c"nft", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(transaction.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// Ties a child's life to its parent's: an nft that outlived the daemon would undo what the next one programs.
fn die_with(parent: nix::unistd::Pid) -> impl Fn() -> io::Result<()> {
    move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // Who is an orphan already is sent no signal.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(Errno::ESRCH.into()) }
    }
}

#[cfg(test)]
mod tests;
