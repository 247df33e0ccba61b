//! The state that records lead to, one after the other.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    config::StoreConfig,
    event::Event,
    failpoints::{self, Bug},
    key_value::Key,
    local::{
        batch::{Name, Names, Operation, Read},
        record::Mark,
    },
    revision::Revision,
    seal::Unsealable,
    state::{State, transaction},
};

/// Why a record cannot be replayed.
pub(super) enum Bad {
    /// It is none.
    Record,
    /// It does not follow the one before.
    Sequence,
    /// It changes what is not there.
    Base,
    Sealed(Key, Unsealable),
}

pub(super) struct Replayed<'a> {
    pub(super) state: State,
    /// The revision of the last record read, which may be before the checkpoint.
    pub(super) last: Revision,
    /// The newest transaction read.
    pub(super) kept: Revision,
    names: Names,
    config: &'a StoreConfig,
}

impl<'a> Replayed<'a> {
    pub(super) fn new(state: State, last: Revision, config: &'a StoreConfig) -> Replayed<'a> {
        Replayed { state, last, kept: Revision::default(), names: Names::default(), config }
    }

    pub(super) fn mark(&mut self, mark: Mark, revision: Revision) -> Result<(), Bad> {
        let follows = match mark {
            Mark::Skip => revision > self.last,
            Mark::Closed => revision == self.last,
        };
        if !follows {
            return Err(Bad::Sequence);
        }
        self.last = revision;
        if revision > self.state.revision {
            self.push(revision, Vec::new());
        }
        Ok(())
    }

    pub(super) fn transaction(&mut self, revision: Revision, ops: Vec<(Key, Option<Bytes>)>) -> Result<(), Bad> {
        self.follows(revision)?;
        if revision > self.state.revision {
            let change = |(key, stored): (Key, Option<Bytes>)| {
                let value = stored.map(|stored| self.open(&key, stored)).transpose()?;
                Ok(Arc::new(transaction::event(&self.state, revision, key, value)))
            };
            let changes = ops.into_iter().map(change).collect::<Result<_, Bad>>()?;
            self.push(revision, changes);
        }
        Ok(())
    }

    /// What a checkpoint has already is read past: the bases of its changes are no longer known.
    pub(super) fn batch(&mut self, batch: &Read) -> Result<(), Bad> {
        let mut cursor = batch.cursor();
        let (mut sum, mut is_all_new) = (0u32, true);
        for number in 0..batch.transactions {
            let revision = Revision(batch.first.0 + number);
            self.follows(revision)?;
            let is_new = revision > self.state.revision;
            is_all_new &= is_new;
            let mut changes = Vec::new();
            for _ in 0..cursor.operations().ok_or(Bad::Record)? {
                let (name, operation) = cursor.operation(revision).ok_or(Bad::Record)?;
                if is_new {
                    changes.push(Arc::new(self.event(revision, name, operation, &mut sum)?));
                }
            }
            if is_new {
                self.push(revision, changes);
            }
        }
        match cursor.is_at_end() {
            false => Err(Bad::Record),
            true if is_all_new && sum != batch.sum => Err(Bad::Base),
            true => Ok(()),
        }
    }

    fn event(&mut self, revision: Revision, name: Name, operation: Operation, sum: &mut u32) -> Result<Event, Bad> {
        let key = match name {
            Name::Whole(key) => Key::from(key),
            Name::ChangedAt(revision) => self.names.find(revision, &self.state.keys).ok_or(Bad::Base)?,
        };
        let value = match operation {
            Operation::Delete => None,
            Operation::Whole(stored) => Some(self.open(&key, Bytes::copy_from_slice(stored))?),
            Operation::Patch(changed) => {
                let mut base = self.state.keys.get(&key).ok_or(Bad::Base)?;
                if failpoints::has(Bug::WrongBase) {
                    base = self.state.floor_keys.get(&key).unwrap_or(base);
                }
                let mut value = changed.of(&base.value).ok_or(Bad::Base)?;
                value.shrink_to_fit();
                *sum = sum.wrapping_add(crc32c::crc32c(&value));
                // Nothing that is sealed is patched, but whether this may lie in the open is the seal's to say.
                Some(self.open(&key, value.into())?)
            }
        };
        Ok(transaction::event(&self.state, revision, key, value))
    }

    fn open(&self, key: &Key, stored: Bytes) -> Result<Bytes, Bad> {
        match &self.config.seal {
            Some(seal) => seal.open(key, stored).map_err(|why| Bad::Sealed(key.clone(), why)),
            None => Ok(stored),
        }
    }

    /// A transaction at this revision is read.
    fn follows(&mut self, revision: Revision) -> Result<(), Bad> {
        if revision != self.last.next() {
            return Err(Bad::Sequence);
        }
        (self.last, self.kept) = (revision, revision);
        Ok(())
    }

    fn push(&mut self, revision: Revision, changes: Vec<Arc<Event>>) {
        self.names.changed(&changes);
        self.state.push(revision, changes.into());
        self.trim();
    }

    /// Keeps to the bounds of the history, so that a long log needs no more memory than a short one.
    fn trim(&mut self) {
        while self.state.history.len() > self.config.history_revisions
            || self.state.history_weight > self.config.history_bytes + self.state.live_bytes / 8
        {
            if !self.state.drop_oldest() {
                return;
            }
        }
    }
}
