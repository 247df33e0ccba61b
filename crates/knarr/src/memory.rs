//! Memory that is free inside the process, given back to the machine.

#![allow(unsafe_code, reason = "the allocator is asked by a call of C")]

use std::{convert::Infallible, time::Duration};

/// What starting needed is free by then.
const SETTLED: Duration = Duration::from_secs(30);
/// As often as the store lets go of old history.
const PAUSE: Duration = Duration::from_secs(300);

/// Gives back what start, and later each burst of work, has left in the allocator's hands: it keeps free pages between
/// used ones for ever unless it is asked.
pub(crate) async fn give_back() -> Infallible {
    tokio::time::sleep(SETTLED).await;
    loop {
        // Milliseconds, in which other threads may wait for the allocator one arena at a time.
        if let Err(error) = tokio::task::spawn_blocking(trim).await {
            tracing::warn!(%error, "free memory could not be given back");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called by any thread at any time; 0 asks to keep nothing on top.
    unsafe {
        libc::malloc_trim(0);
    }
}
