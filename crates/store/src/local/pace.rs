//! How fast a checkpoint goes about its work.
//!
//! It shares the disk and its journal with the syncs of the log: those wait for what it has handed to the disk by then.
//! So it hands over a little, and rests as long as that took.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::Duration,
};

use tokio::time::Instant;

/// What is handed to the disk in one go, beside writers and otherwise.
const SMALL_PIECE: u64 = 1 << 20;
const LARGE_PIECE: u64 = 8 << 20;
/// A disk that takes longer than this for a piece is not made faster by resting longer.
const MOST_REST: Duration = Duration::from_millis(50);

const GENTLE: u8 = 0;
const HURRIED: u8 = 1;
const STOPPED: u8 = 2;

/// Shared with who may change it; it never becomes slower.
pub(crate) struct Pace(AtomicU8);

impl Pace {
    /// Beside writers.
    pub(crate) fn gentle() -> Pace {
        Pace(AtomicU8::new(GENTLE))
    }

    /// Nothing else is going on, or everybody waits for this.
    pub(crate) fn hurried() -> Pace {
        Pace(AtomicU8::new(HURRIED))
    }

    pub(crate) fn hurry(&self) {
        self.0.fetch_max(HURRIED, Ordering::Relaxed);
    }

    pub(crate) fn stop(&self) {
        self.0.fetch_max(STOPPED, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) == STOPPED
    }

    fn is_gentle(&self) -> bool {
        self.0.load(Ordering::Relaxed) == GENTLE
    }

    /// How many bytes to hand over in one go.
    pub(crate) fn piece(&self) -> u64 {
        if self.is_gentle() { SMALL_PIECE } else { LARGE_PIECE }
    }

    /// After a piece of work that began then.
    pub(crate) fn rest(&self, since: Instant) {
        if self.is_gentle() {
            thread::sleep(since.elapsed().min(MOST_REST));
        }
    }
}
