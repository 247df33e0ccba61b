//! The files of the log: names and headers.
//!
//! ```text
//! log-<the revision before its first record, 20 digits>
//! "KNARRLOG" │ format: u32 │ salt: u64 │ previous revision: u64 │ CRC-32C of these 28 bytes: u32
//! ```
//! A file is begun only when the one before it is on disk to its end, and gets its first record
//! only when its own header and its name are.

use super::record::{take, take_u32, take_u64};
use crate::revision::Revision;

pub(crate) const HEADER: u64 = 32;
/// Format 1 had every transaction in a frame of its own, whole.
pub(crate) const FORMAT: u32 = 2;
const MAGIC: &[u8; 8] = b"KNARRLOG";
const PREFIX: &str = "log-";

pub(crate) fn name(previous: Revision) -> String {
    format!("{PREFIX}{:020}", previous.0)
}

pub(crate) fn parse_name(name: &str) -> Option<Revision> {
    name.strip_prefix(PREFIX)?.parse().ok().map(Revision)
}

pub(crate) struct Header {
    pub(crate) format: u32,
    pub(crate) salt: u64,
    pub(crate) previous: Revision,
}

/// Why a header cannot be used.
pub(crate) enum BadHeader {
    Damaged,
    Format(u32),
}

impl Header {
    /// Of a file of today.
    pub(crate) fn new(salt: u64, previous: Revision) -> Header {
        Header { format: FORMAT, salt, previous }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.format.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.previous.0.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Header, BadHeader> {
        let mut rest = bytes.get(..HEADER as usize).ok_or(BadHeader::Damaged)?;
        let sum = crc32c::crc32c(&rest[..HEADER as usize - 4]);
        let parse = |rest: &mut &[u8]| {
            let magic = take(rest, MAGIC.len())? == MAGIC;
            Some((magic, take_u32(rest)?, take_u64(rest)?, take_u64(rest)?, take_u32(rest)?))
        };
        match parse(&mut rest) {
            Some((true, format, salt, previous, found)) if found == sum => {
                if format > FORMAT {
                    return Err(BadHeader::Format(format));
                }
                Ok(Header { format, salt, previous: Revision(previous) })
            }
            _ => Err(BadHeader::Damaged),
        }
    }
}
