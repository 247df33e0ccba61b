//! The protocols of `exec`, `attach` and `port-forward`: SPDY/3.1 and WebSocket, and the proxying of upgraded
//! connections; and connections that notice when their peer vanishes. Who executes what is the caller's matter, and
//! so is spawning: sessions are futures.

mod outcome;
mod peer;
mod pipe;
mod port_forward;
mod remote_command;
mod upgrade;
mod websocket;

pub mod spdy;

pub use outcome::Outcome;
pub use peer::PeerStream;
pub use pipe::{ReceiveStream, SendStream};
pub use port_forward::{Dialer, PortForward};
pub use remote_command::{Channels, RemoteCommand, RemoteCommandOptions, TerminalSize};
pub use upgrade::{ProxiedResponse, ProxyError, is_upgrade, proxy_upgrade};

/// Why a request cannot become a streaming session. The text is for the client.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    #[error(
        "unable to upgrade: missing upgrade headers in request: the connection must be upgraded to SPDY/3.1 or WebSocket"
    )]
    NotAnUpgrade,
    #[error("unable to upgrade: the client offers {offered:?}, the server supports {supported:?}")]
    Protocol { offered: Vec<String>, supported: &'static [&'static str] },
    #[error("unable to upgrade: missing Sec-WebSocket-Key")]
    WebSocketKey,
}

/// Why a session ended before its work was done.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("the connection could not be upgraded: {0}")]
    Upgrade(#[from] hyper::Error),
    #[error("SPDY: {0}")]
    Spdy(#[from] spdy::SpdyError),
    #[error("WebSocket: {0}")]
    WebSocket(#[from] Box<tokio_tungstenite::tungstenite::Error>),
    #[error("the client did not open the streams it announced within {0:?}")]
    StreamsMissing(std::time::Duration),
}
