//! Where relaxed writes lie until there are enough of them for the log.
//!
//! ```text
//! tail
//! "KNARRLOG" │ format: u32 │ salt: u64 │ 0: u64 │ CRC-32C of these 28 bytes: u32
//! frames with batches, as the log has them but not packed; what is behind the last one is left from before
//! ```
//! A file of a few pages, written over from its beginning again and again, and never synced: it outlives the process
//! because the kernel has it, and it is not there for anything else. So the log can wait until it has a batch that
//! compresses well, and no death of the process loses a write that was seen.
//!
//! **Why what is found in it may be trusted.** A revision never names two things: one that was refused is never whole in
//! the tail, and after an unclean stop the numbers jump. So a frame that checks, and whose first revision is the one
//! after all that is in the log, says what happened then, even if its bytes are older than others; and one that is not
//! that is left from before. What was in the tail is in the log, on disk, before the store goes on.

use std::io;

use super::{
    disk::{Disk, DiskFile},
    frame,
    segment::{HEADER, Header},
};
use crate::{failpoints, revision::Revision};

pub(crate) const NAME: &str = "tail";
/// No more than this waits.
const MOST_BYTES: u64 = 64 << 10;
/// Nor more than this part of what may lie on disk beside the live data.
const SLACK_PARTS: u64 = 64;

pub(crate) struct Tail {
    /// Made when it is needed.
    file: Option<(Box<dyn DiskFile>, u64)>,
    end: u64,
    capacity: u64,
}

/// How large the file may get.
pub(crate) fn capacity(slack_bytes: u64) -> u64 {
    MOST_BYTES.min(slack_bytes / SLACK_PARTS)
}

impl Tail {
    pub(crate) fn new(capacity: u64) -> Tail {
        Tail { file: None, end: HEADER, capacity }
    }

    /// Hands one more frame to the kernel; false if it does not fit.
    pub(crate) fn append(&mut self, disk: &dyn Disk, payload: &[u8]) -> io::Result<bool> {
        let length = (frame::FRAME_HEAD + payload.len()) as u64;
        if self.end + length > self.capacity {
            return Ok(false);
        }
        if self.file.is_none() {
            self.file = Some(begin(disk)?);
        }
        let Some((file, salt)) = &mut self.file else { return Ok(false) };
        let mut bytes = Vec::with_capacity(length as usize);
        frame::seal(&mut bytes, *salt, self.end, |out| out.extend_from_slice(payload));
        file.write_at(&bytes, self.end)?;
        self.end += length;
        failpoints::reach("tail.written");
        Ok(true)
    }

    /// What it holds is in the log; the next frame is written over it.
    pub(crate) fn restart(&mut self) {
        self.end = HEADER;
    }

    /// What the file has at most by now.
    pub(crate) fn bytes(&self) -> u64 {
        if self.file.is_some() { self.capacity } else { 0 }
    }

    /// Nothing in it is needed any more.
    pub(crate) fn remove(&mut self, disk: &dyn Disk) -> io::Result<()> {
        match self.file.take() {
            Some(_) => disk.remove(NAME),
            None => Ok(()),
        }
    }
}

fn begin(disk: &dyn Disk) -> io::Result<(Box<dyn DiskFile>, u64)> {
    let salt = frame::fresh_salt();
    let mut file = disk.create(NAME)?;
    file.write_at(&Header::new(salt, Revision(0)).encode(), 0)?;
    Ok((file, salt))
}

/// The payloads of its frames, up to the first that does not check. Nothing if there is no tail.
pub(crate) fn read(disk: &dyn Disk) -> io::Result<Vec<Vec<u8>>> {
    let file = match disk.open(NAME) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let mut bytes = vec![0; MOST_BYTES as usize];
    let length = file.read_at(&mut bytes, 0)?;
    bytes.truncate(length);
    // After a power cut the header may not be there; then nothing in it was ever on disk.
    let Ok(Header { salt, .. }) = Header::decode(&bytes) else { return Ok(Vec::new()) };
    let (mut payloads, mut offset) = (Vec::new(), HEADER);
    while let Some(payload) = frame::unseal(&bytes[offset as usize..], salt, offset) {
        offset += (frame::FRAME_HEAD + payload.len()) as u64;
        payloads.push(payload.to_vec());
    }
    Ok(payloads)
}
