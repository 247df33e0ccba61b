//! From what is on disk to the state, and to a log that can be appended to.
//!
//! The newest whole checkpoint, then every record after it, in order. What does not check is judged
//! by where it is:
//!
//! - in a file that is not the last, it is damage: a file is on disk to its end before the next begins;
//! - in the last file, it is damage if a later record says that the place was synced already;
//! - otherwise it is a torn tail: nothing from there on was acknowledged as durable. It is cut, and
//!   reported.
//!
//! What the [`tail`] has after that, if the process was killed, becomes part of the log.
//!
//! Damage to the very last synced records of a store that was not closed properly cannot be told
//! from a torn tail.

use std::{io, sync::Arc};

use super::{
    checkpoint::{self, BadCheckpoint},
    disk::{Disk, DiskFile},
    frame::{self, FRAME_HEAD},
    log::{Log, LogError, Segment},
    record::{self, Mark, Record},
    segment::{self, BadHeader, HEADER, Header},
    sequencer::MAX_UNSYNCED,
    tail,
};
use crate::{
    config::StoreConfig,
    failpoints::{self, Bug},
    open_error::{Damage, OpenError},
    revision::Revision,
    seal::{Seal, Unsealable},
    state::{Keys, State},
};

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The revision of the checkpoint it began with.
    pub checkpoint: Option<Revision>,
    /// Records read from the log.
    pub records: u64,
    /// Whether the store was closed properly before (a new one counts as such).
    pub clean: bool,
    /// A torn tail that was cut off.
    pub cut: Option<Cut>,
    /// The newest revision found on disk.
    pub found: Revision,
    /// The newest transaction among it. What was seen after it, before the store died, is lost: relaxed writes, by
    /// a power cut.
    pub kept: Revision,
    /// The revision the store goes on from; greater than `found` after an unclean stop.
    pub revision: Revision,
}

/// The end of the log that was not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub file: std::path::PathBuf,
    pub offset: u64,
    pub bytes: u64,
}

mod replayed;

use replayed::{Bad, Replayed};

pub(crate) struct Recovered {
    pub(crate) state: State,
    pub(crate) log: Log,
    pub(crate) disk: Arc<dyn Disk>,
    /// The checkpoint on disk, and its size.
    pub(crate) checkpoint: Option<(Revision, u64)>,
    pub(crate) report: Recovery,
}

pub(crate) fn recover(disk: Arc<dyn Disk>, config: &StoreConfig) -> Result<Recovered, OpenError> {
    // A file that was begun just before the process died may have a name that only memory knows.
    disk.sync_dir().map_err(|source| failed(&*disk, "sync", "", source))?;
    let io = |source| failed(&*disk, "list", "", source);
    let mut names: Vec<String> = disk.list().map_err(io)?.into_iter().map(|(name, _)| name).collect();
    names.sort();
    failpoints::reach("recovery.listed");
    for name in names.iter().filter(|name| checkpoint::is_temporary(name)) {
        disk.remove(name).map_err(|source| failed(&*disk, "remove", name, source))?;
    }
    let mut segments: Vec<Revision> = names.iter().filter_map(|name| segment::parse_name(name)).collect();
    let checkpoints: Vec<Revision> = names.iter().filter_map(|name| checkpoint::parse_name(name)).collect();
    let seal = config.seal.as_deref();
    let (keys, checkpoint) = newest_checkpoint(&*disk, &checkpoints, segments.first().copied(), seal)?;
    let start = checkpoint.map_or(Revision::FIRST, |(revision, _)| revision);
    remove_leftovers(&*disk, start, checkpoint.is_some(), &checkpoints, &mut segments)?;

    let replay = Replay {
        replayed: Replayed::new(State::at(start, keys), segments.first().copied().unwrap_or(start), config),
        report: Recovery { checkpoint: checkpoint.map(|(revision, _)| revision), kept: start, ..Recovery::default() },
        config,
        disk: &disk,
    };
    let fresh = segments.is_empty();
    if (fresh && checkpoint.is_some()) || segments.first().is_some_and(|first| *first > start) {
        let path = disk.path(&segment::name(start));
        let damage = Damage::Missing(start.next());
        return Err(OpenError::Corrupt { path, offset: 0, damage, last_good: start });
    }
    let (mut state, mut log, mut report) = replay.run(&segments)?;
    report.clean |= fresh;
    report.found = state.revision;
    if !report.clean {
        skip(&*disk, &mut state, &mut log)?;
    }
    report.revision = state.revision;
    // What was in it is on disk.
    if names.iter().any(|name| name == tail::NAME) {
        failpoints::reach("recovery.gathered");
        disk.remove(tail::NAME).map_err(|source| failed(&*disk, "remove", tail::NAME, source))?;
    }
    log.go_on(state.revision, config.seal.clone(), tail::capacity(config.slack_bytes));
    announce(&report);
    Ok(Recovered { state, log, disk, checkpoint, report })
}

