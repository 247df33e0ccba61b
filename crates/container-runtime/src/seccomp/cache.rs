//! Filters compiled before, since the pods of a node have few distinct profiles and compiling one takes milliseconds.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Filter, Profile, ProfileError};

/// A filter is 10 to 20 KiB. The one not used for longest makes room.
const FILTERS: usize = 32;

/// Filters by what they were made from, the last used first.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    known: Mutex<VecDeque<(Profile, Arc<Filter>)>>,
}

impl Filters {
    /// The filter of a profile. Blocks while it is compiled; whoever wants it meanwhile waits for the same one.
    pub(crate) fn of(&self, profile: Profile) -> Result<Arc<Filter>, ProfileError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().position(|(other, _)| *other == profile);
        let entry = match found.and_then(|at| known.remove(at)) {
            Some(entry) => entry,
            None => {
                let filter = Arc::new(profile.compile()?);
                (profile, filter)
            }
        };
        let filter = entry.1.clone();
        known.push_front(entry);
        known.truncate(FILTERS);
        Ok(filter)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    #[cfg(test)]
    pub(super) const LIMIT: usize = FILTERS;
}
