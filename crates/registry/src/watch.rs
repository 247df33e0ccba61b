//! Changes as watchers see them.

use bytes::Bytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

impl EventType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }
}

/// One event. The bytes are shared by all watchers.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    pub event_type: EventType,
    /// The encoded object (or `Status`).
    pub object: Bytes,
    /// `{"type":"ADDED","object":…}` and a newline.
    pub frame: Bytes,
}

/// A running watch. Ends when the watcher is too slow or the server stops; the client then watches again.
pub struct Watcher {
    _private: (),
}

impl Watcher {
    /// The next event; `None` at the end. Cancel safe.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        None
    }
}
