//! The writing end of the log.
//!
//! Transactions are gathered in memory, flushed with one write, and synced with one `fdatasync`. What nobody has to see
//! on disk at once may be gathered for longer: it is kept in the [`tail`] meanwhile. What was added since it was last
//! flushed or kept, and could be neither, is as if it had never been.

use std::{io, sync::Arc};

use super::{
    batch::{Batch, Extent},
    disk::{Disk, DiskFile},
    frame,
    pack::Packer,
    record::{self, Mark},
    segment::{self, HEADER, Header},
    tail::Tail,
};
use crate::{event::Event, failpoints, revision::Revision, seal::Seal};

/// Why the log did not take a batch.
#[derive(Debug)]
pub(crate) enum LogError {
    /// Nothing of it was written; the log is as before.
    NoSpace,
    /// What is on disk is no longer known. Nothing may be appended any more.
    Poisoned(io::Error),
}

pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    file: Box<dyn DiskFile>,
    salt: u64,
    /// The bytes of the current file that were written, and of these, that are known to be on disk.
    written: u64,
    synced: u64,
    /// What the file does not have yet; of it, what is in the tail and was seen.
    gathered: Batch,
    kept: Extent,
    tail: Tail,
    /// Made when there is something to compress.
    packer: Option<Packer>,
    /// All files, oldest first; the last one is being written.
    segments: Vec<Segment>,
    segment_bytes: u64,
    /// Whether the file was begun by an older version.
    is_old: bool,
    seal: Option<Arc<dyn Seal>>,
}

/// A file of the log, with the revision before its first record.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) previous: Revision,
    pub(crate) bytes: u64,
}

impl Log {
    /// A log whose last file is this one, on disk up to its end.
    pub(crate) fn resume(
        disk: Arc<dyn Disk>,
        file: Box<dyn DiskFile>,
        header: &Header,
        segments: Vec<Segment>,
        segment_bytes: u64,
    ) -> Log {
        let written = segments.last().map_or(HEADER, |segment| segment.bytes);
        Log {
            disk,
            file,
            salt: header.salt,
            written,
            synced: written,
            gathered: Batch::new(header.previous),
            kept: Extent::default(),
            tail: Tail::new(0),
            packer: None,
            segments,
            segment_bytes,
            is_old: header.format < segment::FORMAT,
            seal: None,
        }
    }

    /// A log that continues after `previous` with a new file.
    pub(crate) fn begin(
        disk: Arc<dyn Disk>,
        previous: Revision,
        mut segments: Vec<Segment>,
        segment_bytes: u64,
    ) -> io::Result<Log> {
        let (file, header) = begin_file(&*disk, previous)?;
        segments.push(Segment { previous, bytes: HEADER });
        Ok(Log::resume(disk, file, &header, segments, segment_bytes))
    }

    /// Goes on after what was recovered. From here on values are sealed, and a tail of so many bytes is made if needed.
    pub(crate) fn go_on(&mut self, revision: Revision, seal: Option<Arc<dyn Seal>>, tail_bytes: u64) {
        self.gathered = Batch::new(revision);
        (self.seal, self.tail) = (seal, Tail::new(tail_bytes));
    }

