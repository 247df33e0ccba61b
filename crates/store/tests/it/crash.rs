//! A process that writes as fast as it can and is killed, again and again.
//!
//! The test runs itself as the child. The child says on its standard output what was acknowledged;
//! after each kill the parent opens the store and checks that nothing of it is missing. Each key
//! has one writer that does one thing after the other, so the store must hold its last
//! acknowledged step, or the one after.
//!
//! `STORE_CRASH_KILLS` sets the number of kills, `STORE_CRASH_SEED` the seed, `STORE_CRASH_PARENT`
//! a folder on the disk to use instead of memory.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use store::{Op, Revision, Store, StoreConfig, Write};
use testkit::Dice;

use crate::ground;

fn folder() -> tempfile::TempDir {
    match std::env::var_os("STORE_CRASH_PARENT") {
        Some(parent) => tempfile::tempdir_in(parent).unwrap(),
        None => ground::folder(),
    }
}

const DIR: &str = "STORE_CRASH_DIR";
const WRITERS: u64 = 6;
const DEFAULT_KILLS: u64 = 300;
/// Every so many steps a writer deletes its key.
const DELETE_EVERY: u64 = 7;

fn config(dir: &Path) -> StoreConfig {
    StoreConfig {
        segment_bytes: 32 << 10,
        history_bytes: 64 << 10,
        checkpoint_bytes: 64 << 10,
        relaxed_delay: Duration::from_millis(50),
        gather_within: Duration::from_secs(1),
        ..StoreConfig::new(dir)
    }
}

/// The child: writes until it is killed. Does nothing when it is run as a test.
#[test]
fn writer() {
    let Ok(dir) = std::env::var(DIR) else { return };
    // The test harness has begun a line.
    println!();
    let store = Store::open(config(Path::new(&dir))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let writers = (0..WRITERS).map(|number| write_for_ever(&store, number));
        futures::future::join_all(writers).await;
    });
}

async fn write_for_ever(store: &Store, writer: u64) {
    let (key, twin) = (format!("w/{writer}"), format!("w/{writer}/twin"));
    let at = |key: &str| store.snapshot().get(key.as_bytes()).map(|kv| (kv.mod_revision, kv.value.clone()));
    let mut step = at(&format!("step/{writer}")).map_or(0, |(_, value)| step_of(&value));
    loop {
        step += 1;
        let value = format!("{step} {}", "x".repeat((step * 131 % 1500) as usize));
        // The step is kept beside the keys, for the time when they are deleted.
        let mut ops = vec![put(&format!("step/{writer}"), &value)];
        if step.is_multiple_of(DELETE_EVERY) {
            for key in [&key, &twin] {
                let expected = at(key).unwrap().0;
                ops.push(Op::Delete { key: key.as_bytes().into(), expected });
            }
        } else {
            ops.extend([put(&key, &value), put(&twin, &value)]);
        }
        let write = Write::transaction(ops);
        let relaxed = writer.is_multiple_of(3);
        let committed = store.commit(if relaxed { write.relaxed() } else { write }).await.unwrap();
        let line = format!("{} {writer} {step}\n", committed.revision);
        std::io::stdout().write_all(line.as_bytes()).unwrap();
        tokio::task::yield_now().await;
    }
}

fn put(key: &str, value: &str) -> Op {
    Op::Put { key: key.as_bytes().into(), value: value.to_owned().into() }
}

