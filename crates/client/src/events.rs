//! Events: what a component did to an object, or why it could not, for people to read.
//!
//! [`Recorder`] writes core/v1 events and counts repetitions, as the kubelet and the controllers of upstream do;
//! [`SeriesRecorder`] writes events.k8s.io/v1, as its scheduler does. Neither ever blocks: events wait in a bounded
//! queue, and those that find it full are dropped.

mod correlate;
mod legacy;
mod lru;
mod series;

pub use legacy::{EventType, Recorder, RecorderTask};
pub use series::{SeriesRecorder, SeriesRecorderTask};

/// Events that may wait to be written, per recorder.
pub const QUEUE_LIMIT: usize = 1000;
