//! Clients that do random things, watches that come and go, and the watch of everything. All of it is recorded.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::timeout;

use crate::{
    RELAXED,
    backend::{Backend, Change, Following, Revision, Said, Transaction, Unread, Written},
    history::{History, WatchLog},
    verdict::Rule,
};
use testkit::Dice;

/// How long anything may take before the run is called stuck.
pub const PATIENCE: Duration = Duration::from_secs(60);
const KEYS: u64 = 4;
const PAIRS: u64 = 2;
const RELAXED_KEYS: u64 = 2;
/// Positions of earlier watches, from which later ones resume.
const REMEMBERED: usize = 32;
const PREFIXES: [&str; 6] = ["", "k/", "k/1", "p/", "p/0/", RELAXED];

/// What outlives a backend that dies: the record, and what clients remember.
pub struct Run {
    pub history: History,
    serial: AtomicU64,
    /// How far the watch of everything has come.
    told: AtomicU64,
    places: Mutex<Vec<(&'static str, Revision)>>,
}

impl Run {
    /// `first` is the revision of the empty backend.
    pub fn new(first: Revision) -> Arc<Run> {
        let (serial, told) = (AtomicU64::new(0), AtomicU64::new(first));
        Arc::new(Run { history: History::default(), serial, told, places: Mutex::default() })
    }

    pub fn told(&self) -> Revision {
        self.told.load(Ordering::SeqCst)
    }

    /// Written once in a run.
    pub fn value(&self, rest: &str) -> String {
        format!("{}-{rest}", self.serial.fetch_add(1, Ordering::SeqCst))
    }
}

/// What does not compress is made of these.
const NOISE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// One life of a backend.
#[derive(Clone)]
pub struct Life {
    pub run: Arc<Run>,
    pub backend: Arc<dyn Backend>,
    over: Arc<AtomicBool>,
}

impl Life {
    pub fn new(run: Arc<Run>, backend: Arc<dyn Backend>) -> Life {
        Life { run, backend, over: Arc::default() }
    }

