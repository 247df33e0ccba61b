//! The writing end of the log.
//!
//! Records are staged in memory with the offset they will have, flushed with one write, and synced
//! with one `fdatasync`. What was staged and could not be flushed is as if it had never been.

use std::{io, sync::Arc};

use super::{
    disk::{Disk, DiskFile},
    frame,
    record::{self, Kind},
    segment::{self, HEADER, Header},
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
    staged: Vec<u8>,
    /// All files, oldest first; the last one is being written.
    segments: Vec<Segment>,
    segment_bytes: u64,
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
        salt: u64,
        segments: Vec<Segment>,
        segment_bytes: u64,
    ) -> Log {
        let written = segments.last().map_or(HEADER, |segment| segment.bytes);
        Log { disk, file, salt, written, synced: written, staged: Vec::new(), segments, segment_bytes, seal: None }
    }

    /// A log that continues after `previous` with a new file.
    pub(crate) fn begin(
        disk: Arc<dyn Disk>,
        previous: Revision,
        mut segments: Vec<Segment>,
        segment_bytes: u64,
    ) -> io::Result<Log> {
        let (file, salt) = begin_file(&*disk, previous)?;
        segments.push(Segment { previous, bytes: HEADER });
        Ok(Log::resume(disk, file, salt, segments, segment_bytes))
    }

    /// From here on, values are sealed.
    pub(crate) fn seal_with(mut self, seal: Option<Arc<dyn Seal>>) -> Log {
        self.seal = seal;
        self
    }

    pub(crate) fn stage<'a>(&mut self, kind: Kind, revision: Revision, events: impl IntoIterator<Item = &'a Event>) {
        let offset = self.written + self.staged.len() as u64;
        let (synced, seal) = (self.synced, self.seal.clone());
        frame::seal(&mut self.staged, self.salt, offset, |out| {
            record::encode(out, kind, synced, revision, events, seal.as_deref());
        });
    }

    pub(crate) fn staged_bytes(&self) -> usize {
        self.staged.len()
    }

    /// Hands the staged records to the kernel: they survive the process from here on.
    pub(crate) fn flush(&mut self) -> Result<(), LogError> {
        /// A buffer that grew beyond this for a large batch is given back.
        const KEEP_BYTES: usize = 1 << 20;
        let result = self.file.write_at(&self.staged, self.written);
        let count = self.staged.len() as u64;
        self.staged.clear();
        self.staged.shrink_to(KEEP_BYTES);
        if let Err(error) = result {
            // Part of it may be there, and must not come back after a power cut.
            self.file.truncate(self.written).map_err(LogError::Poisoned)?;
            self.file.sync().map_err(LogError::Poisoned)?;
            self.synced = self.written;
            return Err(refusal(error));
        }
        failpoints::reach("log.written");
        self.written += count;
        if let Some(segment) = self.segments.last_mut() {
            segment.bytes = self.written;
        }
        Ok(())
    }

    /// Makes everything flushed durable. A failure is final: the kernel may have dropped the pages
    /// and would report success the next time.
    pub(crate) fn sync(&mut self) -> Result<(), LogError> {
        if self.synced < self.written {
            self.file.sync().map_err(LogError::Poisoned)?;
            self.synced = self.written;
            failpoints::reach("log.synced");
        }
        Ok(())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.written >= self.segment_bytes
    }

    /// Continues in a new file, after `previous`. Nothing may be staged.
    pub(crate) fn rotate(&mut self, previous: Revision) -> Result<(), LogError> {
        debug_assert!(self.staged.is_empty(), "staged records are bound to their file");
        self.sync()?;
        if self.begins_at(previous) {
            // Nothing but marks so far; the name of the next file would be that of this one.
            return Ok(());
        }
        match begin_file(&*self.disk, previous) {
            Ok((file, salt)) => {
                (self.file, self.salt, self.written, self.synced) = (file, salt, HEADER, HEADER);
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

fn begin_file(disk: &dyn Disk, previous: Revision) -> io::Result<(Box<dyn DiskFile>, u64)> {
    let salt = frame::fresh_salt();
    let mut file = disk.create(&segment::name(previous))?;
    failpoints::reach("log.file-created");
    file.write_at(&Header { salt, previous }.encode(), 0)?;
    file.sync()?;
    failpoints::reach("log.file-begun");
    disk.sync_dir()?;
    Ok((file, salt))
}

fn refusal(error: io::Error) -> LogError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::NoSpace,
        _ => LogError::Poisoned(error),
    }
}
