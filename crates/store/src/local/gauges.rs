//! What the sequencer tells about itself without being asked.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::health::Writes;

#[derive(Default)]
pub(crate) struct Gauges {
    pub(crate) disk_bytes: AtomicU64,
    writes: AtomicU8,
}

impl Gauges {
    pub(crate) fn set_writes(&self, writes: Writes) {
        self.writes.store(writes as u8, Ordering::Relaxed);
    }

    pub(crate) fn writes(&self) -> Writes {
        let all = [Writes::Ok, Writes::NoSpace, Writes::Poisoned, Writes::Stopped];
        let number = self.writes.load(Ordering::Relaxed);
        all.into_iter().find(|w| *w as u8 == number).unwrap_or_default()
    }
}
