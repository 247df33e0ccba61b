//! The sequencer and recovery on a disk that fails on purpose.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use testkit::Dice;
use tokio::sync::{Semaphore, oneshot};

use super::{
    disk::sim::{Faults, SimDisk},
    gauges::Gauges,
    queue::{Chore, Queue, Request},
    recovery::{Recovery, recover},
    sequencer::Sequencer,
};
use crate::{
    config::StoreConfig,
    health::Writes,
    hub::Hub,
    open_error::OpenError,
    write::{Committed, Write, WriteError},
};

mod bound;
mod faults;
mod format_1;
mod gathered;
mod power_cut;

/// What a power cut takes is decided by the seed.
fn rolls(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut dice = Dice(seed);
    move |sides| dice.roll(sides)
}

/// Files end and checkpoints are written all the time, and relaxed writes are gathered if nothing else is to be done.
fn small() -> StoreConfig {
    StoreConfig {
        history_bytes: 4 << 10,
        segment_bytes: 1 << 10,
        checkpoint_bytes: 4 << 10,
        compact_every: None,
        relaxed_delay: Duration::ZERO,
        gather_within: Duration::MAX,
        ..StoreConfig::new("/sim")
    }
}

/// A store without a thread: each step happens when the test says so.
struct Bench {
    disk: SimDisk,
    hub: Arc<Hub>,
    queue: Arc<Queue>,
    gauges: Arc<Gauges>,
    recovery: Recovery,
    sequencer: Sequencer,
}

impl Bench {
    fn open(disk: SimDisk) -> Result<Bench, OpenError> {
        Bench::open_with(disk, small())
    }

    fn open_with(disk: SimDisk, config: StoreConfig) -> Result<Bench, OpenError> {
        let recovered = recover(Arc::new(disk.clone()), &config)?;
        let hub = Arc::new(Hub::new(recovered.state.clone()));
        let (queue, gauges) = (Arc::new(Queue::new()), Arc::new(Gauges::default()));
        let recovery = recovered.report.clone();
        let mut sequencer = Sequencer::new(recovered, config, hub.clone(), queue.clone(), gauges.clone());
        sequencer.begin();
        Ok(Bench { disk, hub, queue, gauges, recovery, sequencer })
    }

    /// Does these writes as one batch.
    fn write(&mut self, writes: Vec<Write>) -> Vec<Result<Committed, WriteError>> {
        let places = Arc::new(Semaphore::new(writes.len()));
        let (requests, answers): (Vec<_>, Vec<_>) = writes
            .into_iter()
            .map(|write| {
                let (answer, answered) = oneshot::channel();
                let place = places.clone().try_acquire_owned().unwrap();
                (Request { write, answer, _place: place }, answered)
            })
            .unzip();
        self.sequencer.write(requests);
        answers.into_iter().map(|mut answered| answered.try_recv().unwrap()).collect()
    }

    fn put(&mut self, key: &str, value: &str) -> Result<Committed, WriteError> {
        self.write(vec![Write::put(key.as_bytes(), value.to_owned())]).remove(0)
    }

    /// Chores; a checkpoint that begins is waited for.
    fn keep_house(&mut self) {
        self.sequencer.keep_house();
        if self.sequencer.is_checkpointing() {
            while !self.queue.take(0, None).chores.iter().any(|c| matches!(c, Chore::CheckpointDone(_))) {}
            self.sequencer.checkpoint_done();
        }
    }

    /// Writes a checkpoint of the floor, whether it is due or not.
    fn checkpoint(&mut self) {
        assert!(self.sequencer.checkpoint());
        self.sequencer.checkpoint_done();
    }

    /// Chores; a checkpoint goes on meanwhile.
    fn keep_house_meanwhile(&mut self) {
        for chore in self.queue.take(0, Some(Duration::ZERO)).chores {
            self.sequencer.chore(chore);
        }
        self.sequencer.keep_house();
    }

    fn value(&self, key: &str) -> Option<String> {
        let state = self.hub.state();
        state.keys.get(key.as_bytes()).map(|kv| String::from_utf8(kv.value.to_vec()).unwrap())
    }
}
