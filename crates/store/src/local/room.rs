//! How much may lie on disk, and whether a transaction still fits.
//!
//! **The rule**: at every moment, the files together have at most three times the live data and the slack. Live data
//! is what a checkpoint of the live keys holds: keys, values as they lie on disk, and [`ENTRY_BYTES`] for each. While
//! a batch is written, live data is the lesser of before and after.
//!
//! A transaction is let in only if the rule holds with it, and if a checkpoint can still be written afterwards without
//! breaking it: then whoever does not fit has to wait for a checkpoint, never for ever. Of what moment that checkpoint
//! will be is not known yet. But the keys at any moment of the history are the live ones with its changes undone, so
//! they exceed them at most by what the changes took away ([`Shrink`]).
//!
//! Why waiting ends: when the history is let go and a checkpoint of the newest revision is written, the files have
//! once the live data, and the checkpoint after the next transaction may have as much again. What a transaction adds
//! or takes away is at most an eighth of the slack
//! ([`MAX_TRANSACTION_BYTES`](crate::MAX_TRANSACTION_BYTES)), and so it fits:
//! `live + add + (live after + taken) ≤ 3 × min(live, live after) + slack`.

use super::tail;
use crate::{
    config::StoreConfig,
    event::Event,
    state::{Shrink, State},
};

/// What an entry of a checkpoint takes beside key and value.
pub(crate) const ENTRY_BYTES: u64 = 32;
/// What a batch of one transaction takes in the log beside its operations, and an operation beside key and value.
const RECORD_BYTES: u64 = 64;
const OPERATION_BYTES: u64 = 9;
/// Headers of files, and marks of closing and of opening: they are written without asking.
const MARGIN: u64 = 512;
/// How many times the live data may lie on disk, beside the slack.
const TIMES: u64 = 3;

/// The arithmetic of one store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    slack: u64,
    /// What sealing adds to a value, at most.
    sealing: u64,
}

/// The files of a store, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Files {
    /// Everything that is there, but for a checkpoint that is being written.
    pub(crate) there: u64,
    /// What that will have at most, and what it will let go of when it is whole. Zero if there is none.
    pub(crate) coming: u64,
    pub(crate) going: u64,
}

/// A state, in bytes on disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Data {
    pub(crate) live: u64,
    /// The largest checkpoint of any moment of the history.
    pub(crate) checkpoint: u64,
}

impl Room {
    pub(crate) fn new(config: &StoreConfig) -> Room {
        let sealing = config.seal.as_ref().map_or(0, |seal| seal.overhead() as u64);
        // The tail is there beside all that is counted.
        Room { slack: config.slack_bytes - tail::capacity(config.slack_bytes), sealing }
    }

    pub(crate) fn data(&self, state: &State) -> Data {
        self.sum(state.live_bytes, state.keys.len() as u64, state.history_shrink)
    }

    /// What the state comes to with these changes.
    pub(crate) fn after<'a>(&self, state: &State, changes: impl IntoIterator<Item = &'a Event>) -> Data {
        let (mut bytes, mut keys, mut shrink) = (state.live_bytes, state.keys.len() as u64, state.history_shrink);
        for event in changes {
            bytes = bytes + event.current_bytes() - event.previous_bytes();
            keys = keys + u64::from(event.current.is_some()) - u64::from(event.previous.is_some());
            shrink += Shrink::of(event);
        }
        self.sum(bytes, keys, shrink)
    }

    fn sum(&self, bytes: u64, keys: u64, shrink: Shrink) -> Data {
        /// Each begins a frame of a checkpoint, at most.
        const PER_FRAME: u64 = 4 << 10;
        let entry = ENTRY_BYTES + self.sealing;
        let live = bytes + keys * entry;
        let entries = live + shrink.bytes + shrink.keys * entry;
        Data { live, checkpoint: entries + entries / PER_FRAME + MARGIN }
    }

    /// What these changes add to the log.
    pub(crate) fn record<'a>(&self, changes: impl IntoIterator<Item = &'a Event>) -> u64 {
        let operation = |event: &Event| OPERATION_BYTES + self.sealing + event.key.len() as u64 + event.value_bytes();
        RECORD_BYTES + changes.into_iter().map(operation).sum::<u64>()
    }

    /// Whether `added` bytes may be appended to the log, which makes `after` of what was `live` bytes of data.
    pub(crate) fn has(&self, files: Files, live: u64, added: u64, after: Data) -> bool {
        self.left(files, live, added, after).is_some()
    }

    /// How many bytes less than that it is.
    pub(crate) fn left(&self, files: Files, live: u64, added: u64, after: Data) -> Option<u64> {
        let limit = (TIMES * live.min(after.live) + self.slack).saturating_sub(MARGIN);
        let there = files.there + added;
        // While the next checkpoint is written, or one that fails is written again; and while the one after it is.
        let during = there + files.coming.max(after.checkpoint);
        let later = (there + files.coming).saturating_sub(files.going) + after.checkpoint;
        limit.checked_sub(during.max(later))
    }

    /// Whether so little is left that a checkpoint should be written before somebody has to wait for it.
    pub(crate) fn is_scarce(&self, files: Files, data: Data) -> bool {
        let enough = self.slack / 4 + data.live / 8;
        self.left(files, data.live, 0, data).is_none_or(|left| left < enough)
    }
}
