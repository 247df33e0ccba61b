//! Checksummed frames, in which both the log and the checkpoints are written.
//!
//! ```text
//! length: u32 LE │ checksum: u32 LE │ payload: `length` bytes
//! ```
//! The checksum is CRC-32C over the file's salt, the frame's offset in the file, the length and the
//! payload. A frame is therefore valid only in the file and at the place it was written for.

use crate::failpoints::{self, Bug};

/// Length and checksum.
pub(crate) const FRAME_HEAD: usize = 8;
/// No frame is longer; a length beyond it is damage. A transaction of the greatest size fits.
pub(crate) const MAX_FRAME: usize = 256 << 20;

/// Appends a frame at `offset` of its file; `fill` writes the payload.
pub(crate) fn seal(buffer: &mut Vec<u8>, salt: u64, offset: u64, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; FRAME_HEAD]);
    fill(buffer);
    let length = (buffer.len() - start - FRAME_HEAD) as u32;
    let sum = checksum(salt, offset, length, &buffer[start + FRAME_HEAD..]);
    buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
    buffer[start + 4..start + FRAME_HEAD].copy_from_slice(&sum.to_le_bytes());
}

/// The payload of the frame that begins at `bytes[0]`, which is at `offset` of its file.
pub(crate) fn unseal(bytes: &[u8], salt: u64, offset: u64) -> Option<&[u8]> {
    let (length, sum) = head(bytes)?;
    let payload = bytes.get(FRAME_HEAD..FRAME_HEAD + length as usize)?;
    let holds = checksum(salt, offset, length, payload) == sum || failpoints::has(Bug::TornTailKept);
    holds.then_some(payload)
}

/// Length and checksum as they stand; the length is within its limit.
pub(crate) fn head(bytes: &[u8]) -> Option<(u32, u32)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, _) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    (length as usize <= MAX_FRAME).then_some((length, u32::from_le_bytes(*sum)))
}

pub(crate) fn checksum(salt: u64, offset: u64, length: u32, payload: &[u8]) -> u32 {
    let mut head = [0; 20];
    head[..8].copy_from_slice(&salt.to_le_bytes());
    head[8..16].copy_from_slice(&offset.to_le_bytes());
    head[16..].copy_from_slice(&length.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&head), payload)
}

/// A number no two files are likely to share.
pub(crate) fn fresh_salt() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}
