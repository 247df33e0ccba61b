//! Compressed pieces of batches and of checkpoints: frames of zstd.

use super::frame::MAX_FRAME;

/// Shorter pieces are not worth it.
const PACK_BYTES: usize = 128;
/// The fastest is not much worse than the best here, and somebody may wait for it.
const LEVEL: i32 = 3;

/// Compresses streams; its memory is used again.
pub(crate) struct Packer {
    /// `None` if there is no memory for it.
    compressor: Option<zstd::bulk::Compressor<'static>>,
    packed: Vec<u8>,
}

impl Packer {
    pub(crate) fn new() -> Packer {
        Packer { compressor: zstd::bulk::Compressor::new(LEVEL).ok(), packed: Vec::new() }
    }

    /// `None` if it would not get shorter.
    pub(crate) fn pack(&mut self, bytes: &[u8]) -> Option<&[u8]> {
        if bytes.len() < PACK_BYTES {
            return None;
        }
        self.packed.clear();
        // No more than is worth it: what does not fit does not get shorter.
        self.packed.reserve(bytes.len() - 1);
        let room = &mut self.packed;
        let length = self.compressor.as_mut()?.compress_to_buffer(bytes, room).ok()?;
        (length < bytes.len()).then_some(&self.packed[..length])
    }
}

/// What a packer made of so many bytes; `None` if it did not.
pub(crate) fn unpack(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > MAX_FRAME {
        return None;
    }
    let bytes = zstd::bulk::decompress(packed, length).ok()?;
    (bytes.len() == length).then_some(bytes)
}
