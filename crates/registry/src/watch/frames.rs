//! Events encoded once for all watchers.

use std::{collections::VecDeque, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use store::Event;

use super::{EventType, WatchEvent};

/// How many encoded events are kept for watchers that are about to ask for them.
const KEPT_EVENTS: usize = 64;

/// The latest encoded events. Watchers hear of an event at nearly the same moment, so that few need to be kept.
#[derive(Default)]
pub(crate) struct Frames(Mutex<VecDeque<(Arc<Event>, WatchEvent)>>);

impl Frames {
    /// The encoded event, made by the first who asks.
    pub(crate) fn event(
        &self,
        event: &Arc<Event>,
        event_type: EventType,
        make: impl FnOnce() -> WatchEvent,
    ) -> WatchEvent {
        let mut kept = self.0.lock();
        // The latest are asked for most.
        let found = kept.iter().rev().find(|(of, made)| Arc::ptr_eq(of, event) && made.event_type == event_type);
        if let Some((_, made)) = found {
            return made.clone();
        }
        let made = make();
        if kept.len() >= KEPT_EVENTS {
            kept.pop_front();
        }
        kept.push_back((event.clone(), made.clone()));
        made
    }
}

/// `{"type":"ADDED","object":…}` and a newline.
pub(super) fn encode(event_type: EventType, object: &Bytes) -> Bytes {
    let mut frame = BytesMut::with_capacity(object.len() + 40);
    frame.put_slice(b"{\"type\":\"");
    frame.put_slice(event_type.as_str().as_bytes());
    frame.put_slice(b"\",\"object\":");
    frame.put_slice(object);
    frame.put_slice(b"}\n");
    frame.freeze()
}
