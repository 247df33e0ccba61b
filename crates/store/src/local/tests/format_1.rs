//! A log and a checkpoint as the first version wrote them: read, gone on with, and left behind.

use super::*;
use crate::{
    KeyValue, Revision,
    local::{
        checkpoint,
        disk::Disk,
        frame,
        record::{TRANSACTION, put_bytes, put_head},
        segment::{self, Header},
    },
};

const SALT: u64 = 77;

fn write(disk: &SimDisk, name: &str, bytes: &[u8]) {
    let mut file = disk.create(name).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync().unwrap();
    disk.sync_dir().unwrap();
}

fn frame(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let offset = out.len() as u64;
    frame::seal(out, SALT, offset, fill);
}

/// Revisions 11 to 13: two puts, one of them of a key that a checkpoint may have, then a delete.
fn log(previous: u64) -> Vec<u8> {
    let mut out = Header { format: 1, salt: SALT, previous: Revision(previous) }.encode();
    let put = |out: &mut Vec<u8>, key: &str, value: &str| {
        out.push(1);
        put_bytes(out, key.as_bytes());
        put_bytes(out, value.as_bytes());
    };
    for (number, (key, value)) in [("a", "old a"), ("b", "old b")].into_iter().enumerate() {
        frame(&mut out, |out| {
            put_head(out, TRANSACTION, 32, Revision(previous + 1 + number as u64));
            put(out, key, value);
        });
    }
    frame(&mut out, |out| {
        put_head(out, TRANSACTION, 32, Revision(previous + 3));
        out.push(2);
        put_bytes(out, b"a");
    });
    out
}

fn old_checkpoint(revision: u64) -> Vec<u8> {
    let mut out = b"KNARRCKP".to_vec();
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(&SALT.to_le_bytes());
    out.extend_from_slice(&revision.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    frame(&mut out, |out| {
        put_bytes(out, b"c");
        put_bytes(out, b"old c");
        [4u64, 9, 2].into_iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
    });
    frame(&mut out, |out| out.extend_from_slice(&1u64.to_le_bytes()));
    out
}

fn files(disk: &SimDisk) -> Vec<String> {
    disk.list().unwrap().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn an_old_log_is_read_and_the_next_write_begins_a_new_file() {
    let disk = SimDisk::default();
    write(&disk, &segment::name(Revision(10)), &log(10));
    write(&disk, &checkpoint::name(Revision(10)), &old_checkpoint(10));
    let mut bench = Bench::open(disk.clone()).unwrap();
    assert_eq!((bench.value("a"), bench.value("b").as_deref()), (None, Some("old b")));
    let state = bench.hub.state();
    let c: &KeyValue = &state.keys[&b"c"[..]];
    assert_eq!((&c.value[..], c.create_revision.0, c.mod_revision.0, c.version), (&b"old c"[..], 4, 9, 2));
    assert_eq!(bench.recovery.found, Revision(13));
    let lease = |n: u32| format!("{} {n}", "new b".repeat(30));
    for n in 0..9 {
        let write = Write::put(&b"b"[..], lease(n));
        bench.write(vec![if n > 3 { write.relaxed() } else { write }]).remove(0).unwrap();
    }
    let logs: Vec<_> = files(&disk).into_iter().filter(|name| name.starts_with("log-")).collect();
    assert_eq!(logs, [segment::name(Revision(10)), segment::name(bench.recovery.revision)]);
    for disk in [disk.after_kill(), disk] {
        let again = Bench::open(disk).unwrap();
        assert_eq!(again.value("b"), Some(lease(8)));
    }
}

#[test]
fn an_old_log_without_a_checkpoint_that_was_closed_is_clean() {
    let disk = SimDisk::default();
    let mut bytes = log(1);
    frame(&mut bytes, |out| put_head(out, 3, 32, Revision(4)));
    write(&disk, &segment::name(Revision(1)), &bytes);
    let mut bench = Bench::open(disk.clone()).unwrap();
    assert!(bench.recovery.clean);
    bench.sequencer.close();
    assert_eq!(files(&disk), [segment::name(Revision(1))]);
    let mut bench = Bench::open(disk.clone()).unwrap();
    assert_eq!(bench.put("b", "new b").unwrap().revision, Revision(5));
    assert_eq!(Bench::open(disk.after_kill()).unwrap().value("b").as_deref(), Some("new b"));
}
