//! How many files and sockets the daemon may have open. Where a shell or systemd allows more than it gives at first,
//! the daemon takes all; containers keep what the daemon was given, since old programs count on few.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// What the daemon was given.
static GIVEN: OnceLock<rlim_t> = OnceLock::new();

/// Takes as many as allowed.
pub(crate) fn raise() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard {
        match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => tracing::debug!(from = soft, to = hard, "limit of open files raised"),
            Err(error) => tracing::warn!(%error, soft, hard, "the limit of open files could not be raised"),
        }
    }
    // The first look counts: a second start in one process finds what the first has raised.
    GIVEN.get_or_init(|| soft);
}

/// What containers are to get; none if nothing was raised.
pub(crate) fn given() -> Option<rlim_t> {
    GIVEN.get().copied()
}

/// Connections to the API server: half of the files, so that none is missing to the store and to pods.
pub(crate) fn connections() -> usize {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    usize::try_from(soft / 2).unwrap_or(usize::MAX)
}
