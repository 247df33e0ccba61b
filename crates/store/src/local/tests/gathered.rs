//! Relaxed writes that are gathered: in the tail until the log has them, as changes of what was before.

use super::*;
use crate::{local::disk::Disk, revision::Revision};

/// Gathers for as long as it may.
fn patient() -> StoreConfig {
    StoreConfig { relaxed_delay: Duration::from_secs(3600), segment_bytes: 1 << 20, history_bytes: 1 << 20, ..small() }
}

fn lease(node: u64, time: u64, revision: Revision) -> String {
    let fixed = "a lease that has a lot to say about itself, most of which never changes; ".repeat(4);
    format!(
        r#"{{"name":"node-{node}","resourceVersion":"{revision}","about":"{fixed}","renewTime":"10:00:{time:02}.{:06}Z"}}"#,
        time * 7919 % 1_000_000
    )
}

fn renewal(node: u64, time: u64) -> Write {
    let value = crate::Value::built(move |revision| lease(node, time, revision).into());
    Write::put(format!("leases/{node}").as_bytes(), value).relaxed()
}

fn renew(bench: &mut Bench, nodes: u64, times: std::ops::Range<u64>) {
    for time in times {
        for node in 0..nodes {
            bench.write(vec![renewal(node, time)]).remove(0).unwrap();
        }
    }
}

fn bytes_of(bench: &Bench, prefix: &str) -> u64 {
    let files = bench.disk.list().unwrap().into_iter();
    files.filter(|(name, _)| name.starts_with(prefix)).map(|(_, bytes)| bytes).sum()
}

#[test]
fn a_death_of_the_process_loses_nothing_that_was_gathered() {
    let mut bench = Bench::open_with(SimDisk::default(), patient()).unwrap();
    renew(&mut bench, 5, 0..20);
    let in_log = bytes_of(&bench, "log-");
    assert!(
        in_log < 1000 && bytes_of(&bench, "tail") > 2000,
        "what is gathered is in the tail, not in the log: {in_log}"
    );
    let state = bench.hub.state();
    let mut disk = bench.disk.after_kill();
    for _ in 0..2 {
        let again = Bench::open_with(disk, patient()).unwrap();
        assert_eq!(again.hub.state().keys, state.keys);
        assert_eq!(again.recovery.kept, state.revision);
        assert!(again.hub.state().window(state.revision).is_ok(), "a watch goes on where it was");
        assert_eq!(bytes_of(&again, "tail"), 0);
        disk = again.disk.after_kill();
    }
    // Closed, it is in the log and in nothing else.
    bench.sequencer.close();
    assert_eq!(bytes_of(&bench, "tail"), 0);
    let again = Bench::open_with(bench.disk.after_power_cut(rolls(1)), patient()).unwrap();
    assert_eq!(again.hub.state().keys, state.keys);
    assert!(again.recovery.clean);
}

#[test]
fn a_renewal_takes_a_few_bytes_of_the_log() {
    let mut bench = Bench::open_with(SimDisk::default(), patient()).unwrap();
    renew(&mut bench, 200, 0..1);
    bench.put("flush", "").unwrap();
    let before = bytes_of(&bench, "log-");
    renew(&mut bench, 200, 1..51);
    bench.put("flush", "").unwrap();
    let each = (bytes_of(&bench, "log-") - before) as f64 / 10_000.0;
    assert!(each < 10.0, "{each} bytes");
    let again = Bench::open_with(bench.disk.after_kill(), patient()).unwrap();
    assert_eq!(again.hub.state().keys, bench.hub.state().keys);
}

/// The process dies in the middle of a write to the log of what was gathered.
#[test]
fn a_torn_flush_takes_nothing_with_it() {
    for space in [0, 1, 30, 200] {
        let mut bench = Bench::open_with(SimDisk::default(), patient()).unwrap();
        renew(&mut bench, 5, 0..20);
        let state = bench.hub.state();
        // The write is cut short, and what would take it back no longer happens.
        bench.disk.set(Faults { space: Some(space), dies_after: Some(1), ..Faults::default() });
        assert!(bench.put("a", "1").is_err());
        let again = Bench::open_with(bench.disk.after_kill(), patient()).unwrap();
        assert_eq!(again.recovery.cut.is_some(), space > 0);
        assert_eq!(again.hub.state().keys, state.keys);
    }
}

