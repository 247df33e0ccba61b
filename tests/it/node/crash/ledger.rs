//! What was written and acknowledged, and what may have been written when the server died.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use client::{Client, Error};
use serde_json::{Value, json};

pub(super) const PATH: &str = "/api/v1/namespaces/default/configmaps?labelSelector=crash";
const ALL: &str = "/api/v1/namespaces/default/configmaps";
const WRITERS: usize = 4;
const KEYS: usize = 3;
/// Every so many steps a writer deletes what it writes to, if it is there.
const DELETE_EVERY: u64 = 5;

/// One ConfigMap. Nobody but its writer writes it, one thing after the other.
#[derive(Clone, Debug, Default)]
struct Key {
    /// The value as acknowledged, or that there is none.
    known: Option<String>,
    /// What was asked for and not answered.
    asked: Option<Option<String>>,
}

/// Writes to keys of its own.
#[derive(Debug, Default)]
pub(super) struct Writer {
    number: usize,
    keys: [Key; KEYS],
    step: u64,
}

/// Everything, over all lives.
#[derive(Debug)]
pub(super) struct Ledger {
    writers: [Writer; WRITERS],
    /// The newest revision anybody was told.
    newest: AtomicU64,
}

impl Default for Ledger {
    fn default() -> Self {
        let writers = std::array::from_fn(|number| Writer { number, ..Writer::default() });
        Self { writers, newest: AtomicU64::new(0) }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writes: u64 = self.writers.iter().map(|writer| writer.step).sum();
        write!(f, "{writes} writes, the newest revision is {}", self.newest.load(Ordering::SeqCst))
    }
}

/// The revision of an object or a list.
fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

impl Ledger {
    /// Each of them with the newest revision, which all of them tell of.
    pub(super) fn writers(&mut self) -> impl Iterator<Item = Writing<'_>> {
        let newest = &self.newest;
        self.writers.iter_mut().map(move |writer| Writing { writer, newest })
    }

    /// Compares with the list of all that was written. What was asked for and not answered is known from here on.
    pub(super) fn check(&mut self, list: &Value) {
        let before = self.newest.fetch_max(revision(list), Ordering::SeqCst);
        assert!(revision(list) >= before, "the revision went back from {before} to {}", revision(list));
        let items = list["items"].as_array().unwrap();
        let mut found = 0;
        for writer in &mut self.writers {
            for (number, key) in writer.keys.iter_mut().enumerate() {
                let name = name(writer.number, number);
                let item = items.iter().find(|item| item["metadata"]["name"] == name.as_str());
                let value = item.map(|item| item["data"]["value"].as_str().unwrap().to_owned());
                let is_explained = value == key.known || key.asked.as_ref().is_some_and(|asked| *asked == value);
                assert!(is_explained, "{name} is {value:.40?}, but was said to be {key:.40?}");
                found += usize::from(value.is_some());
                *key = Key { known: value, asked: None };
            }
        }
        assert_eq!(found, items.len(), "something is there that nobody wrote: {list}");
    }
}

fn name(writer: usize, key: usize) -> String {
    format!("crash-{writer}-{key}")
}

/// A writer at work.
pub(super) struct Writing<'a> {
    writer: &'a mut Writer,
    newest: &'a AtomicU64,
}

impl Writing<'_> {
    /// Writes until the server is gone.
    pub(super) async fn run(mut self, client: &Client) {
        while self.write(client).await {}
    }

    /// One write; false when it was not answered.
    async fn write(&mut self, client: &Client) -> bool {
        let writer = &mut *self.writer;
        writer.step += 1;
        let (step, number) = (writer.step, (writer.step as usize) % KEYS);
        let key = &mut writer.keys[number];
        let name = name(writer.number, number);
        let value = format!("{step} {}", "x".repeat((step * 131 % 3000) as usize));
        let wanted = (key.known.is_none() || !step.is_multiple_of(DELETE_EVERY)).then_some(value);
        key.asked = Some(wanted.clone());
        let (method, path) = match (&key.known, &wanted) {
            (None, _) => ("POST", ALL.to_owned()),
            (Some(_), Some(_)) => ("PUT", format!("{ALL}/{name}")),
            (Some(_), None) => ("DELETE", format!("{ALL}/{name}")),
        };
        let body = wanted.as_ref().map_or(Value::Null, |value| {
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "value": value },
                "metadata": { "name": name, "labels": { "crash": "" } } })
        });
        let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(&body).unwrap() };
        let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        let before = self.newest.load(Ordering::SeqCst);
        match client.request::<Value>(request.body(bytes.into()).unwrap()).await {
            Ok(answer) => {
                // The answer to a deletion tells no revision.
                if wanted.is_some() {
                    let now = revision(&answer);
                    assert!(now > before, "{method} {name} at {now}, but {before} was told before");
                    self.newest.fetch_max(now, Ordering::SeqCst);
                }
                *key = Key { known: wanted, asked: None };
                true
            }
            Err(Error::Api(status)) => panic!("{method} {name} was refused: {status:?}"),
            Err(_) => false,
        }
    }
}
