//! Everything the clients asked and were told, and when.

use parking_lot::Mutex;

use crate::{
    backend::{Event, Listing, Revision, Said, Transaction, Version, Written},
    clock::{Clock, Moment},
    verdict::Rule,
};

/// A call with its answer.
#[derive(Clone, Debug)]
pub struct Call<Asked, Answer> {
    pub begun: Moment,
    pub ended: Moment,
    pub asked: Asked,
    pub answer: Answer,
}

/// A get: the key, and what it held.
pub type Get = Call<String, (Option<Version>, Option<Revision>)>;
/// A list: the prefix and the revision asked for.
pub type List = Call<(String, Option<Revision>), Listing>;
/// A write. One whose answer is [`Written::Unknown`] may take effect at any time after it began.
pub type Write = Call<Transaction, Written>;

/// One watch, from its opening on.
#[derive(Clone, Debug)]
pub struct WatchLog {
    pub prefix: String,
    pub after: Revision,
    pub opened: Moment,
    pub said: Vec<(Moment, Said)>,
}

/// A power cut, or the death of the process, and the return.
#[derive(Clone, Debug)]
pub struct Restart {
    pub begun: Moment,
    pub ended: Moment,
    /// The newest change that was found. What had a greater revision is lost.
    pub kept: Revision,
    /// The revision it goes on from.
    pub revision: Revision,
    /// Whether unsynced writes may be lost.
    pub is_power_cut: bool,
    /// Everything that was there.
    pub state: Listing,
}

/// What happened in one run.
#[derive(Debug, Default)]
pub struct History {
    pub clock: Clock,
    inner: Mutex<Inner>,
}

/// The same, when it is over.
#[derive(Clone, Debug, Default)]
pub struct Inner {
    pub writes: Vec<Write>,
    pub gets: Vec<Get>,
    pub lists: Vec<List>,
    pub watches: Vec<WatchLog>,
    pub restarts: Vec<Restart>,
    /// What the watch of everything said: each change once, in order. Complete unless `gaps` says otherwise.
    pub changes: Vec<Event>,
    /// What was wrong at once, without looking back: the rule that was broken, and how.
    pub broken: Vec<(Rule, String)>,
    /// Revisions `(from, to]` of which the watch of everything may not know.
    pub gaps: Vec<(Revision, Revision)>,
}

impl History {
    pub fn wrote(&self, begun: Moment, asked: Transaction, answer: Written) {
        let ended = self.clock.now();
        self.inner.lock().writes.push(Call { begun, ended, asked, answer });
    }

    pub fn got(&self, begun: Moment, asked: String, answer: (Option<Version>, Option<Revision>)) {
        let ended = self.clock.now();
        self.inner.lock().gets.push(Call { begun, ended, asked, answer });
    }

    pub fn listed(&self, begun: Moment, asked: (String, Option<Revision>), answer: Listing) {
        let ended = self.clock.now();
        self.inner.lock().lists.push(Call { begun, ended, asked, answer });
    }

    pub fn watched(&self, log: WatchLog) {
        self.inner.lock().watches.push(log);
    }

    pub fn restarted(&self, restart: Restart) {
        self.inner.lock().restarts.push(restart);
    }

    pub fn changed(&self, events: Vec<Event>) {
        self.inner.lock().changes.extend(events);
    }

    pub fn missed(&self, from: Revision, to: Revision) {
        self.inner.lock().gaps.push((from, to));
    }

    pub fn broke(&self, rule: Rule, text: String) {
        self.inner.lock().broken.push((rule, text));
    }

    pub fn finish(self) -> Inner {
        self.inner.into_inner()
    }
}
