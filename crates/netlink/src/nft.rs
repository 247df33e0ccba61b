//! Transactions of the nftables program: text in, all of it takes effect or nothing.

use std::{io, process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt, process::Command};

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
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| if e.kind() == io::ErrorKind::NotFound { NftError::Missing } else { NftError::Io(e) })?;
    let mut stdin = child.stdin.take().ok_or_else(|| NftError::Io(io::ErrorKind::BrokenPipe.into()))?;
    let transacted = async {
        // nft that exits early breaks the pipe; its complaint says more than the pipe's error.
        let written = stdin.write_all(transaction.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.map_err(NftError::Io)?;
        if !output.status.success() {
            let mut complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            let end = (0..=MAX_COMPLAINT_BYTES.min(complaint.len())).rev().find(|i| complaint.is_char_boundary(*i));
            complaint.truncate(end.unwrap_or_default());
            return Err(NftError::Refused { complaint: complaint.trim().to_owned() });
        }
        written.map_err(NftError::Io)
    };
    tokio::time::timeout(TIMEOUT, transacted).await.map_err(|_| NftError::TimedOut)?
}
