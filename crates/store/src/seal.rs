//! Values as they lie on disk, when that is not as they are.

use std::fmt;

use bytes::Bytes;

/// Encrypts values on their way to the log and to checkpoints, and decrypts them when they are read back.
///
/// Memory holds values as they are. What is on disk says by itself whether it is sealed, and with which key.
pub trait Seal: fmt::Debug + Send + Sync {
    /// What the disk gets instead of the value; `None`: the value itself. Called by the thread that
    /// writes. Whether it is sealed depends on the key alone, as long as the store is open.
    fn seal(&self, key: &[u8], value: &[u8]) -> Option<Vec<u8>>;
    /// Whether values of this key may lie there otherwise than they are now sealed: those that are written anew when the
    /// keys of the cipher change, also where the new form is the value itself.
    fn concerns(&self, key: &[u8]) -> bool {
        !key.is_empty()
    }
    /// How many bytes longer than a value its sealed form is, at most.
    fn overhead(&self) -> usize;
    /// The value that was sealed for this key; what was not sealed is given back.
    fn open(&self, key: &[u8], stored: Bytes) -> Result<Bytes, Unsealable>;
}

/// Why a value cannot be read back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsealable {
    /// `key` is how people call the key that it was sealed with.
    #[error("no matching key was found: it is encrypted with {key}, which is not configured")]
    UnknownKey { key: String },
    #[error("its decryption failed: the key is another, or the value was changed")]
    Refused,
    #[error("it is not encrypted, and plain values are not allowed for it")]
    Plain,
}
