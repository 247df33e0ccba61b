//! Kinds of the group `events.k8s.io`.

mod event;

pub use event::Event;
