//! A clock that only says what came before what, and numbers that look random.

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

/// The same numbers for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// One of `0..sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    /// Another sequence, so that what one client does does not depend on how often another rolled.
    pub fn fork(&mut self, salt: u64) -> Dice {
        Dice(self.roll(u64::MAX) ^ salt.wrapping_mul(0xd134_2543_de82_ef95))
    }
}