fn announce(report: &Recovery) {
    if let Some(cut) = &report.cut {
        tracing::warn!(
            file = %cut.file.display(), offset = cut.offset, bytes = cut.bytes, revision = report.found.0,
            "the log ended in the middle of a write, which was never acknowledged; it was cut off"
        );
    }
    tracing::info!(
        revision = report.revision.0,
        found = report.found.0,
        records = report.records,
        clean = report.clean,
        "store opened"
    );
}

/// After an unclean stop, relaxed writes may have been seen and lost. Their numbers are never given
/// out again.
fn skip(disk: &dyn Disk, state: &mut State, log: &mut Log) -> Result<(), OpenError> {
    if failpoints::has(Bug::RevisionDecreasing) {
        return Ok(());
    }
    let revision = Revision(state.revision.0 + MAX_UNSYNCED);
    log.mark(Mark::Skip, revision).map_err(|error| unwritten(disk, error))?;
    state.push(revision, Arc::new([]));
    failpoints::reach("recovery.skipped");
    Ok(())
}

fn unwritten(disk: &dyn Disk, error: LogError) -> OpenError {
    let source = match error {
        LogError::NoSpace => io::ErrorKind::StorageFull.into(),
        LogError::Poisoned(source) => source,
    };
    failed(disk, "write to the log in", "", source)
}

/// The newest checkpoint that is whole. None at all is fine only if the log is there from the start.
fn newest_checkpoint(
    disk: &dyn Disk,
    checkpoints: &[Revision],
    first_segment: Option<Revision>,
    seal: Option<&dyn Seal>,
) -> Result<(Keys, Option<(Revision, u64)>), OpenError> {
    let mut damage = None;
    for &revision in checkpoints.iter().rev() {
        let name = checkpoint::name(revision);
        match checkpoint::read(disk, revision, seal) {
            Ok((keys, bytes)) => return Ok((keys, Some((revision, bytes)))),
            Err(BadCheckpoint::Io(source)) => return Err(failed(disk, "read", &name, source)),
            Err(BadCheckpoint::Format(found)) => {
                return Err(OpenError::Format { path: disk.path(&name), found, known: checkpoint::FORMAT });
            }
            Err(BadCheckpoint::Sealed(key, why)) => return Err(sealed(disk.path(&name), &key, why)),
            Err(BadCheckpoint::Damaged(offset)) => {
                tracing::error!(file = name, offset, "a checkpoint is damaged; trying the one before");
                damage.get_or_insert(OpenError::Corrupt {
                    path: disk.path(&name),
                    offset,
                    damage: Damage::Checkpoint,
                    last_good: revision,
                });
            }
        }
    }
    match damage {
        Some(damage) if first_segment != Some(Revision::FIRST) => Err(damage),
        _ => Ok((Keys::new(), None)),
    }
}

