//! A checkpoint: all keys at one revision, in one file.
//!
//! ```text
//! checkpoint-<revision, 20 digits>
//! "KNARRCKP" │ format: u32 │ salt: u64 │ revision: u64 │ CRC-32C of these 28 bytes: u32
//! frames of entries, in the order of keys: 0 │ entries, or 1 │ length of the entries: u32 │ the same packed by zstd
//! a frame that is only: 2 │ number of entries: u64
//! entry: key length: u32 │ key │ value length: u32 │ value │ created: u64 │ modified: u64 │ version: u64
//! ```
//! Format 1 had frames without the first byte, and nothing packed.
//!
//! It is written under a temporary name, synced, and renamed, so a checkpoint under its own name is
//! whole. It is always of the floor of the history: replaying the log from it gives back the window.

use std::{borrow::Cow, io, sync::Arc};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    disk::{Disk, DiskFile},
    frame::{self, FRAME_HEAD},
    pace::Pace,
    pack::{Packer, unpack},
    record::{put_bytes, put_value, take, take_bytes, take_u32, take_u64},
};
use crate::{
    failpoints,
    key_value::{Key, KeyValue},
    revision::Revision,
    seal::{Seal, Unsealable},
    state::Keys,
};

pub(crate) const FORMAT: u32 = 2;
pub(crate) const MAGIC: &[u8; 8] = b"KNARRCKP";
const HEADER: usize = 32;
const PREFIX: &str = "checkpoint-";
const TEMPORARY: &str = ".tmp";
/// What a frame holds.
const ENTRIES: u8 = 0;
const PACKED: u8 = 1;
const END: u8 = 2;
/// A frame is closed when it is at least this long.
const FRAME_BYTES: usize = 64 << 10;

pub(crate) fn name(revision: Revision) -> String {
    format!("{PREFIX}{:020}", revision.0)
}

pub(crate) fn parse_name(name: &str) -> Option<Revision> {
    name.strip_prefix(PREFIX)?.parse().ok().map(Revision)
}

/// Whether the file is what an interrupted checkpoint leaves behind.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(TEMPORARY)
}

/// Whether the file is a checkpoint, finished or not.
pub(crate) fn is_any(name: &str) -> bool {
    is_temporary(name) || parse_name(name).is_some()
}

/// Writes a checkpoint and makes it durable. Returns its size, or `None` if it was told to stop.
pub(crate) fn write(
    disk: &dyn Disk,
    revision: Revision,
    keys: &Keys,
    seal: Option<&dyn Seal>,
    pace: &Pace,
) -> io::Result<Option<u64>> {
    let (temporary, name) = (name(revision) + TEMPORARY, name(revision));
    let result = write_file(disk, &temporary, revision, keys, seal, pace);
    match result {
        Ok(Some(bytes)) => {
            failpoints::reach("checkpoint.written");
            disk.rename(&temporary, &name)?;
            failpoints::reach("checkpoint.renamed");
            disk.sync_dir()?;
            failpoints::reach("checkpoint.durable");
            Ok(Some(bytes))
        }
        other => {
            if let Err(error) = disk.remove(&temporary)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file = temporary, %error, "an unfinished checkpoint could not be removed");
            }
            other
        }
    }
}

fn write_file(
    disk: &dyn Disk,
    name: &str,
    revision: Revision,
    keys: &Keys,
    seal: Option<&dyn Seal>,
    pace: &Pace,
) -> io::Result<Option<u64>> {
    let mut writer = Writer { file: disk.create(name)?, offset: 0, unsynced: 0, since: Instant::now(), pace };
    let written = encode(&mut writer, revision, keys, seal, pace)?;
    writer.file.sync()?;
    Ok(written)
}

/// Writes the content of a checkpoint, and says how long it is; `None` if it was told to stop.
pub(crate) fn encode(
    out: &mut dyn io::Write,
    revision: Revision,
    keys: &Keys,
    seal: Option<&dyn Seal>,
    pace: &Pace,
) -> io::Result<Option<u64>> {
    let salt = frame::fresh_salt();
    let mut offset = HEADER as u64;
    out.write_all(&header(salt, revision))?;
    failpoints::reach("checkpoint.begun");
    let mut sealed = Vec::with_capacity(2 * FRAME_BYTES);
    let mut frame = |parts: [&[u8]; 3]| {
        sealed.clear();
        frame::seal(&mut sealed, salt, offset, |out| parts.iter().for_each(|part| out.extend_from_slice(part)));
        offset += sealed.len() as u64;
        out.write_all(&sealed).map(|()| offset)
    };
    let (mut entries, mut packer) = (Vec::with_capacity(2 * FRAME_BYTES), Packer::new());
    let mut left = keys.values().peekable();
    while let Some(kv) = left.next() {
        put_entry(&mut entries, kv, seal);
        if entries.len() < FRAME_BYTES && left.peek().is_some() {
            continue;
        }
        if pace.is_stopped() {
            return Ok(None);
        }
        match packer.pack(&entries) {
            Some(packed) => frame([&[PACKED], &(entries.len() as u32).to_le_bytes(), packed])?,
            None => frame([&[ENTRIES], &[], &entries])?,
        };
        entries.clear();
    }
    frame([&[END], &(keys.len() as u64).to_le_bytes(), &[]]).map(Some)
}

