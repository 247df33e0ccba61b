//! From what etcd tells to transactions of the state.
//!
//! Etcd cuts a long answer into fragments, anywhere, in the middle of a transaction too. All changes of a revision are
//! held back until the next revision, or the end of the answer, shows that there are no more of it.

use std::sync::Arc;

use super::{
    keys::{Keys, revision},
    messages::{self, WatchResponse},
    trouble::EtcdTrouble,
};
use crate::{
    event::{Changes, Event},
    revision::Revision,
    state::State,
};

const DELETE: i32 = 1;

/// The changes of a revision that may not be all yet.
#[derive(Default)]
pub(crate) struct Assembly {
    open: Vec<messages::Event>,
}

/// Whole transactions, in order.
pub(crate) type Whole = Vec<(Revision, Vec<messages::Event>)>;

impl Assembly {
    /// Takes an answer, and gives out what is whole.
    pub(crate) fn add(&mut self, answer: WatchResponse) -> Whole {
        let mut whole = Whole::new();
        for event in answer.events {
            let (at, before) = (at(&event), self.open.last().map(self::at));
            if let Some(before) = before.filter(|before| *before != at) {
                whole.push((before, std::mem::take(&mut self.open)));
            }
            self.open.push(event);
        }
        if !answer.fragment
            && let Some(last) = self.open.last().map(self::at)
        {
            whole.push((last, std::mem::take(&mut self.open)));
        }
        whole
    }
}

fn at(event: &messages::Event) -> Revision {
    revision(event.kv.as_ref().map_or(0, |kv| kv.mod_revision))
}

/// Moves the state on by one transaction. `None` if nothing of it is for callers: the revision is new all the same.
pub(crate) fn apply(
    state: &mut State,
    keys: &Keys,
    at: Revision,
    events: Vec<messages::Event>,
) -> Result<Option<Changes>, EtcdTrouble> {
    if at <= state.revision {
        return Err(EtcdTrouble::Disordered { revision: at });
    }
    let changes = events.into_iter().filter_map(|event| change(state, keys, at, event).transpose());
    let changes: Changes = changes.collect::<Result<Vec<_>, _>>()?.into();
    if changes.is_empty() {
        state.revision = at;
        return Ok(None);
    }
    state.push(at, changes.clone());
    Ok(Some(changes))
}

fn change(state: &State, keys: &Keys, at: Revision, event: messages::Event) -> Result<Option<Arc<Event>>, EtcdTrouble> {
    let Some(mut kv) = event.kv else { return Ok(None) };
    let Some(key) = keys.here(&kv.key) else { return Ok(None) };
    kv.key.clear();
    let previous = state.keys.get(&key).cloned();
    // The key that is already in the map is the one to share.
    let key = previous.as_ref().map_or(key, |kv| kv.key.clone());
    let current = if event.r#type == DELETE { None } else { Some(keys.version(key.clone(), kv)?) };
    // A key that was not there and is not there has not changed.
    let changed = previous.is_some() || current.is_some();
    Ok(changed.then(|| Arc::new(Event { revision: at, key, current, previous })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(key: &str, at: i64, r#type: i32) -> messages::Event {
        let kv = messages::KeyValue {
            key: key.to_owned().into(),
            create_revision: at,
            mod_revision: at,
            version: 1,
            value: "v".into(),
        };
        messages::Event { r#type, kv: Some(kv) }
    }

    fn answer(events: &[(&str, i64)], fragment: bool) -> WatchResponse {
        let events = events.iter().map(|(key, at)| event(key, *at, 0)).collect();
        WatchResponse { events, fragment, ..WatchResponse::default() }
    }

    fn shape(whole: &Whole) -> Vec<(u64, usize)> {
        whole.iter().map(|(revision, events)| (revision.0, events.len())).collect()
    }

    #[test]
    fn a_transaction_in_fragments_comes_whole() {
        let mut assembly = Assembly::default();
        assert_eq!(shape(&assembly.add(answer(&[("a", 5), ("b", 5), ("c", 6)], true))), [(5, 2)]);
        assert_eq!(shape(&assembly.add(answer(&[("d", 6)], true))), []);
        assert_eq!(shape(&assembly.add(answer(&[("e", 6), ("f", 8)], false))), [(6, 3), (8, 1)]);
        assert_eq!(shape(&assembly.add(answer(&[("g", 9)], false))), [(9, 1)]);
        assert_eq!(shape(&assembly.add(answer(&[], false))), []);
    }

    #[test]
    fn what_is_told_twice_is_noticed() {
        let keys = Keys::new(&crate::etcd::EtcdConfig {
            root: Vec::new(),
            ..crate::etcd::EtcdConfig::new(["http://127.0.0.1:1"])
        });
        let mut state = State::shared_at(Revision(3), crate::state::Keys::new());
        let put = |at| vec![event("/registry/a", at, 0)];
        assert!(matches!(apply(&mut state, &keys, Revision(7), put(7)), Ok(Some(changes)) if changes.len() == 1));
        // Every number up to now is a moment.
        assert!(state.window(Revision(5)).is_ok() && state.window(Revision(2)).is_err());
        assert!(matches!(apply(&mut state, &keys, Revision(7), put(7)), Err(EtcdTrouble::Disordered { .. })));
        // What nobody can have asked for moves the clock all the same.
        let beacon = vec![event("/registry/knarr.io/beacon", 9, 0), event("/registry/gone", 9, DELETE)];
        assert!(matches!(apply(&mut state, &keys, Revision(9), beacon), Ok(None)));
        assert_eq!((state.revision, state.history.len()), (Revision(9), 1));
    }
}