/// Removes what a checkpoint had replaced when the process died.
fn remove_leftovers(
    disk: &dyn Disk,
    start: Revision,
    has_checkpoint: bool,
    checkpoints: &[Revision],
    segments: &mut Vec<Revision>,
) -> Result<(), OpenError> {
    if !has_checkpoint {
        return Ok(());
    }
    let remove = |name: String| disk.remove(&name).map_err(|source| failed(disk, "remove", &name, source));
    while segments.len() > 1 && segments[1] <= start {
        remove(segment::name(segments.remove(0)))?;
    }
    checkpoints.iter().filter(|other| **other < start).try_for_each(|other| remove(checkpoint::name(*other)))
}

/// A file of the log that was read to its (good) end.
struct Whole {
    file: Box<dyn DiskFile>,
    header: Header,
    bytes: u64,
}

struct Replay<'a> {
    replayed: Replayed<'a>,
    report: Recovery,
    config: &'a StoreConfig,
    disk: &'a Arc<dyn Disk>,
}

impl Replay<'_> {
    fn run(mut self, names: &[Revision]) -> Result<(State, Log, Recovery), OpenError> {
        let mut segments = Vec::new();
        let mut end = None;
        for (index, &previous) in names.iter().enumerate() {
            let is_last = index + 1 == names.len();
            let Some(Whole { file, header, bytes }) = self.segment(previous, is_last)? else { continue };
            segments.push(Segment { previous, bytes });
            end = Some((file, header));
        }
        let (disk, limit) = (self.disk.clone(), self.config.segment_bytes);
        let mut log = match end {
            Some((file, header)) => Log::resume(disk, file, &header, segments, limit),
            None => Log::begin(disk, self.replayed.state.revision, segments, limit)
                .map_err(|source| failed(&**self.disk, "begin a log in", "", source))?,
        };
        self.tail(&mut log)?;
        let Replayed { state, kept, .. } = self.replayed;
        self.report.kept = self.report.kept.max(kept);
        Ok((state, log, self.report))
    }

    /// What the process that died had gathered becomes part of the log.
    fn tail(&mut self, log: &mut Log) -> Result<(), OpenError> {
        let payloads = tail::read(&**self.disk).map_err(|source| failed(&**self.disk, "read", tail::NAME, source))?;
        let mut offset = HEADER;
        for payload in payloads {
            let Some(Record::Batch(batch)) = record::decode(&payload) else { break };
            let is_left = batch.last() <= self.replayed.last;
            if !is_left && batch.first != self.replayed.last.next() {
                break;
            }
            if !is_left {
                self.replayed.batch(&batch).map_err(|bad| self.bad(tail::NAME, offset, bad))?;
                log.append_payload(&payload).map_err(|error| unwritten(&**self.disk, error))?;
                self.report.records += batch.transactions;
                self.report.clean = false;
            }
            offset += (FRAME_HEAD + payload.len()) as u64;
        }
        Ok(())
    }

    /// Reads one file; `None` if it is the last one and nothing of it ever counted.
    fn segment(&mut self, previous: Revision, is_last: bool) -> Result<Option<Whole>, OpenError> {
        let name = segment::name(previous);
        let (mut file, bytes) =
            self.read(&name, is_last).map_err(|source| failed(&**self.disk, "read", &name, source))?;
        let header = match Header::decode(&bytes) {
            Ok(header) if header.previous == previous && previous == self.replayed.last => header,
            Err(BadHeader::Format(found)) => {
                return Err(OpenError::Format { path: self.disk.path(&name), found, known: segment::FORMAT });
            }
            // Its header was synced before its first record, so without a record it never counted.
            _ if is_last && bytes.len() as u64 <= HEADER => {
                self.disk.remove(&name).map_err(|source| failed(&**self.disk, "remove", &name, source))?;
                return Ok(None);
            }
            Ok(_) => return Err(self.corrupt(&name, 0, Damage::Missing(self.replayed.last.next()))),
            Err(BadHeader::Damaged) => return Err(self.corrupt(&name, 0, Damage::Header)),
        };
        let end = self.records(&name, &bytes, header.salt)?;
        let length = bytes.len() as u64;
        if end < length {
            if !is_last || was_synced(&bytes, header.salt, end) {
                return Err(self.corrupt(&name, end, Damage::Checksum));
            }
            let cut = file.truncate(end).and_then(|()| file.sync());
            cut.map_err(|source| failed(&**self.disk, "cut the torn end of", &name, source))?;
            failpoints::reach("recovery.cut");
            self.report.clean = false;
            self.report.cut = Some(Cut { file: self.disk.path(&name), offset: end, bytes: length - end });
        }
        Ok(Some(Whole { file, header, bytes: end }))
    }

    /// The last file may not be on disk to its end: it is made so before anything in it counts.
    fn read(&self, name: &str, is_last: bool) -> io::Result<(Box<dyn DiskFile>, Vec<u8>)> {
        let mut file = self.disk.open(name)?;
        if is_last {
            file.sync()?;
            file.forget_cache()?;
        }
        let length = self.disk.list()?.into_iter().find(|(other, _)| other == name).map_or(0, |(_, len)| len);
        let mut bytes = vec![0; length as usize];
        let count = file.read_at(&mut bytes, 0)?;
        bytes.truncate(count);
        Ok((file, bytes))
    }

    /// Replays records up to the first that does not check; returns its offset.
    fn records(&mut self, name: &str, bytes: &[u8], salt: u64) -> Result<u64, OpenError> {
        let mut offset = HEADER;
        while let Some(payload) = frame::unseal(&bytes[offset as usize..], salt, offset) {
            let record = record::decode(payload).ok_or(Bad::Record);
            record.and_then(|record| self.record(record)).map_err(|bad| self.bad(name, offset, bad))?;
            offset += (FRAME_HEAD + payload.len()) as u64;
        }
        Ok(offset)
    }

    fn record(&mut self, record: Record) -> Result<(), Bad> {
        self.report.clean = matches!(record, Record::Mark(Mark::Closed, _));
        self.report.records += match &record {
            Record::Batch(batch) => batch.transactions,
            _ => 1,
        };
        match record {
            Record::Transaction(revision, ops) => self.replayed.transaction(revision, ops),
            Record::Batch(batch) => self.replayed.batch(&batch),
            Record::Mark(mark, revision) => self.replayed.mark(mark, revision),
        }
    }

    fn bad(&self, name: &str, offset: u64, bad: Bad) -> OpenError {
        match bad {
            Bad::Record => self.corrupt(name, offset, Damage::Record),
            Bad::Sequence => self.corrupt(name, offset, Damage::Sequence),
            Bad::Base => self.corrupt(name, offset, Damage::Base),
            Bad::Sealed(key, why) => sealed(self.disk.path(name), &key, why),
        }
    }

    fn corrupt(&self, name: &str, offset: u64, damage: Damage) -> OpenError {
        OpenError::Corrupt { path: self.disk.path(name), offset, damage, last_good: self.replayed.last }
    }
}

/// Whether a record after `end` says that `end` had been synced before it was written.
fn was_synced(bytes: &[u8], salt: u64, end: u64) -> bool {
    (end as usize + 1..bytes.len()).filter(|at| record::is_plausible(&bytes[*at..])).any(|at| {
        frame::unseal(&bytes[at..], salt, at as u64).and_then(record::synced).is_some_and(|synced| synced > end)
    })
}

fn sealed(path: std::path::PathBuf, key: &[u8], why: Unsealable) -> OpenError {
    OpenError::Sealed { path, key: String::from_utf8_lossy(key).into_owned(), why }
}

fn failed(disk: &dyn Disk, action: &'static str, name: &str, source: io::Error) -> OpenError {
    OpenError::Io { action, path: disk.path(name), source }
}
