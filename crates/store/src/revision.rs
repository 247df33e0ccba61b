//! The store's one clock: every committed transaction gets the next revision.

use std::fmt;

/// The position of a transaction in the store's history.
///
/// Revisions only grow, over restarts too. They may skip numbers after an unclean stop, so that a
/// number that was seen and then lost with an unsynced relaxed write is never given out again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// What an empty store answers; the first write gets the next one, so zero is free to mean "none".
    pub const FIRST: Revision = Revision(1);

    /// The revision after this one.
    pub fn next(self) -> Revision {
        Revision(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
