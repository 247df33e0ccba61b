//! Frames on the wire (SPDY/3 draft, section 2.2), headers still packed.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::SpdyError;

const VERSION: u16 = 3;
const CONTROL: u16 = 0x8000;
const FIN: u8 = 1;
/// A peer that sends a larger frame is cut off.
const MAX_FRAME_BYTES: usize = 1024 * 1024;
const STREAM_ID: u32 = 0x7fff_ffff;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    SynStream {
        stream: u32,
        headers: Bytes,
        fin: bool,
    },
    SynReply {
        stream: u32,
        headers: Bytes,
        fin: bool,
    },
    Reset {
        stream: u32,
        status: u32,
    },
    Ping {
        id: u32,
    },
    GoAway {
        last_stream: u32,
        status: u32,
    },
    Data {
        stream: u32,
        bytes: Bytes,
        fin: bool,
    },
    /// Later headers of a stream; packed with the same zlib stream, so they must be unpacked even when unused.
    Headers {
        stream: u32,
        headers: Bytes,
        fin: bool,
    },
    /// SETTINGS, WINDOW_UPDATE and types to come: nothing we act on.
    Other {
        kind: u16,
    },
}

impl Frame {
    /// Reads one frame; `None` at the end of the connection between frames.
    pub(crate) async fn read(io: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, SpdyError> {
        let mut head = [0; 8];
        let mut filled = 0;
        while filled < head.len() {
            match io.read(&mut head[filled..]).await? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
                count => filled += count,
            }
        }
        let mut fields = &head[..];
        let (first, second) = (fields.get_u16(), fields.get_u16());
        let flags_and_length = fields.get_u32();
        let fin = (flags_and_length >> 24) as u8 & FIN != 0;
        let length = (flags_and_length & 0x00ff_ffff) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(SpdyError::FrameTooLarge(length));
        }
        let mut body = BytesMut::zeroed(length);
        io.read_exact(&mut body).await?;
        let body = body.freeze();
        if first & CONTROL == 0 {
            let stream = (u32::from(first) << 16 | u32::from(second)) & STREAM_ID;
            return Ok(Some(Self::Data { stream, bytes: body, fin }));
        }
        match first & !CONTROL {
            VERSION => Self::control(second, fin, body).map(Some),
            version => Err(SpdyError::Version(version)),
        }
    }

    fn control(kind: u16, fin: bool, mut body: Bytes) -> Result<Self, SpdyError> {
        let needed = match kind {
            SYN_STREAM => 10,
            SYN_REPLY | PING | HEADERS => 4,
            RST_STREAM | GOAWAY => 8,
            _ => 0,
        };
        if body.len() < needed {
            return Err(SpdyError::Truncated(kind));
        }
        Ok(match kind {
            SYN_STREAM => {
                let stream = body.get_u32() & STREAM_ID;
                // The associated stream, priority and slot mean nothing here.
                body.advance(6);
                Self::SynStream { stream, headers: body, fin }
            }
            SYN_REPLY => Self::SynReply { stream: body.get_u32() & STREAM_ID, headers: body, fin },
            HEADERS => Self::Headers { stream: body.get_u32() & STREAM_ID, headers: body, fin },
            RST_STREAM => Self::Reset { stream: body.get_u32() & STREAM_ID, status: body.get_u32() },
            PING => Self::Ping { id: body.get_u32() },
            GOAWAY => Self::GoAway { last_stream: body.get_u32() & STREAM_ID, status: body.get_u32() },
            kind => Self::Other { kind },
        })
    }

    pub(crate) fn encode(&self, to: &mut BytesMut) {
        let mut control = |kind: u16, fin: bool, length: usize| {
            to.put_u16(CONTROL | VERSION);
            to.put_u16(kind);
            to.put_u32(u32::from(fin) << 24 | length as u32);
        };
        match self {
            Self::SynStream { stream, headers, fin } => {
                control(SYN_STREAM, *fin, 10 + headers.len());
                to.put_u32(*stream);
                to.put_bytes(0, 6);
                to.put_slice(headers);
            }
            Self::SynReply { stream, headers, fin } => {
                control(SYN_REPLY, *fin, 4 + headers.len());
                to.put_u32(*stream);
                to.put_slice(headers);
            }
            Self::Headers { stream, headers, fin } => {
                control(HEADERS, *fin, 4 + headers.len());
                to.put_u32(*stream);
                to.put_slice(headers);
            }
            Self::Reset { stream, status } => {
                control(RST_STREAM, false, 8);
                to.put_u32(*stream);
                to.put_u32(*status);
            }
            Self::Ping { id } => {
                control(PING, false, 4);
                to.put_u32(*id);
            }
            Self::GoAway { last_stream, status } => {
                control(GOAWAY, false, 8);
                to.put_u32(*last_stream);
                to.put_u32(*status);
            }
            Self::Data { stream, bytes, fin } => {
                to.put_u32(*stream);
                to.put_u32(u32::from(*fin) << 24 | bytes.len() as u32);
                to.put_slice(bytes);
            }
            Self::Other { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_read_as_written() {
        let frames = [
            Frame::SynStream { stream: 1, headers: Bytes::from_static(b"h"), fin: false },
            Frame::SynReply { stream: 1, headers: Bytes::from_static(b"h"), fin: true },
            Frame::Data { stream: 3, bytes: Bytes::from_static(b"data"), fin: true },
            Frame::Ping { id: 7 },
            Frame::Reset { stream: 5, status: 1 },
            Frame::GoAway { last_stream: 5, status: 0 },
        ];
        let mut wire = BytesMut::new();
        frames.iter().for_each(|f| f.encode(&mut wire));
        let mut wire = &wire[..];
        for frame in frames {
            assert_eq!(Frame::read(&mut wire).await.expect("reads"), Some(frame));
        }
        assert_eq!(Frame::read(&mut wire).await.expect("ends"), None);
    }

    #[tokio::test]
    async fn a_cut_or_oversized_frame_is_refused() {
        let mut cut = &[0x80, 3, 0, 6, 0, 0, 0, 4, 0][..];
        assert!(Frame::read(&mut cut).await.is_err());
        let mut large = &[0, 0, 0, 1, 0, 0xff, 0xff, 0xff][..];
        assert!(matches!(Frame::read(&mut large).await, Err(SpdyError::FrameTooLarge(_))));
        let mut old = &[0x80, 2, 0, 6, 0, 0, 0, 0][..];
        assert!(matches!(Frame::read(&mut old).await, Err(SpdyError::Version(2))));
    }
}