fn step_of(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn no_kill_loses_an_acknowledged_write() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let kills = number("STORE_CRASH_KILLS").unwrap_or(DEFAULT_KILLS);
    println!("{kills} kills");
    let mut dice = Dice::from_env("STORE_CRASH_SEED");

    let mut dir = folder();
    let mut acknowledged = HashMap::new();
    let mut newest = Revision(0);
    // Kills since the store was last checked: each may have left one more step unacknowledged.
    let mut unchecked = 0;
    for kill in 0..kills {
        if kill % 100 == 99 {
            // From the beginning: a young store has other corners than an old one.
            (dir, acknowledged, newest, unchecked) = (folder(), HashMap::new(), Revision(0), 0);
        }
        let seen = newest;
        unchecked += 1;
        run_and_kill(dir.path(), &mut dice, &mut acknowledged, &mut newest, unchecked);
        // Sometimes the next child has to recover by itself.
        if dice.roll(4) > 0 {
            let store = Store::open(config(dir.path())).unwrap();
            check(&store, &acknowledged, newest, unchecked);
            check_watch(&store, seen);
            newest = store.revision();
            for writer in 0..WRITERS {
                let step = store.snapshot().get(format!("step/{writer}").as_bytes()).map(|kv| step_of(&kv.value));
                step.and_then(|step| acknowledged.insert(writer, step));
            }
            unchecked = 0;
        }
    }
}

/// Runs a child, and kills it after a random number of writes or a random time.
fn run_and_kill(
    dir: &Path,
    dice: &mut Dice,
    acknowledged: &mut HashMap<u64, u64>,
    newest: &mut Revision,
    unchecked: u64,
) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::writer", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    if dice.roll(8) == 0 {
        std::thread::sleep(Duration::from_micros(dice.roll(30_000)));
    } else {
        let wanted = dice.roll(80);
        while (lines.len() as u64) < wanted {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "the child ended by itself");
            lines.push(line);
        }
        std::thread::sleep(Duration::from_micros(dice.roll(1500)));
    }
    child.kill().unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    child.wait().unwrap();
    lines.push(rest);
    let before_them = *newest;
    for line in lines.concat().lines() {
        let words: Vec<_> = line.split(' ').collect();
        // The test harness talks too.
        let [Ok(revision), Ok(writer), Ok(step)] = words.iter().map(|word| word.parse()).collect::<Vec<_>>()[..] else {
            continue;
        };
        let before = acknowledged.insert(writer, step);
        let before = before.unwrap_or(0);
        assert!((before + 1..=before + unchecked).contains(&step), "step {step} after {before}");
        // Writers tell in any order, but nothing that was there before they began.
        assert!(Revision(revision) > before_them, "revision {revision} after {before_them}");
        *newest = Revision(revision).max(*newest);
    }
}

fn check(store: &Store, acknowledged: &HashMap<u64, u64>, newest: Revision, unchecked: u64) {
    assert!(store.revision() >= newest, "the revision went back from {newest} to {}", store.revision());
    let snapshot = store.snapshot();
    for writer in 0..WRITERS {
        let expected = acknowledged.get(&writer).copied().unwrap_or(0);
        let step = snapshot.get(format!("step/{writer}").as_bytes()).map_or(0, |kv| step_of(&kv.value));
        assert!(
            (expected..=expected + unchecked).contains(&step),
            "writer {writer}: acknowledged {expected}, found {step}"
        );
        for key in [format!("w/{writer}"), format!("w/{writer}/twin")] {
            let found = snapshot.get(key.as_bytes()).map(|kv| step_of(&kv.value));
            let whole = (!step.is_multiple_of(DELETE_EVERY)).then_some(step);
            assert_eq!(found, whole, "{key} is not from step {step}");
        }
    }
}

/// What happened since is still to be seen, without gap or duplicate: each transaction once.
fn check_watch(store: &Store, after: Revision) {
    let after = after.max(store.health().floor);
    let found = store.recovery().found;
    let Ok(mut watch) = store.watch(b"step/", after) else { return };
    let mut last = after;
    while last < found {
        let Some(Ok(events)) = futures::FutureExt::now_or_never(watch.next()) else { break };
        for event in events {
            let skipped = event.revision.0 > last.0 + 5000;
            assert!(event.revision == last.next() || skipped, "{} after {last}", event.revision);
            last = event.revision;
        }
    }
    let quiet = found.0 - last.0;
    assert!(quiet == 0 || quiet >= 5000, "the watch ends at {last}, the log at {found}");
}
