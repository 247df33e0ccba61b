//! Batches that are read back.

use std::{collections::HashMap, sync::Arc};

use super::{BY_REVISION, DELETE, PATCH, WHAT, WHOLE};
use crate::{
    event::Event,
    key_value::Key,
    local::{
        pack::unpack,
        patch,
        record::{take, take_u32},
        varint,
    },
    revision::Revision,
    state::Keys,
    write::{MAX_OPS, MAX_VALUE_BYTES},
};

/// A batch that is read back.
pub(crate) struct Read {
    pub(crate) first: Revision,
    pub(crate) transactions: u64,
    pub(crate) sum: u32,
    shape: Vec<u8>,
    names: Vec<u8>,
    text: Vec<u8>,
}

impl Read {
    /// What comes after the head. `None` if it is no batch.
    pub(crate) fn decode(first: Revision, mut rest: &[u8]) -> Option<Read> {
        let transactions = varint::take(&mut rest)?;
        let sum = take_u32(&mut rest)?;
        let mut stream = || {
            let (length, packed) = (varint::take_count(&mut rest)?, varint::take_count(&mut rest)?);
            match packed {
                0 => take(&mut rest, length).map(<[u8]>::to_vec),
                packed => unpack(take(&mut rest, packed)?, length),
            }
        };
        let (shape, names, text) = (stream()?, stream()?, stream()?);
        // A count that is not true must not make a loop of it.
        let is_all = rest.is_empty() && transactions > 0 && transactions <= shape.len() as u64;
        first.0.checked_add(transactions)?;
        is_all.then_some(Read { first, transactions, sum, shape, names, text })
    }

    pub(crate) fn last(&self) -> Revision {
        Revision(self.first.0 + self.transactions - 1)
    }

    pub(crate) fn cursor(&self) -> Cursor<'_> {
        Cursor { shape: &self.shape, names: &self.names, text: &self.text }
    }
}

/// Where one is in a batch.
pub(crate) struct Cursor<'a> {
    shape: &'a [u8],
    names: &'a [u8],
    text: &'a [u8],
}

/// How a key is named.
pub(crate) enum Name<'a> {
    Whole(&'a [u8]),
    /// The one that was last changed at this revision.
    ChangedAt(Revision),
}

/// What a transaction does to a key.
pub(crate) enum Operation<'a> {
    Delete,
    Whole(&'a [u8]),
    Patch(Changed<'a>),
}

/// A patch, where it stands.
pub(crate) struct Changed<'a> {
    shape: &'a [u8],
    text: &'a [u8],
    digits: String,
}

impl Changed<'_> {
    /// The new value; `None` if it is not one of this base.
    pub(crate) fn of(mut self, base: &[u8]) -> Option<Vec<u8>> {
        patch::apply(&mut self.shape, &mut self.text, base, &self.digits, MAX_VALUE_BYTES)
    }
}

impl<'a> Cursor<'a> {
    /// How many operations the next transaction has.
    pub(crate) fn operations(&mut self) -> Option<usize> {
        varint::take_count(&mut self.shape).filter(|count| *count <= MAX_OPS)
    }

    /// The next operation of the transaction at this revision.
    pub(crate) fn operation(&mut self, revision: Revision) -> Option<(Name<'a>, Operation<'a>)> {
        let head = take(&mut self.shape, 1)?[0];
        let name = match head & BY_REVISION {
            0 => Name::Whole(self.bytes()?),
            _ => Name::ChangedAt(Revision(revision.0.checked_sub(varint::take(&mut self.names)?)?)),
        };
        let operation = match head & WHAT {
            DELETE => Operation::Delete,
            WHOLE => Operation::Whole(self.bytes()?),
            PATCH => {
                let changed = Changed { shape: self.shape, text: self.text, digits: revision.to_string() };
                patch::skip(&mut self.shape, &mut self.text)?;
                Operation::Patch(changed)
            }
            _ => return None,
        };
        (head & !(WHAT | BY_REVISION) == 0).then_some((name, operation))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = varint::take_count(&mut self.shape)?;
        take(&mut self.text, length)
    }

    /// Whether all was read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.shape.is_empty() && self.names.is_empty() && self.text.is_empty()
    }
}

/// The keys by the revision at which each was last changed, for replay.
#[derive(Default)]
pub(crate) struct Names {
    /// Made when the first is asked for. Of those that share a revision any one: they are never named by it.
    keys: Option<HashMap<Revision, Key>>,
}

impl Names {
    pub(crate) fn find(&mut self, revision: Revision, all: &Keys) -> Option<Key> {
        let by_revision = || all.values().map(|kv| (kv.mod_revision, kv.key.clone())).collect();
        self.keys.get_or_insert_with(by_revision).get(&revision).cloned()
    }

    pub(crate) fn changed(&mut self, events: &[Arc<Event>]) {
        let Some(keys) = &mut self.keys else { return };
        for event in events {
            if let Some(before) = &event.previous {
                keys.remove(&before.mod_revision);
            }
            if event.current.is_some() {
                keys.insert(event.revision, event.key.clone());
            }
        }
    }
}