/// The file of a checkpoint that is being written.
struct Writer<'a> {
    file: Box<dyn DiskFile>,
    offset: u64,
    /// Of the piece that is being written: its bytes, and when it was begun.
    unsynced: u64,
    since: Instant,
    pace: &'a Pace,
}

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= self.pace.piece() {
            self.file.sync()?;
            self.pace.rest(self.since);
            (self.unsynced, self.since) = (0, Instant::now());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is wrong with a checkpoint.
#[derive(Debug)]
pub(crate) enum BadCheckpoint {
    Io(io::Error),
    Damaged(u64),
    Format(u32),
    Sealed(Key, Unsealable),
}

/// Reads a checkpoint back, and says how many bytes it has.
pub(crate) fn read(disk: &dyn Disk, revision: Revision, seal: Option<&dyn Seal>) -> Result<(Keys, u64), BadCheckpoint> {
    let file = disk.open(&name(revision)).map_err(BadCheckpoint::Io)?;
    let Decoded { revision: found, keys, bytes } = decode(&*file, seal)?;
    if found == revision { Ok((keys, bytes)) } else { Err(BadCheckpoint::Damaged(0)) }
}

/// What a checkpoint holds.
pub(crate) struct Decoded {
    pub(crate) revision: Revision,
    pub(crate) keys: Keys,
    pub(crate) bytes: u64,
}

/// Without a seal, values are given as they lie on disk.
pub(crate) fn decode(file: &dyn DiskFile, seal: Option<&dyn Seal>) -> Result<Decoded, BadCheckpoint> {
    let mut head = [0; HEADER];
    read_exact(file, &mut head, 0)?;
    let (format, salt, revision) = parse_header(&head)?;
    let mut keys = Keys::new();
    let mut offset = HEADER as u64;
    let mut buffer = Vec::new();
    loop {
        let damaged = BadCheckpoint::Damaged(offset);
        let mut head = [0; FRAME_HEAD];
        read_exact(file, &mut head, offset)?;
        let Some((length, _)) = frame::head(&head) else { return Err(damaged) };
        buffer.resize(FRAME_HEAD + length as usize, 0);
        read_exact(file, &mut buffer, offset)?;
        let Some(payload) = frame::unseal(&buffer, salt, offset) else { return Err(damaged) };
        offset += buffer.len() as u64;
        let content = if format == 1 { Content::of_format_1(payload) } else { Content::of(payload) };
        let entries = match content {
            Some(Content::Entries(entries)) => entries,
            Some(Content::End(count)) if count == keys.len() as u64 => {
                return Ok(Decoded { revision, keys, bytes: offset });
            }
            _ => return Err(damaged),
        };
        let mut rest = &entries[..];
        while !rest.is_empty() {
            let Some(mut kv) = take_entry(&mut rest) else { return Err(damaged) };
            if let Some(seal) = seal {
                kv.value = seal.open(&kv.key, kv.value).map_err(|why| BadCheckpoint::Sealed(kv.key.clone(), why))?;
            }
            keys.insert(kv.key.clone(), Arc::new(kv));
        }
    }
}

/// What a frame holds.
enum Content<'a> {
    Entries(Cow<'a, [u8]>),
    /// So many there were.
    End(u64),
}

impl Content<'_> {
    fn of(payload: &[u8]) -> Option<Content<'_>> {
        let (kind, mut rest) = payload.split_first()?;
        match *kind {
            ENTRIES => Some(Content::Entries(rest.into())),
            PACKED => {
                let length = take_u32(&mut rest)?;
                unpack(rest, length as usize).map(|entries| Content::Entries(entries.into()))
            }
            END => Some(Content::End(u64::from_le_bytes(rest.try_into().ok()?))),
            _ => None,
        }
    }

    fn of_format_1(payload: &[u8]) -> Option<Content<'_>> {
        match payload.try_into() {
            Ok(count) => Some(Content::End(u64::from_le_bytes(count))),
            Err(_) => Some(Content::Entries(payload.into())),
        }
    }
}

fn read_exact(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> Result<(), BadCheckpoint> {
    match file.read_at(buffer, offset) {
        Ok(count) if count == buffer.len() => Ok(()),
        Ok(_) => Err(BadCheckpoint::Damaged(offset)),
        Err(error) => Err(BadCheckpoint::Io(error)),
    }
}

fn header(salt: u64, revision: Revision) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(&salt.to_le_bytes());
    out.extend_from_slice(&revision.0.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
    out
}

fn parse_header(head: &[u8; HEADER]) -> Result<(u32, u64, Revision), BadCheckpoint> {
    let sum = crc32c::crc32c(&head[..HEADER - 4]);
    let mut rest = &head[..];
    let mut parse = || {
        let magic = take(&mut rest, MAGIC.len())? == MAGIC;
        let fields = (take_u32(&mut rest)?, take_u64(&mut rest)?, take_u64(&mut rest)?);
        (magic && take_u32(&mut rest)? == sum).then_some(fields)
    };
    match parse() {
        Some((format, ..)) if format > FORMAT => Err(BadCheckpoint::Format(format)),
        Some((format, salt, revision)) => Ok((format, salt, Revision(revision))),
        None => Err(BadCheckpoint::Damaged(0)),
    }
}

fn put_entry(out: &mut Vec<u8>, kv: &KeyValue, seal: Option<&dyn Seal>) {
    put_bytes(out, &kv.key);
    put_value(out, kv, seal);
    for number in [kv.create_revision.0, kv.mod_revision.0, kv.version] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn take_entry(rest: &mut &[u8]) -> Option<KeyValue> {
    Some(KeyValue {
        key: Key::from(take_bytes(rest)?),
        value: Bytes::copy_from_slice(take_bytes(rest)?),
        create_revision: Revision(take_u64(rest)?),
        mod_revision: Revision(take_u64(rest)?),
        version: take_u64(rest)?,
    })
}
