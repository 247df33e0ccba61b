//! How values lie where others read them too, when that is not as memory has them.

use std::{error::Error, fmt};

use bytes::Bytes;

use crate::revision::Revision;

/// Turns values into what etcd holds and back. The store knows nothing of what the bytes mean; who does implements this.
///
/// Both directions are called on the threads of the runtime, once for each write and once for each change that etcd
/// tells: they must be quick, must not block, and should return bytes that own exactly their content.
#[allow(clippy::wrong_self_convention, reason = "it is the way back of `to_stored`")]
pub trait Form: fmt::Debug + Send + Sync {
    /// What etcd is to hold instead of `value`. A [`Value::Built`](crate::Value::Built) was built for the revision 0,
    /// because a transaction learns its revision only when it is done.
    fn to_stored(&self, key: &[u8], value: Bytes) -> Result<Bytes, Malformed>;

    /// What memory is to hold instead of `stored`, which came to be at `revision`.
    ///
    /// After an error memory holds what [`Form::in_place_of`] says.
    fn from_stored(&self, key: &[u8], stored: Bytes, revision: Revision) -> Result<Bytes, Malformed>;

    /// What memory holds in place of a value that has no form or cannot be decrypted. With `None`, the default, the
    /// store stops: nothing is read past it. Who would rather have one broken object than a broken store gives bytes
    /// that [`Form::why_unreadable`] knows again; etcd goes on holding the value itself, and neither a rewrite nor a
    /// saved store ever holds these bytes.
    fn in_place_of(&self, _key: &[u8], _why: &(dyn Error + 'static)) -> Option<Bytes> {
        None
    }

    /// Whether these bytes stand in the place of a value that cannot be read, and why.
    fn why_unreadable(&self, _value: &[u8]) -> Option<String> {
        None
    }
}

/// Why a value has no other form.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Malformed(pub Box<dyn Error + Send + Sync>);

/// Values lie in etcd as they are in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsItIs;

impl Form for AsItIs {
    fn to_stored(&self, _key: &[u8], value: Bytes) -> Result<Bytes, Malformed> {
        Ok(value)
    }

    fn from_stored(&self, _key: &[u8], stored: Bytes, _revision: Revision) -> Result<Bytes, Malformed> {
        // It came as a slice of a message, all of which it would keep.
        Ok(Bytes::copy_from_slice(&stored))
    }
}
