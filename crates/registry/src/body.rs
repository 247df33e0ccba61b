//! What comes in and what goes out of a write.

use apimachinery::{Object, Status};
use bytes::Bytes;

/// An object in a request.
#[derive(Clone, Debug)]
pub enum Body {
    /// JSON text, to be decoded strictly.
    Json(Bytes),
    /// A tree made in this process, or decoded from a binary format.
    Tree(Object),
}

/// The four ways to say what to change.
#[derive(Clone, Debug)]
pub enum Patch {
    /// `application/json-patch+json`.
    Json(Bytes),
    /// `application/merge-patch+json`.
    Merge(Bytes),
    /// `application/strategic-merge-patch+json`.
    Strategic(Bytes),
    /// `application/apply-patch+yaml`, already turned to JSON.
    Apply { body: Bytes, force: bool },
}

/// A stored object (or, in a dry run, what would have been stored).
#[derive(Clone, Debug)]
pub struct Written {
    /// The encoded object.
    pub bytes: Bytes,
    /// Whether it came into being: 201 instead of 200.
    pub created: bool,
}

/// The answer to a deletion.
#[derive(Clone, Debug)]
pub enum Deleted {
    /// It is gone; a `Success` with the object's name and uid.
    Gone(Status),
    /// It is gone, and this resource answers with its last state.
    Object(Bytes),
    /// It is marked and waits for finalizers or its grace period. `accepted`: 202 instead of 200.
    Pending { bytes: Bytes, accepted: bool },
}