    /// Clients end after the call they are in.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Does up to `calls` random things; ends when the backend no longer answers.
    pub async fn client(self, mut dice: Dice, calls: u64) {
        let mut known: HashMap<String, Revision> = HashMap::new();
        for _ in 0..calls {
            if self.is_over() {
                return;
            }
            let call = self.call(&mut dice, &mut known);
            match timeout(PATIENCE, call).await {
                Ok(true) => {}
                Ok(false) if self.backend.comes_back() => self.pause().await,
                Ok(false) => return self.end(),
                Err(_) => panic!("a call was not answered in {PATIENCE:?}"),
            }
            tokio::task::yield_now().await;
        }
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    /// One random call; false when the backend is gone.
    async fn call(&self, dice: &mut Dice, known: &mut HashMap<String, Revision>) -> bool {
        match dice.roll(100) {
            0..30 => self.get(&some_key(dice), known).await,
            30..40 => self.list(dice, known).await,
            40..42 => {
                let told = self.run.told();
                let back = dice.roll(60);
                self.backend.compact(told.saturating_sub(back)).await;
                true
            }
            _ => self.write(dice, known).await,
        }
    }

    async fn get(&self, key: &str, known: &mut HashMap<String, Revision>) -> bool {
        let begun = self.run.history.clock.now();
        let Ok(answer) = self.backend.get(key).await else { return false };
        known.insert(key.to_owned(), answer.0.as_ref().map_or(0, |version| version.revision));
        self.run.history.got(begun, key.to_owned(), answer);
        true
    }

    async fn list(&self, dice: &mut Dice, known: &mut HashMap<String, Revision>) -> bool {
        let prefix = PREFIXES[dice.roll(PREFIXES.len() as u64) as usize];
        let past = known.values().copied().filter(|revision| *revision > 0).max();
        let at = past.filter(|_| dice.roll(2) == 0);
        let begun = self.run.history.clock.now();
        match self.backend.list(prefix, at).await {
            Ok(listing) => {
                known.extend(listing.items.iter().map(|(key, version)| (key.clone(), version.revision)));
                self.run.history.listed(begun, (prefix.to_owned(), at), listing);
                true
            }
            Err(Unread::Gone) => false,
            Err(Unread::Future) => {
                self.is_future(at.unwrap_or_default());
                true
            }
            Err(Unread::Compacted) => true,
        }
    }

    async fn write(&self, dice: &mut Dice, known: &mut HashMap<String, Revision>) -> bool {
        let asked = self.transaction(dice, known);
        let begun = self.run.history.clock.now();
        let answer = self.backend.write(asked.clone()).await;
        match &answer {
            Written::Done { revision } => {
                for change in &asked.changes {
                    known.insert(change.key().to_owned(), change.value().map_or(0, |_| *revision));
                }
            }
            Written::Conflict { key, current: Some(current) } => {
                known.insert(key.clone(), current.as_ref().map_or(0, |version| version.revision));
            }
            Written::DoneSomewhen => {
                known.extend(asked.changes.iter().map(|change| (change.key().to_owned(), 0)));
            }
            Written::Conflict { key, current: None } => {
                known.remove(key);
            }
            Written::Refused | Written::Unknown => {}
        }
        let gone = answer == Written::Unknown;
        self.run.history.wrote(begun, asked, answer);
        !gone
    }

    fn transaction(&self, dice: &mut Dice, known: &HashMap<String, Revision>) -> Transaction {
        let value = self.value(dice);
        if self.backend.has_transactions() && dice.roll(6) == 0 {
            let pair = dice.roll(PAIRS);
            let put = |side: &str| Change::Put { key: format!("p/{pair}/{side}"), value: format!("{value}{side}") };
            return Transaction { changes: vec![put("a"), put("b")], relaxed: false };
        }
        let key = some_key(dice);
        let relaxed = key.starts_with(RELAXED);
        let expected = known.get(&key).copied();
        let change = match (dice.roll(8), expected) {
            (0..=1, _) if self.backend.has_transactions() => Change::Put { key, value },
            // What it was once, or what it never was.
            (2, Some(1..)) => Change::Update { key, expected: 1, value },
            (3, Some(expected @ 1..)) => Change::Delete { key, expected },
            (_, Some(expected @ 1..)) => Change::Update { key, expected, value },
            _ => Change::Create { key, value },
        };
        Transaction { changes: vec![change], relaxed }
    }

    /// Written once in a run.
    fn value(&self, dice: &mut Dice) -> String {
        let length = if dice.roll(10) == 0 { dice.roll(3000) } else { dice.roll(100) };
        // Some differ little from what was there before, and some have nothing in common with anything.
        if dice.roll(2) == 0 {
            return self.run.value(&"v".repeat(length as usize));
        }
        let noise = |_| char::from(NOISE[dice.roll(NOISE.len() as u64) as usize]);
        self.run.value(&(0..length).map(noise).collect::<String>())
    }

    /// Opens watches one after the other, and follows each for a while; some from where an earlier one was.
    pub async fn watcher(self, mut dice: Dice) {
        while !self.is_over() {
            let (prefix, after) = self.place(&mut dice);
            let opened = self.run.history.clock.now();
            let mut watch = match self.backend.watch(prefix, after).await {
                Ok(watch) => watch,
                Err(Unread::Compacted) => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Err(Unread::Future) => return self.is_future(after),
                Err(Unread::Gone) if self.backend.comes_back() => {
                    self.pause().await;
                    continue;
                }
                Err(Unread::Gone) => return,
            };
            let log = WatchLog { prefix: prefix.to_owned(), after, opened, said: Vec::new() };
            let messages = 1 + dice.roll(60);
            let log = self.follow(&mut *watch, log, &mut dice, messages).await;
            self.remember(prefix, &log, &mut dice);
            self.run.history.watched(log);
        }
    }

    /// What was seen was given out, and is not yet to come.
    fn is_future(&self, revision: Revision) {
        self.run.history.broke(Rule::Revisions, format!("{revision} was seen and is said to be in the future"));
    }

    fn place(&self, dice: &mut Dice) -> (&'static str, Revision) {
        let places = self.run.places.lock();
        if !places.is_empty() && dice.roll(3) > 0 {
            return places[dice.roll(places.len() as u64) as usize];
        }
        let back = dice.roll(40) * dice.roll(2);
        // A number that was never given out is refused, so the way back is from one that was.
        let told = self.run.told();
        (PREFIXES[dice.roll(PREFIXES.len() as u64) as usize], told.saturating_sub(back).max(1))
    }

    fn remember(&self, prefix: &'static str, log: &WatchLog, dice: &mut Dice) {
        let Some((_, said)) = log.said.last() else { return };
        let place = match said {
            Said::Events(events) => events.last().map_or(log.after, |event| event.revision),
            Said::Bookmark(revision) => *revision,
        };
        let mut places = self.run.places.lock();
        if places.len() < REMEMBERED {
            places.push((prefix, place));
        } else {
            places[dice.roll(REMEMBERED as u64) as usize] = (prefix, place);
        }
    }

    async fn follow(&self, watch: &mut dyn Following, mut log: WatchLog, dice: &mut Dice, messages: u64) -> WatchLog {
        /// A watch that hears nothing for so long looks whether all is over.
        const QUIET: Duration = Duration::from_millis(20);
        let now = || self.run.history.clock.now();
        let mut left = messages;
        while left > 0 {
            match dice.roll(12) {
                // Somebody slow, so that changes gather; then a bookmark is asked for.
                0 => tokio::time::sleep(Duration::from_millis(1 + dice.roll(3))).await,
                1 => tokio::task::yield_now().await,
                _ => {}
            }
            if dice.roll(3) == 0
                && let Some(revision) = watch.progress().await
            {
                log.said.push((now(), Said::Bookmark(revision)));
            }
            match timeout(QUIET, watch.next()).await {
                Ok(Some(said)) => {
                    log.said.push((now(), said));
                    left -= 1;
                }
                Ok(None) => break,
                // Over, and nothing more to say.
                Err(_) if self.is_over() => break,
                Err(_) => {}
            }
        }
        log
    }

    /// Opens the watch of everything, where the one of the life before ended. `None` if the backend is gone.
    pub async fn open_recorder(&self) -> Option<(Box<dyn Following>, WatchLog)> {
        loop {
            let after = self.run.told();
            let opened = self.run.history.clock.now();
            match self.backend.watch("", after).await {
                Ok(watch) => {
                    return Some((watch, WatchLog { prefix: String::new(), after, opened, said: Vec::new() }));
                }
                Err(Unread::Gone) if self.backend.comes_back() && !self.is_over() => self.pause().await,
                Err(Unread::Gone) => return None,
                Err(Unread::Future) => {
                    self.is_future(after);
                    return None;
                }
                Err(Unread::Compacted) => match self.backend.list("", None).await {
                    Ok(listing) => {
                        self.run.history.missed(after, listing.revision);
                        self.run.told.store(listing.revision, Ordering::SeqCst);
                    }
                    Err(_) if self.backend.comes_back() && !self.is_over() => self.pause().await,
                    Err(_) => return None,
                },
            }
        }
    }

    /// Follows everything to the end of this life: what all the others are compared with.
    pub async fn recorder(self, mut watch: Box<dyn Following>, mut log: WatchLog) {
        loop {
            self.record(&mut *watch, log).await;
            if !self.backend.comes_back() || self.is_over() {
                return;
            }
            match self.open_recorder().await {
                Some(again) => (watch, log) = again,
                None => return,
            }
        }
    }

    async fn record(&self, watch: &mut dyn Following, mut log: WatchLog) {
        let after = log.after;
        while let Some(said) = watch.next().await {
            match &said {
                Said::Events(events) => {
                    self.run.history.changed(events.clone());
                    let newest = events.last().map_or(after, |event| event.revision);
                    self.run.told.fetch_max(newest, Ordering::SeqCst);
                }
                Said::Bookmark(revision) => {
                    self.run.told.fetch_max(*revision, Ordering::SeqCst);
                }
            }
            log.said.push((self.run.history.clock.now(), said));
        }
        self.run.history.watched(log);
    }

    /// Waits until the watch of everything has told this revision. The backend must say bookmarks or have events.
    pub async fn recorded(&self, revision: Revision) {
        let all = async {
            while self.run.told() < revision {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("{revision} was not told; only {}", self.run.told()));
    }
}

fn some_key(dice: &mut Dice) -> String {
    match dice.roll(10) {
        0..6 => format!("k/{}", dice.roll(KEYS)),
        6..8 => format!("{RELAXED}{}", dice.roll(RELAXED_KEYS)),
        _ => format!("p/{}/{}", dice.roll(PAIRS), ["a", "b"][dice.roll(2) as usize]),
    }
}
