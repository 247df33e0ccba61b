//! What keys are called here and there, and what lies behind them.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    config::EtcdConfig,
    messages,
    trouble::{Cause, EtcdTrouble},
};
use crate::{
    form::{Form, Malformed},
    key_value::{Key, KeyValue},
    revision::Revision,
    seal::Seal,
    snapshot::Snapshot,
    write::UnreadableValues,
};

/// Below the prefix, so that its changes come with all the others: see [`super::quorum`].
const BEACON: &[u8] = b"knarr.io/beacon";

/// Translates between memory and etcd.
#[derive(Debug)]
pub(crate) struct Keys {
    root: Vec<u8>,
    prefix: Vec<u8>,
    form: Arc<dyn Form>,
    seal: Option<Arc<dyn Seal>>,
}

impl Keys {
    pub(crate) fn new(config: &EtcdConfig) -> Keys {
        let EtcdConfig { root, prefix, form, seal, .. } = config.clone();
        Keys { root, prefix, form, seal }
    }

    pub(crate) fn seal(&self) -> Option<&dyn Seal> {
        self.seal.as_deref()
    }

    /// The key in etcd; `None` if it is none of ours.
    pub(crate) fn there(&self, key: &[u8]) -> Option<Bytes> {
        let rest = key.strip_prefix(&*self.root).filter(|rest| !rest.is_empty() && *rest != BEACON)?;
        Some([&self.prefix, rest].concat().into())
    }

    /// The key in memory; `None` if it is not for callers.
    pub(crate) fn here(&self, key: &[u8]) -> Option<Key> {
        let rest = key.strip_prefix(&*self.prefix).filter(|rest| !rest.is_empty() && *rest != BEACON)?;
        Some([&self.root, rest].concat().into())
    }

    pub(crate) fn beacon(&self) -> Bytes {
        [&self.prefix, BEACON].concat().into()
    }

    /// The first key, and the one after the last: an empty end is etcd's word for one key, zero for no end.
    pub(crate) fn range(&self) -> (Bytes, Bytes) {
        let first = if self.prefix.is_empty() { vec![0] } else { self.prefix.clone() };
        let mut end = self.prefix.clone();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return (first.into(), end.into());
            }
        }
        (first.into(), Bytes::from_static(&[0]))
    }

    /// What etcd is to hold, before it is sealed.
    pub(crate) fn to_stored(&self, key: &[u8], value: Bytes) -> Result<Bytes, Malformed> {
        self.form.to_stored(key, value)
    }

    pub(crate) fn sealed(&self, key: &[u8], stored: Bytes) -> Bytes {
        self.seal.as_ref().and_then(|seal| seal.seal(key, &stored)).map_or(stored, Bytes::from)
    }

    pub(crate) fn unsealed(&self, key: &[u8], stored: Bytes) -> Result<Bytes, EtcdTrouble> {
        match &self.seal {
            Some(seal) => seal.open(key, stored).map_err(|why| unreadable(key, Arc::new(why))),
            None => Ok(stored),
        }
    }

    /// What memory is to hold of what lies in etcd unsealed.
    pub(crate) fn value(&self, key: &[u8], stored: Bytes, revision: Revision) -> Result<Bytes, EtcdTrouble> {
        self.form.from_stored(key, stored, revision).map_err(|Malformed(why)| unreadable(key, why.into()))
    }

    /// What memory holds where a value cannot be read and the store goes on all the same.
    fn in_place_of(&self, key: &[u8], trouble: EtcdTrouble) -> Result<Bytes, EtcdTrouble> {
        let EtcdTrouble::Unreadable { source, .. } = &trouble else { return Err(trouble) };
        self.form.in_place_of(key, &**source).ok_or(trouble)
    }

    /// The first key in a snapshot whose value is not what etcd holds, because nobody here can read that, and how many
    /// there are.
    pub(crate) fn unreadable(&self, snapshot: &Snapshot) -> Option<UnreadableValues> {
        let mut all = snapshot.walk(b"", None).filter_map(|kv| self.form.why_unreadable(&kv.value));
        let first = all.next()?;
        Some(UnreadableValues { first, others: all.count() })
    }

    /// A version as etcd tells it.
    pub(crate) fn version(&self, key: Key, kv: messages::KeyValue) -> Result<Arc<KeyValue>, EtcdTrouble> {
        let mod_revision = revision(kv.mod_revision);
        let read = self.unsealed(&key, kv.value).and_then(|stored| self.value(&key, stored, mod_revision));
        let value = read.or_else(|trouble| self.in_place_of(&key, trouble))?;
        Ok(Arc::new(KeyValue {
            key,
            value,
            create_revision: revision(kv.create_revision),
            mod_revision,
            version: kv.version.try_into().unwrap_or(0),
        }))
    }
}

fn unreadable(key: &[u8], source: Cause) -> EtcdTrouble {
    EtcdTrouble::Unreadable { key: String::from_utf8_lossy(key).into_owned(), source }
}

/// Etcd's numbers have a sign that they do not use.
pub(crate) fn revision(number: i64) -> Revision {
    Revision(number.try_into().unwrap_or(0))
}

pub(crate) fn number(revision: Revision) -> i64 {
    revision.0.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn keys(root: &[u8], prefix: &[u8]) -> Keys {
        let config = EtcdConfig::new(["http://127.0.0.1:1"]);
        Keys::new(&EtcdConfig { root: root.to_vec(), prefix: prefix.to_vec(), ..config })
    }

    #[test]
    fn keys_are_translated_both_ways() {
        let keys = keys(b"/registry/", b"/other/");
        assert_eq!(keys.there(b"/registry/pods/a").unwrap(), &b"/other/pods/a"[..]);
        assert_eq!(&*keys.here(b"/other/pods/a").unwrap(), b"/registry/pods/a");
        for foreign in [&b"/registrypods"[..], b"/registry/", b"pods/a", b"/registry/knarr.io/beacon"] {
            assert_eq!(keys.there(foreign), None);
        }
        assert_eq!(keys.here(&keys.beacon()), None);
    }

    #[test]
    fn a_range_holds_everything_with_the_prefix() {
        assert_eq!(keys(b"", b"/a/").range(), (b"/a/"[..].to_vec().into(), b"/a0"[..].to_vec().into()));
        assert_eq!(keys(b"", b"a\xff").range(), (b"a\xff"[..].to_vec().into(), b"b"[..].to_vec().into()));
        assert_eq!(keys(b"", b"").range(), (vec![0].into(), vec![0].into()));
    }
}
