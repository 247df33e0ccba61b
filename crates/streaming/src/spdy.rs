//! SPDY/3.1 as Kubernetes uses it: many streams over one connection, without flow control, which its clients do not
//! implement either (a slow stream slows the connection).

mod connection;
mod frame;
mod headers;

pub use connection::{Connection, Role, Stream};
pub use frame::Frame;

/// What a peer did that SPDY/3.1 does not allow, or the connection's own failure.
#[derive(Debug, thiserror::Error)]
pub enum SpdyError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("a frame of {0} bytes exceeds the limit")]
    FrameTooLarge(usize),
    #[error("a header block is damaged")]
    Headers,
    #[error("a frame of SPDY version {0}")]
    Version(u16),
    #[error("a control frame of type {0} is too short")]
    Truncated(u16),
    #[error("more than {0} streams are open")]
    TooManyStreams(usize),
    #[error("the connection is closed")]
    Closed,
}
