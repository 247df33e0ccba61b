//! What lies on disk is in proportion to what lives, at every moment.

use super::*;
use crate::{Op, revision::Revision, state::State};

const SEEDS: u64 = 60;
const STEPS: u64 = 150;
/// A thousandth of the default, as everything here.
const SLACK: u64 = 64 << 10;
/// As much of the slack as a transaction may change.
const TRANSACTION: u64 = SLACK / 8;
const KEYS: u64 = 300;

fn config() -> StoreConfig {
    StoreConfig {
        history_bytes: 16 << 10,
        segment_bytes: 4 << 10,
        checkpoint_bytes: 8 << 10,
        slack_bytes: SLACK,
        compact_every: None,
        relaxed_delay: Duration::from_millis(1),
        gather_within: Duration::from_secs(60),
        ..StoreConfig::new("/sim")
    }
}

/// Three times what a checkpoint of the live keys holds, and the slack.
fn limit(state: &State) -> u64 {
    const ENTRY: u64 = 32;
    3 * (state.live_bytes + state.keys.len() as u64 * ENTRY) + SLACK
}

/// What happened, for the message of a failure, and how far it went.
#[derive(Default)]
struct Seen {
    worst: Option<String>,
    /// The highest share of the limit that was used, in percent.
    percent: u64,
}

#[test]
fn the_files_are_bounded_by_the_live_data_after_every_write_to_disk() {
    let mut highest = 0;
    for seed in 0..SEEDS {
        highest = highest.max(one_store(seed));
    }
    println!("at most {highest} % of what is allowed");
    assert!(highest > 80, "the load is too light to show anything: {highest} %");
}

fn open(disk: &SimDisk, seen: &Arc<parking_lot::Mutex<Seen>>) -> Bench {
    let bench = Bench::open_with(disk.clone(), config()).unwrap();
    let (hub, seen) = (bench.hub.clone(), seen.clone());
    disk.observe(move |bytes| {
        let state = hub.state();
        let (limit, mut seen) = (limit(&state), seen.lock());
        seen.percent = seen.percent.max(100 * bytes / limit);
        if bytes > limit {
            let text = || format!("{bytes} bytes at {} where {limit} are allowed", state.revision);
            seen.worst.get_or_insert_with(text);
        }
    });
    bench
}

fn one_store(seed: u64) -> u64 {
    let (mut dice, seen) = (Dice(seed), Arc::default());
    let mut disk = SimDisk::default();
    disk.set(Faults { sync_takes: Some(Duration::from_micros(dice.roll(3) * 50)), ..Faults::default() });
    let mut bench = open(&disk, &seen);
    let mut mood = 0;
    for step in 0..STEPS {
        if step % 15 == 0 {
            mood = dice.roll(5);
        }
        let writes = (0..=dice.roll(12)).map(|_| some_write(&bench.hub.state(), mood, &mut dice)).collect();
        for answer in bench.write(writes) {
            assert!(matches!(answer, Ok(_) | Err(WriteError::Conflict { .. })), "seed {seed}: {answer:?}");
        }
        match dice.roll(8) {
            0 => bench.keep_house(),
            1 => {
                let (done, _) = oneshot::channel();
                bench.sequencer.chore(Chore::Compact(Revision(bench.hub.state().revision.0), done));
            }
            2 => {
                let (done, _) = oneshot::channel();
                bench.sequencer.chore(Chore::Rewrite(done));
            }
            _ => bench.keep_house_meanwhile(),
        }
        let now = bench.hub.state();
        assert!(disk.bytes() <= limit(&now), "seed {seed}, step {step}: {} of {}", disk.bytes(), limit(&now));
        assert_eq!(seen.lock().worst, None, "seed {seed}, step {step}");
        if dice.roll(40) == 0 {
            let before = bench.hub.state().keys.clone();
            let (is_clean, next) = match dice.roll(3) {
                0 => (true, disk.clone()),
                1 => (false, disk.after_kill()),
                _ => (false, disk.after_power_cut(|sides| dice.roll(sides))),
            };
            // Whatever is running ends with the store.
            bench.sequencer.close();
            drop(bench);
            disk = next;
            bench = open(&disk, &seen);
            assert!(!is_clean || bench.hub.state().keys == before, "seed {seed}, step {step}");
        }
    }
    seen.lock().percent
}

/// What does not get shorter by packing.
fn noise(bytes: u64, dice: &mut Dice) -> Vec<u8> {
    (0..bytes).map(|_| dice.roll(256) as u8).collect()
}

/// In each mood more of one kind: growing, overwriting, deleting all there is in large steps.
fn some_write(state: &State, mood: u64, dice: &mut Dice) -> Write {
    let number = |dice: &mut Dice| format!("{:04}", dice.roll(KEYS)).into_bytes();
    let kind = if dice.roll(4) == 0 { dice.roll(5) } else { mood };
    let write = match kind {
        // Many small ones, or a few as large as may be.
        0 | 1 => {
            let count = 1 + dice.roll(8);
            let bytes = dice.roll(TRANSACTION / count / 2) as usize;
            let first = dice.roll(KEYS);
            let put = |n: u64| Op::Put {
                key: format!("{:04}", (first + n) % KEYS).into_bytes().into(),
                value: noise(bytes as u64, dice).into(),
            };
            Write::transaction((0..count).map(put).collect())
        }
        2 => {
            // The same few keys over and over.
            let key = format!("{:04}", dice.roll(3)).into_bytes();
            Write::put(key, noise(dice.roll(2000), dice))
        }
        _ => {
            let start = number(dice);
            let (mut bytes, mut ops) = (0, Vec::new());
            for (key, kv) in state.keys.range(crate::Key::from(&start[..])..).take(40) {
                bytes += key.len() as u64 + kv.value.len() as u64;
                if bytes > TRANSACTION {
                    break;
                }
                ops.push(Op::Delete { key: key.clone(), expected: kv.mod_revision });
            }
            match ops.is_empty() {
                true => Write::put(start, noise(dice.roll(TRANSACTION / 2), dice)),
                false => Write::transaction(ops),
            }
        }
    };
    if dice.roll(3) == 0 { write.relaxed() } else { write }
}
