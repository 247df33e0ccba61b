//! A clock that only says what came before what.

use std::sync::atomic::{AtomicU64, Ordering};

/// A moment of a run. Greater is later, for every thread.
pub type Moment = u64;

/// Ticks with every look at it: what one thread saw end before another began has the smaller number.
#[derive(Debug, Default)]
pub struct Clock(AtomicU64);

impl Clock {
    pub fn now(&self) -> Moment {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}
