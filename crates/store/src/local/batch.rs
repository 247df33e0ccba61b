//! Transactions that share a frame: what each changed, in three streams.
//!
//! ```text
//! kind: u8 = 4 │ synced: u64 LE │ first revision: u64 LE
//! number of transactions │ sum: u32 LE │ for each stream: length │ length as it is packed, or 0 │ bytes
//! shape: for each transaction: number of operations │ for each: what, and how its key is named: u8 │ lengths
//! names: for each key that is named by its version before: this revision - that revision
//! text:  keys and values, and what patches insert
//! ```
//! All numbers without a type are varints. The transactions have consecutive revisions. The streams are apart because
//! each compresses best by itself; a packed one is a frame of zstd.
//!
//! A value may be written as a [`patch`] of the version before, and a key by the revision at which it was last changed.
//! **What both lean on**: replay in the order of the log has the version before at hand, whatever checkpoint it began
//! with. The version before was written by the same process, in the open: so nothing that another version, another
//! configuration of encryption or a restored backup made of it can differ from what it was. `sum` is that of all values
//! that patches came to: a base that was another after all is damage.

use std::collections::HashSet;

use super::{pack::Packer, patch::Patch, record, varint};
use crate::{event::Event, revision::Revision, seal::Seal};

mod read;

pub(crate) use read::{Name, Names, Operation, Read};

/// What happens to the key.
const WHAT: u8 = 0b11;
const DELETE: u8 = 0;
const WHOLE: u8 = 1;
const PATCH: u8 = 2;
/// Set if the key is named by its version before.
const BY_REVISION: u8 = 0b100;
/// Names by revision are given up, and begun anew, when more transactions than this had several keys.
const MAX_SHARED: usize = 1 << 16;

/// Transactions on their way to the log.
pub(crate) struct Batch {
    first: Revision,
    extent: Extent,
    shape: Vec<u8>,
    names: Vec<u8>,
    text: Vec<u8>,
    /// Versions up to this revision are neither bases nor names.
    since: Revision,
    /// After it, the revisions that more than one key has.
    shared: HashSet<Revision>,
}

/// How far it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    transactions: u64,
    /// By adding, so that the sum of a part is that of the whole without the rest.
    sum: u32,
    shape: usize,
    names: usize,
    text: usize,
}

impl Batch {
    pub(crate) fn new(since: Revision) -> Batch {
        let (shape, names, text) = (Vec::new(), Vec::new(), Vec::new());
        Batch { first: since, extent: Extent::default(), shape, names, text, since, shared: HashSet::new() }
    }

    /// What it takes on disk, without the head of its frame, at most.
    pub(crate) fn bytes(&self) -> usize {
        self.shape.len() + self.names.len() + self.text.len()
    }

    pub(crate) fn extent(&self) -> Extent {
        self.extent
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.extent.transactions == 0
    }

    /// Adds a transaction, at the revision after the one before.
    pub(crate) fn push<'a>(
        &mut self,
        revision: Revision,
        events: impl ExactSizeIterator<Item = &'a Event>,
        seal: Option<&dyn Seal>,
    ) {
        if self.is_empty() {
            self.first = revision;
        }
        debug_assert_eq!(revision.0, self.first.0 + self.extent.transactions, "revisions of a batch are consecutive");
        if events.len() > 1 {
            self.share(revision);
        }
        varint::put(&mut self.shape, events.len() as u64);
        let digits = revision.to_string();
        events.for_each(|event| self.operation(event, &digits, seal));
        self.extent.transactions += 1;
        (self.extent.shape, self.extent.names) = (self.shape.len(), self.names.len());
        self.extent.text = self.text.len();
    }

    fn share(&mut self, revision: Revision) {
        if self.shared.len() == MAX_SHARED {
            self.shared.clear();
            self.since = revision;
        }
        self.shared.insert(revision);
    }

    fn operation(&mut self, event: &Event, digits: &str, seal: Option<&dyn Seal>) {
        let before = event.previous.as_ref().filter(|kv| kv.mod_revision > self.since);
        let name = before.map(|kv| kv.mod_revision).filter(|revision| !self.shared.contains(revision));
        let sealed = event.current.as_ref().and_then(|kv| seal?.seal(&kv.key, &kv.value));
        let patch = match (&event.current, before, &sealed) {
            (Some(kv), Some(before), None) => Patch::between(&before.value, &kv.value, digits),
            _ => None,
        };
        let what = match (&event.current, &patch) {
            (None, _) => DELETE,
            (Some(_), None) => WHOLE,
            (Some(_), Some(_)) => PATCH,
        };
        self.shape.push(what | if name.is_some() { BY_REVISION } else { 0 });
        match name {
            Some(name) => varint::put(&mut self.names, event.revision.0 - name.0),
            None => self.put(&event.key),
        }
        match (&event.current, patch) {
            (None, _) => {}
            (Some(kv), Some(patch)) => {
                patch.put(&mut self.shape, &mut self.text);
                self.extent.sum = self.extent.sum.wrapping_add(crc32c::crc32c(&kv.value));
            }
            (Some(kv), None) => self.put(sealed.as_deref().unwrap_or(&kv.value)),
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        varint::put(&mut self.shape, bytes.len() as u64);
        self.text.extend_from_slice(bytes);
    }

    /// Takes back what was added since.
    pub(crate) fn undo(&mut self, to: Extent) {
        self.shape.truncate(to.shape);
        self.names.truncate(to.names);
        self.text.truncate(to.text);
        self.extent = to;
    }

    pub(crate) fn clear(&mut self) {
        /// Buffers that grew beyond this for a large batch are given back.
        const KEEP_BYTES: usize = 1 << 20;
        self.undo(Extent::default());
        [&mut self.shape, &mut self.names, &mut self.text].into_iter().for_each(|stream| stream.shrink_to(KEEP_BYTES));
    }

    /// The payload of a frame with what was added since.
    pub(crate) fn put_since(&self, out: &mut Vec<u8>, synced: u64, since: Extent, mut packer: Option<&mut Packer>) {
        record::put_head(out, record::BATCH, synced, Revision(self.first.0 + since.transactions));
        varint::put(out, self.extent.transactions - since.transactions);
        out.extend_from_slice(&self.extent.sum.wrapping_sub(since.sum).to_le_bytes());
        let streams = [&self.shape[since.shape..], &self.names[since.names..], &self.text[since.text..]];
        for stream in streams {
            varint::put(out, stream.len() as u64);
            match packer.as_mut().and_then(|packer| packer.pack(stream)) {
                Some(packed) => {
                    varint::put(out, packed.len() as u64);
                    out.extend_from_slice(packed);
                }
                None => {
                    varint::put(out, 0);
                    out.extend_from_slice(stream);
                }
            }
        }
    }
}