    /// Adds a transaction to what is gathered.
    pub(crate) fn push<'a>(&mut self, revision: Revision, events: impl ExactSizeIterator<Item = &'a Event>) {
        self.gathered.push(revision, events, self.seal.as_deref());
    }

    /// The most bytes that what is gathered adds to the file.
    pub(crate) fn gathered_bytes(&self) -> usize {
        self.gathered.bytes()
    }

    /// Whether anything was added since it was last flushed or kept.
    pub(crate) fn has_new(&self) -> bool {
        self.gathered.extent() != self.kept
    }

    /// Whether there is something that only the tail has.
    pub(crate) fn has_kept(&self) -> bool {
        self.kept != Extent::default()
    }

    /// Hands what is gathered to the kernel: it survives the process from here on. It is the tail's, as long as that has
    /// room, and goes on being gathered.
    pub(crate) fn keep(&mut self) -> Result<(), LogError> {
        let mut payload = Vec::new();
        self.gathered.put_since(&mut payload, self.synced, self.kept, None);
        match self.tail.append(&*self.disk, &payload) {
            Ok(true) => {
                self.kept = self.gathered.extent();
                Ok(())
            }
            // The log may still take it.
            Ok(false) | Err(_) => self.flush(),
        }
    }

    /// Hands what is gathered to the kernel, as a part of the log.
    pub(crate) fn flush(&mut self) -> Result<(), LogError> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let is_packed = self.has_kept();
        let packer = is_packed.then(|| self.packer.get_or_insert_with(Packer::new));
        let (mut frame, synced) = (Vec::new(), self.synced);
        let (gathered, offset) = (&self.gathered, self.written);
        frame::seal(&mut frame, self.salt, offset, |out| gathered.put_since(out, synced, Extent::default(), packer));
        match self.append(&frame) {
            Ok(()) => {
                self.gathered.clear();
                self.kept = Extent::default();
                self.tail.restart();
                Ok(())
            }
            Err(error) => {
                self.gathered.undo(self.kept);
                Err(error)
            }
        }
    }

    /// What is recovered from the tail becomes part of the log again.
    pub(crate) fn append_payload(&mut self, payload: &[u8]) -> Result<(), LogError> {
        let mut frame = Vec::new();
        frame::seal(&mut frame, self.salt, self.written, |out| out.extend_from_slice(payload));
        self.append(&frame)
    }

    /// Flushes, and makes a mark at this revision, and all before it, durable.
    pub(crate) fn mark(&mut self, mark: Mark, revision: Revision) -> Result<(), LogError> {
        self.flush()?;
        let (mut frame, synced) = (Vec::new(), self.synced);
        frame::seal(&mut frame, self.salt, self.written, |out| record::put_head(out, mark as u8, synced, revision));
        self.append(&frame)?;
        self.sync()
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        if let Err(error) = self.file.write_at(bytes, self.written) {
            // Part of it may be there, and must not come back after a power cut.
            self.file.truncate(self.written).map_err(LogError::Poisoned)?;
            self.file.sync().map_err(LogError::Poisoned)?;
            self.synced = self.written;
            return Err(refusal(error));
        }
        failpoints::reach("log.written");
        self.written += bytes.len() as u64;
        if let Some(segment) = self.segments.last_mut() {
            segment.bytes = self.written;
        }
        Ok(())
    }

    /// Makes everything durable, what is gathered too. A failure is final, unless there is no space: the kernel may have
    /// dropped the pages and would report success the next time.
    pub(crate) fn sync(&mut self) -> Result<(), LogError> {
        self.flush()?;
        if self.synced < self.written {
            self.file.sync().map_err(LogError::Poisoned)?;
            self.synced = self.written;
            failpoints::reach("log.synced");
        }
        Ok(())
    }

    /// Nothing but the log is needed any more.
    pub(crate) fn remove_tail(&mut self) -> io::Result<()> {
        debug_assert!(!self.has_kept(), "what is in the tail is in the log first");
        self.tail.remove(&*self.disk)
    }

    pub(crate) fn tail_bytes(&self) -> u64 {
        self.tail.bytes()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.written >= self.segment_bytes || self.is_old
    }

    /// Continues in a new file, after `previous`, up to which everything was pushed.
    pub(crate) fn rotate(&mut self, previous: Revision) -> Result<(), LogError> {
        self.sync()?;
        if self.begins_at(previous) {
            // Nothing but marks so far; the name of the next file would be that of this one.
            return Ok(());
        }
        match begin_file(&*self.disk, previous) {
            Ok((file, header)) => {
                (self.file, self.salt, self.written, self.synced) = (file, header.salt, HEADER, HEADER);
                self.is_old = false;
                self.segments.push(Segment { previous, bytes: HEADER });
                failpoints::reach("log.rotated");
                Ok(())
            }
            Err(error) => {
                // A file that is there but not used must not be taken for the end of the log, and must not come back
                // after a power cut: the one before it goes on, and would have to be whole.
                let removed = match self.disk.remove(&segment::name(previous)) {
                    Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(()),
                    removed => removed,
                };
                removed.and_then(|()| self.disk.sync_dir()).map_err(LogError::Poisoned)?;
                Err(refusal(error))
            }
        }
    }

    /// Whether the file being written holds nothing but marks, after this revision.
    pub(crate) fn begins_at(&self, revision: Revision) -> bool {
        self.segments.last().is_some_and(|last| last.previous == revision)
    }

    /// The files that hold nothing after `revision`.
    pub(crate) fn before(&self, revision: Revision) -> &[Segment] {
        let count = self.segments.windows(2).take_while(|pair| pair[1].previous <= revision).count();
        &self.segments[..count]
    }

    /// Forgets the first files, which were removed.
    pub(crate) fn forget(&mut self, count: usize) {
        self.segments.drain(..count);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

fn begin_file(disk: &dyn Disk, previous: Revision) -> io::Result<(Box<dyn DiskFile>, Header)> {
    let header = Header::new(frame::fresh_salt(), previous);
    let mut file = disk.create(&segment::name(previous))?;
    failpoints::reach("log.file-created");
    file.write_at(&header.encode(), 0)?;
    file.sync()?;
    failpoints::reach("log.file-begun");
    disk.sync_dir()?;
    Ok((file, header))
}

fn refusal(error: io::Error) -> LogError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::NoSpace,
        _ => LogError::Poisoned(error),
    }
}
