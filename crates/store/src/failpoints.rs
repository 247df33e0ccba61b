//! For tests: named places where the process dies, and bugs put back to show that the tests find them.
//!
//! Compiled only with the feature `failpoints`, and even then nothing happens before a test asks for it. One
//! setting for the whole process, as a death is.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;

static ARMED: AtomicBool = AtomicBool::new(false);
static DEATH: Mutex<Option<(String, u32)>> = Mutex::new(None);
static BUGS: AtomicU32 = AtomicU32::new(0);

/// Every place, in the order of a write, a checkpoint and a start.
pub const PLACES: &[&str] = &[
    "batch.prepared",
    "tail.written",
    "log.written",
    "log.synced",
    "batch.published",
    "batch.answered",
    "log.file-created",
    "log.file-begun",
    "log.rotated",
    "checkpoint.begun",
    "checkpoint.written",
    "checkpoint.renamed",
    "checkpoint.durable",
    "checkpoint.removing",
    "checkpoint.done",
    "recovery.listed",
    "recovery.cut",
    "recovery.skipped",
    "recovery.gathered",
    "close.marked",
];

/// A mistake of the kind that stores have made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Bug {
    /// A durable write is acknowledged before it is on disk.
    AcknowledgedBeforeSync,
    /// A watch begins before the revision it was asked for.
    WatchGoesBack,
    /// A watch gets an event twice.
    DuplicateEvent,
    /// A watch from before the floor is not refused: what was compacted is missing.
    MissedEventAtCompaction,
    /// Revisions that were seen and lost are given out again.
    RevisionDecreasing,
    /// A write is answered before reads see it.
    StaleRead,
    /// The changes of one transaction come one by one.
    SplitTransaction,
    /// A bookmark says more than was given out.
    BookmarkAhead,
    /// An update does not look at the revision it expects.
    LostUpdate,
    /// Recovery takes the torn end of the log for whole.
    TornTailKept,
    /// Changes are shown before they are on disk.
    DirtyRead,
    /// Nobody waits for a checkpoint when there is too much on disk.
    NoRoomMade,
    /// What changed is applied to another version than the one before.
    WrongBase,
    /// A read from etcd's image in memory does not ask whether it is current.
    NotCurrent,
    /// Who follows etcd again begins one revision late.
    SkippedOnReconnect,
    /// Watches go on although nobody knows what they missed.
    SilentRestart,
    /// A write whose answer was lost is handed in once more.
    RetriedWrite,
}

impl Bug {
    /// Those of a store on etcd.
    pub const ETCD: [Bug; 4] = [Bug::NotCurrent, Bug::SkippedOnReconnect, Bug::SilentRestart, Bug::RetriedWrite];
    /// Those of a local store.
    pub const ALL: [Bug; 13] = [
        Bug::AcknowledgedBeforeSync,
        Bug::WatchGoesBack,
        Bug::DuplicateEvent,
        Bug::MissedEventAtCompaction,
        Bug::RevisionDecreasing,
        Bug::StaleRead,
        Bug::SplitTransaction,
        Bug::BookmarkAhead,
        Bug::LostUpdate,
        Bug::TornTailKept,
        Bug::DirtyRead,
        Bug::NoRoomMade,
        Bug::WrongBase,
    ];
}

/// The process kills itself the `nth` time (from 1) it comes to this place.
pub fn die_at(place: &str, nth: u32) {
    assert!(PLACES.contains(&place), "{place} is no failpoint");
    *DEATH.lock() = Some((place.to_owned(), nth));
    ARMED.store(true, Ordering::SeqCst);
}

/// Puts a bug back, or takes it out again.
pub fn put_back(bug: Bug, on: bool) {
    let bit = 1 << bug as u32;
    if on {
        BUGS.fetch_or(bit, Ordering::SeqCst);
    } else {
        BUGS.fetch_and(!bit, Ordering::SeqCst);
    }
}

pub(crate) fn has(bug: Bug) -> bool {
    BUGS.load(Ordering::SeqCst) & (1 << bug as u32) != 0
}

pub(crate) fn reach(place: &str) {
    debug_assert!(PLACES.contains(&place), "{place} is not in the list");
    if !ARMED.load(Ordering::Relaxed) {
        return;
    }
    let mut death = DEATH.lock();
    if let Some((at, left)) = &mut *death
        && at == place
    {
        *left -= 1;
        if *left == 0 {
            // As sudden as `kill -9`: no buffer is flushed, no destructor runs.
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).ok();
        }
    }
}
