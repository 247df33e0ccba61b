//! All keys below the prefix, at one revision.

use std::sync::Arc;

use tokio::time::{Duration, Instant};

use super::{
    calls::{Calls, Unread},
    keys::{Keys, revision},
    messages::RangeRequest,
    trouble::EtcdTrouble,
};
use crate::{
    revision::Revision,
    snapshot::Snapshot,
    state::{self, State},
};

/// Keys asked for at once, until it is known how large they are.
const FIRST_PAGE: usize = 64;
const LARGEST_PAGE: usize = 4096;
/// How large a page should be.
const PAGE_BYTES: usize = 4 << 20;
/// The longest one page may take, over all attempts.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads everything as it was up to so many revisions ago, as far as etcd still knows: the changes since then are the
/// history to begin with, so that whoever watched before a restart, or elsewhere, can go on.
pub(crate) async fn list_with_past(calls: &Calls, keys: &Keys, mut back: u64) -> Result<State, EtcdTrouble> {
    let nothing = state::Keys::new();
    let (key, _) = keys.range();
    let asked = RangeRequest { key, keys_only: true, ..RangeRequest::default() };
    let now = match calls.range(&asked, Instant::now() + PAGE_TIMEOUT).await {
        Ok(answer) => answer.header.unwrap_or_default().revision,
        Err(unread) => return Err(unread.into_trouble()),
    };
    while back > 0 {
        let from = now.saturating_sub_unsigned(back).max(1);
        match list_at(calls, keys, &nothing, Some(from)).await {
            // What could not be read then was perhaps mended since; a history of it helps nobody.
            Ok(state) if keys.unreadable(&Snapshot::of(&state)).is_some() => break,
            Ok(state) => return Ok(state),
            // Etcd does not say how far it does know; half of it is as good a guess as any.
            Err(Unread::Compacted) => back /= 2,
            // It may have been mended since.
            Err(Unread::Trouble(EtcdTrouble::Unreadable { .. })) => break,
            Err(unread) => return Err(unread.into_trouble()),
        }
    }
    list(calls, keys, &nothing).await
}

/// Reads everything as it is now. Versions that `known` has already are taken from there: they are the same bytes.
pub(crate) async fn list(calls: &Calls, keys: &Keys, known: &state::Keys) -> Result<State, EtcdTrouble> {
    loop {
        match list_at(calls, keys, known, None).await {
            Ok(state) => return Ok(state),
            // Somebody compacts faster than we read: from the beginning, with what is there now.
            Err(Unread::Compacted) => tokio::task::yield_now().await,
            Err(Unread::Trouble(trouble)) => return Err(trouble),
        }
    }
}

async fn list_at(calls: &Calls, keys: &Keys, known: &state::Keys, from: Option<i64>) -> Result<State, Unread> {
    let (mut next, range_end) = keys.range();
    let (mut found, mut at, mut page) = (state::Keys::new(), from, FIRST_PAGE);
    loop {
        let asked = RangeRequest {
            key: next,
            range_end: range_end.clone(),
            limit: page as i64,
            revision: at.unwrap_or(0),
            keys_only: false,
        };
        let answer = match calls.range(&asked, Instant::now() + PAGE_TIMEOUT).await {
            Ok(answer) => answer,
            Err(Unread::Trouble(EtcdTrouble::TooLong { .. })) if page > 1 => {
                page /= 2;
                next = asked.key;
                continue;
            }
            Err(unread) => return Err(unread),
        };
        let at = *at.get_or_insert(answer.header.unwrap_or_default().revision);
        let bytes: usize = answer.kvs.iter().map(|kv| kv.key.len() + kv.value.len()).sum();
        page = next_page(answer.kvs.len(), bytes);
        // The key right after the last one.
        let last = answer.kvs.last().map(|kv| [&kv.key[..], &[0]].concat());
        for mut kv in answer.kvs {
            let Some(key) = keys.here(&kv.key) else { continue };
            kv.key.clear();
            let same = known.get(&key).filter(|known| known.mod_revision == revision(kv.mod_revision));
            let version = match same {
                Some(same) => same.clone(),
                None => keys.version(key, kv).map_err(Unread::Trouble)?,
            };
            found.insert(version.key.clone(), version);
        }
        match last.filter(|_| answer.more) {
            Some(last) => next = last.into(),
            None => return Ok(State::shared_at(revision(at), found)),
        }
        tokio::task::yield_now().await;
    }
}

fn next_page(count: usize, bytes: usize) -> usize {
    let average = (bytes / count.max(1)).max(1);
    (PAGE_BYTES / average).clamp(1, LARGEST_PAGE)
}

/// Two versions of the whole: whether anything of the old one is told by the new one otherwise.
pub(crate) fn went_back(old: &State, new: &State) -> Option<EtcdTrouble> {
    let (known, found): (Revision, Revision) = (old.revision, new.revision);
    let is_other = |(key, kv): (&crate::Key, &Arc<crate::KeyValue>)| {
        new.keys.get(key).is_some_and(|now| now.mod_revision < kv.mod_revision)
    };
    (found < known || old.keys.iter().any(is_other)).then_some(EtcdTrouble::WentBack { known, found })
}
