//! The store on a disk in memory that forgets, tears, fills up, fails and is slow; power cuts and deaths.

use std::{sync::Arc, time::Duration};

use store::{
    Store, StoreConfig,
    sim::{Faults, SimDisk},
};

use super::{Load, Tasks, all};
use crate::{
    backend::{Backend, local::Local},
    history::{Inner, Restart},
    traffic::{Life, Run},
    verdict::Rule,
};
use testkit::Dice;

/// Values are at most half as long, and come in pairs.
const SLACK_BYTES: u64 = 48 << 10;

/// Small, so that files end, checkpoints are written and history goes all the time.
pub fn config() -> StoreConfig {
    StoreConfig {
        history_bytes: 64 << 10,
        history_revisions: 400,
        segment_bytes: 4 << 10,
        checkpoint_bytes: 8 << 10,
        slack_bytes: SLACK_BYTES,
        relaxed_delay: Duration::from_millis(3),
        gather_within: Duration::from_millis(100),
        ..StoreConfig::new("/sim")
    }
}

/// Several lives of one store, all from the seed (but for what threads do to the order).
pub async fn run(seed: u64, lives: u64) -> Inner {
    let mut dice = Dice(seed);
    let run = Run::new(store::Revision::FIRST.0);
    let mut disk = SimDisk::default();
    let mut died = None;
    for _ in 0..lives {
        if dice.roll(5) == 0 {
            disk = die_while_opening(disk, &mut dice);
        }
        let Some(store) = open(&run, &disk, died).await else { return finish(run) };
        observe(&disk, &store, &run);
        let life = Life::new(run.clone(), Arc::new(Local(store.clone())));
        let mut tasks = Tasks::start(&life, Load::some(&mut dice), &mut dice).await;
        let mut trouble = tokio::task::JoinSet::new();
        trouble.spawn(chaos(disk.clone(), dice.fork(7)));
        while tasks.clients.join_next().await.is_some_and(|ended| ended.is_ok()) {}
        all(tasks.clients).await;
        drop(trouble);
        died = Some(run.history.clock.now());
        let is_power_cut = dice.roll(3) > 0;
        let next = match is_power_cut {
            true => disk.after_power_cut(|sides| dice.roll(sides)),
            false => disk.after_kill(),
        };
        disk.set(Faults { dies_after: Some(0), ..Faults::default() });
        life.end();
        store.close().await;
        all(tasks.watches).await;
        disk.observe(|_| ());
        disk = next;
    }
    let Some(store) = open(&run, &disk, died).await else { return finish(run) };
    let life = Life::new(run.clone(), Arc::new(Local(store.clone())));
    let tasks = Tasks::start(&life, Load { clients: 0, watchers: 0, calls: 0 }, &mut dice).await;
    store.close().await;
    all(tasks.watches).await;
    drop(life);
    finish(run)
}

fn finish(run: Arc<Run>) -> Inner {
    Arc::into_inner(run).expect("everybody has ended").history.finish()
}

/// `None`, and noted, if the store cannot be opened: no power cut may do that.
async fn open(run: &Run, disk: &SimDisk, died: Option<u64>) -> Option<Store> {
    let store = match Store::open_on(disk.clone(), config()) {
        Ok(store) => store,
        Err(error) => {
            run.history.broke(Rule::Opens, error.to_string());
            return None;
        }
    };
    if let Some(begun) = died {
        let (kept, revision) = (store.recovery().kept.0, store.revision().0);
        let state = Local(store.clone()).list("", None).await.expect("the present can be read");
        // A death without a power cut is judged like one: the disk may have torn what was not synced before.
        let ended = run.history.clock.now();
        run.history.restarted(Restart { begun, ended, kept, revision, is_power_cut: true, state });
    }
    Some(store)
}

/// Compares what is on disk with what lives, after everything that makes it more.
fn observe(disk: &SimDisk, store: &Store, run: &Arc<Run>) {
    /// What lies on disk for each key beside the key and its value.
    const ENTRY_BYTES: u64 = 32;
    let (store, run) = (store.clone(), run.clone());
    disk.observe(move |bytes| {
        let health = store.health();
        let limit = 3 * (health.live_bytes + health.keys as u64 * ENTRY_BYTES) + SLACK_BYTES;
        if bytes > limit {
            run.history.broke(Rule::Bounded, format!("{bytes} bytes where {limit} are allowed"));
        }
    });
}

/// A store that dies while it is opened leaves a disk that opens too.
fn die_while_opening(disk: SimDisk, dice: &mut Dice) -> SimDisk {
    disk.set(Faults { dies_after: Some(dice.roll(10)), ..Faults::default() });
    drop(Store::open_on(disk.clone(), config()));
    let after = disk.after_power_cut(|sides| dice.roll(sides));
    after.set(Faults::default());
    after
}

/// One thing that goes wrong with the disk, some time after the beginning.
async fn chaos(disk: SimDisk, mut dice: Dice) {
    let some_time = |dice: &mut Dice| Duration::from_micros(dice.roll(30_000));
    let faults = Faults::default();
    tokio::time::sleep(some_time(&mut dice)).await;
    match dice.roll(10) {
        0..=3 => disk.set(Faults { dies_after: Some(dice.roll(60)), ..faults }),
        4 => disk.set(Faults { sync_fails: true, ..faults }),
        5 => disk.set(Faults { write_fails: true, ..faults }),
        6 => {
            disk.set(Faults { space: Some(dice.roll(20_000)), ..faults });
            tokio::time::sleep(some_time(&mut dice)).await;
            disk.set(faults);
        }
        7 => disk.set(Faults { sync_takes: Some(Duration::from_micros(dice.roll(4000))), ..faults }),
        // Writers are faster than checkpoints.
        8 => disk.set(Faults { temporary_takes: Some(Duration::from_micros(dice.roll(60_000))), ..faults }),
        _ => {}
    }
}