#[test]
fn a_full_disk_refuses_what_is_new_and_keeps_what_was_gathered() {
    for space in [0, 10, 100] {
        let mut bench = Bench::open_with(SimDisk::default(), patient()).unwrap();
        renew(&mut bench, 5, 0..20);
        let state = bench.hub.state();
        bench.disk.set(Faults { space: Some(space), ..Faults::default() });
        assert!(matches!(bench.put("a", "1"), Err(WriteError::NoSpace)));
        assert!(matches!(bench.write(vec![renewal(9, 9), renewal(1, 9)])[0], Err(WriteError::NoSpace)));
        assert_eq!(bench.hub.state().keys, state.keys);
        assert_eq!(Bench::open_with(bench.disk.after_kill(), patient()).unwrap().hub.state().keys, state.keys);
        bench.disk.set(Faults::default());
        // The numbers of what was refused name other things now, in the tail too.
        renew(&mut bench, 3, 20..30);
        bench.put("a", "2").unwrap();
        renew(&mut bench, 4, 30..33);
        let state = bench.hub.state();
        assert_eq!(Bench::open_with(bench.disk.after_kill(), patient()).unwrap().hub.state().keys, state.keys);
    }
}

/// What is gathered straddles the floor, at which a checkpoint begins: the bases of its first changes are gone.
#[test]
fn a_checkpoint_may_begin_in_the_middle_of_what_is_gathered() {
    for back in 0..60 {
        let mut bench = Bench::open_with(SimDisk::default(), patient()).unwrap();
        renew(&mut bench, 7, 0..10);
        let middle = Revision(bench.hub.state().revision.0 - back);
        let (done, _) = oneshot::channel();
        bench.sequencer.chore(Chore::Compact(middle, done));
        bench.sequencer.keep_house();
        let state = bench.hub.state();
        assert_eq!(state.floor, middle);
        // Of the floor, while the log does not go so far yet.
        bench.checkpoint();
        renew(&mut bench, 7, 10..12);
        if back % 2 == 0 {
            bench.put("flush", "").unwrap();
        }
        let again = Bench::open_with(bench.disk.after_kill(), patient()).unwrap();
        assert_eq!(again.recovery.checkpoint, Some(middle));
        assert_eq!(again.hub.state().keys, bench.hub.state().keys);
        assert_eq!(again.hub.state().floor_keys, state.floor_keys);
    }
}

/// A transaction that makes a batch too large by itself is no reason to let go of anything.
#[test]
fn a_large_transaction_after_what_was_gathered_costs_no_history() {
    let mut bench = Bench::open_with(SimDisk::default(), patient()).unwrap();
    renew(&mut bench, 5, 0..20);
    let floor = bench.hub.state().floor;
    let put = |n: u64| crate::Op::Put { key: n.to_string().into_bytes().into(), value: vec![b'v'; 1 << 20].into() };
    bench.write(vec![Write::transaction((0..5).map(put).collect())]).remove(0).unwrap();
    assert_eq!(bench.hub.state().floor, floor);
}

/// A store that was closed, opened, and changed by a relaxed write that a power cut takes away: what was seen of it must
/// not be given out again, although the last word on disk is that the store was closed.
#[test]
fn what_was_seen_after_a_clean_start_is_not_forgotten() {
    let mut bench = Bench::open(SimDisk::default()).unwrap();
    bench.put("a", "1").unwrap();
    bench.sequencer.close();
    for seed in 0..40 {
        let mut again = Bench::open(bench.disk.after_kill()).unwrap();
        assert!(again.recovery.clean);
        let seen = again.write(vec![renewal(1, 1), renewal(2, 1)]).pop().unwrap().unwrap().revision;
        let third = Bench::open(again.disk.after_power_cut(rolls(seed))).unwrap();
        let state = third.hub.state();
        assert!(state.revision > seen, "seed {seed}: {seen} is given out again after {}", state.revision);
    }
}
