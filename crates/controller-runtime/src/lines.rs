//! Lines out of frames. Over a socket a frame may hold half a line or ten; in one process it holds one event.

use bytes::{Bytes, BytesMut};
use client::{ByteStream, Error};
use futures::StreamExt;

/// The longest watch event read: objects end far below it.
pub(crate) const MAX_LINE_BYTES: usize = 32 << 20;

#[derive(Debug, thiserror::Error)]
#[error("a watch event is longer than {MAX_LINE_BYTES} bytes")]
struct LineTooLong;

pub(crate) struct Lines {
    frames: ByteStream,
    partial: BytesMut,
    /// The rest of a frame that held more than one line.
    rest: Bytes,
}

impl Lines {
    pub(crate) fn new(frames: ByteStream) -> Self {
        Self { frames, partial: BytesMut::new(), rest: Bytes::new() }
    }

    /// The next line without its end. A frame that is exactly one line is returned as it is, uncopied, because
    /// the watch cache of a server in this process shares it; others are copied so that no line holds on to its
    /// neighbours' memory. A last line without an end is no line.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            if let Some(line) = self.take_line() {
                return Some(Ok(line));
            }
            if self.partial.len() > MAX_LINE_BYTES {
                return Some(Err(Error::Service(Box::new(LineTooLong))));
            }
            match self.frames.next().await? {
                Ok(frame) => self.rest = frame,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn take_line(&mut self) -> Option<Bytes> {
        let Some(end) = self.rest.iter().position(|b| *b == b'\n') else {
            self.partial.extend_from_slice(&std::mem::take(&mut self.rest));
            return None;
        };
        let whole = end + 1 == self.rest.len();
        let head = self.rest.split_to(end + 1).slice(..end);
        if self.partial.is_empty() {
            return Some(if whole { head } else { Bytes::copy_from_slice(&head) });
        }
        self.partial.extend_from_slice(&head);
        Some(Bytes::copy_from_slice(&std::mem::take(&mut self.partial)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[tokio::test]
    async fn lines_come_out_however_frames_are_cut() {
        let text = "one\ntwo\n\nfour\nhalf";
        for size in 1..=text.len() {
            let frames: Vec<_> = text.as_bytes().chunks(size).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
            let mut lines = Lines::new(futures::stream::iter(frames).boxed());
            let mut seen = Vec::new();
            while let Some(line) = lines.next().await {
                seen.push(String::from_utf8(line.unwrap().to_vec()).unwrap());
            }
            assert_eq!(seen, ["one", "two", "", "four"], "frames of {size}");
        }
    }
}
