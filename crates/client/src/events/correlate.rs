//! Which events are written, which only counted, which dropped, with client-go's numbers: the same event again
//! raises a count; more than [`MAX_SIMILAR`] similar ones within ten minutes become one; and one source may write
//! only so many about one object.

use std::collections::HashSet;
use std::time::Duration;

use api::core::v1::Event;
use tokio::time::Instant;

use super::lru::Lru;

/// Objects, sources and messages remembered.
const CACHE_LIMIT: usize = 4096;
/// Events alike but for their message, before they are combined.
const MAX_SIMILAR: usize = 10;
const SIMILAR_WINDOW: Duration = Duration::from_secs(600);
/// A source's events about one object: so many at once, then one per [`SPAM_REFILL`].
const SPAM_BURST: f64 = 25.0;
const SPAM_REFILL: Duration = Duration::from_secs(300);

type Key = Vec<String>;

/// What is known of an event that was written.
#[derive(Clone, Default)]
struct Written {
    count: i32,
    name: String,
    first: Option<api::meta::Time>,
}

struct Similar {
    messages: HashSet<String>,
    last: Instant,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// What to do with an event.
pub(super) enum Verdict {
    Create(Box<Event>),
    /// The event of this name happened again: its count, last time and message change.
    Repeat(Box<Event>),
    Drop,
}

pub(super) struct Correlator {
    similar: Lru<Key, Similar>,
    written: Lru<Key, Written>,
    buckets: Lru<Key, Bucket>,
}

impl Correlator {
    pub(super) fn new() -> Self {
        Self { similar: Lru::new(CACHE_LIMIT), written: Lru::new(CACHE_LIMIT), buckets: Lru::new(CACHE_LIMIT) }
    }

    pub(super) fn judge(&mut self, mut event: Event, now: Instant) -> (Verdict, Vec<String>) {
        let key = self.aggregate(&mut event, now);
        let known = self.written.get_or_insert_with(&key, Written::default).clone();
        if !self.has_token(&event, now) {
            return (Verdict::Drop, key);
        }
        if known.count == 0 {
            return (Verdict::Create(Box::new(event)), key);
        }
        event.count = Some(known.count + 1);
        event.metadata.name = Some(known.name);
        event.first_timestamp = known.first;
        (Verdict::Repeat(Box::new(event)), key)
    }

    /// The event stands on the server as given.
    pub(super) fn wrote(&mut self, key: Vec<String>, event: &Event) {
        let known = self.written.get_or_insert_with(&key, Written::default);
        known.count = event.count.unwrap_or(1);
        known.name = event.metadata.name.clone().unwrap_or_default();
        known.first = event.first_timestamp.clone();
    }

    pub(super) fn forget(&mut self, key: &Vec<String>) {
        self.written.remove(key);
    }

    fn aggregate(&mut self, event: &mut Event, now: Instant) -> Key {
        let group = similar_key(event);
        let message = event.message.clone().unwrap_or_default();
        let similar = self.similar.get_or_insert_with(&group, || Similar { messages: HashSet::new(), last: now });
        if now.duration_since(similar.last) > SIMILAR_WINDOW {
            similar.messages.clear();
        }
        similar.last = now;
        similar.messages.insert(message.clone());
        if similar.messages.len() < MAX_SIMILAR {
            let mut key = group;
            key.push(message);
            return key;
        }
        // The set stays at its limit however many messages come.
        if let Some(any) = similar.messages.iter().next().cloned() {
            similar.messages.remove(&any);
        }
        event.message = Some(format!("(combined from similar events): {message}"));
        group
    }

    fn has_token(&mut self, event: &Event, now: Instant) -> bool {
        let key = source_key(event);
        let bucket = self.buckets.get_or_insert_with(&key, || Bucket { tokens: SPAM_BURST, filled: now });
        let refill = now.duration_since(bucket.filled).as_secs_f64() / SPAM_REFILL.as_secs_f64();
        bucket.tokens = (bucket.tokens + refill).min(SPAM_BURST);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

fn source_key(event: &Event) -> Key {
    let source = event.source.clone().unwrap_or_default();
    let object = &event.involved_object;
    [
        source.component,
        source.host,
        object.kind.clone(),
        object.namespace.clone(),
        object.name.clone(),
        object.uid.clone(),
        object.api_version.clone(),
    ]
    .into_iter()
    .map(Option::unwrap_or_default)
    .collect()
}

fn similar_key(event: &Event) -> Key {
    let mut key = source_key(event);
    key.push(event.type_.clone().unwrap_or_default());
    key.push(event.reason.clone().unwrap_or_default());
    // Two containers of a pod fail apart.
    key.push(event.involved_object.field_path.clone().unwrap_or_default());
    key
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn event(name: &str, message: &str) -> Event {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name}, "involvedObject": {"kind": "Pod", "name": "p", "uid": "u"},
            "reason": "R", "type": "Normal", "count": 1, "message": message, "source": {"component": "c"},
        }))
        .unwrap()
    }

    fn judge(correlator: &mut Correlator, event: Event, now: Instant) -> Verdict {
        let (verdict, key) = correlator.judge(event, now);
        if let Verdict::Create(event) | Verdict::Repeat(event) = &verdict {
            correlator.wrote(key, event);
        }
        verdict
    }

    #[test]
    fn the_same_again_raises_the_count_of_the_first() {
        let (mut correlator, now) = (Correlator::new(), Instant::now());
        assert!(matches!(judge(&mut correlator, event("p.1", "m"), now), Verdict::Create(_)));
        for count in 2..5 {
            let Verdict::Repeat(again) = judge(&mut correlator, event("p.9", "m"), now) else { panic!("not counted") };
            assert_eq!((again.count, again.metadata.name.as_deref()), (Some(count), Some("p.1")));
        }
    }

    #[test]
    fn the_tenth_similar_event_is_combined() {
        let (mut correlator, now) = (Correlator::new(), Instant::now());
        for n in 0..9 {
            let verdict = judge(&mut correlator, event(&format!("p.{n}"), &format!("m{n}")), now);
            assert!(matches!(verdict, Verdict::Create(e) if !e.message.as_deref().unwrap().starts_with("(combined")));
        }
        let Verdict::Create(first) = judge(&mut correlator, event("p.x", "m10"), now) else { panic!("no new event") };
        assert_eq!(first.message.as_deref(), Some("(combined from similar events): m10"));
        let Verdict::Repeat(second) = judge(&mut correlator, event("p.y", "m11"), now) else { panic!("not counted") };
        assert_eq!((second.count, second.metadata.name.as_deref()), (Some(2), Some("p.x")));
    }

    #[test]
    fn a_flood_about_one_object_is_cut() {
        let (mut correlator, now) = (Correlator::new(), Instant::now());
        let passed = (0..100)
            .filter(|n| !matches!(judge(&mut correlator, event("p", &format!("{}", n % 3)), now), Verdict::Drop))
            .count();
        assert_eq!(passed, 25);
        let later = now + SPAM_REFILL;
        assert!(matches!(judge(&mut correlator, event("p", "1"), later), Verdict::Repeat(_)));
        assert!(matches!(judge(&mut correlator, event("p", "1"), later), Verdict::Drop));
    }
}
