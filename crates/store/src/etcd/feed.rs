//! The task that owns the state: it follows etcd's watch from where the state is, through the loss of any member.
//!
//! A connection that ends is taken up at another member at the revision after the newest one that was published, so
//! nothing is missed and nothing told twice. Only when etcd no longer has that revision is everything read anew; then
//! every watch ends, because nobody knows what it missed.

use std::sync::Arc;

use futures::FutureExt;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep_until, timeout},
};

use super::{
    changes::{Assembly, apply},
    grpc::{Answers, CallError, Channel},
    keys::{number, revision},
    listing,
    messages::{WatchCreateRequest, WatchRequest, WatchResponse, watch_request::Request},
    shared::{Chore, Shared},
    status,
    trouble::EtcdTrouble,
};
use crate::{
    event::Changes,
    failpoints::{self, Bug},
    revision::Revision,
    state::State,
};

const WATCH: &str = "/etcdserverpb.Watch/Watch";
/// The longest a member may take to begin a watch.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(3);
/// Pauses between two attempts to follow.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What is published at once, if so much is here already.
const BATCH: usize = 1024;
/// How many entries of history are let go after one batch: more than it brings.
const TRIM_STEPS: usize = 2 * BATCH;

pub(crate) struct Feed {
    shared: Arc<Shared>,
    state: State,
    chores: mpsc::Receiver<Chore>,
    /// The history up to here is to go.
    compact_to: Revision,
    compact_next: Option<(Instant, Revision)>,
}

/// What is heard of etcd, while it is.
struct Following {
    channel: Arc<Channel>,
    answers: Answers,
    assembly: Assembly,
}

impl Feed {
    pub(crate) fn new(shared: Arc<Shared>, state: State, chores: mpsc::Receiver<Chore>) -> Feed {
        let every = shared.config.compact_every;
        Feed {
            compact_to: state.floor,
            compact_next: every.map(|every| (Instant::now() + every, state.revision)),
            shared,
            state,
            chores,
        }
    }

    pub(crate) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let trouble = self.follow().await;
            let followed = self.shared.follows(None);
            self.shared.is_in_trouble(&trouble);
            if trouble.is_final() {
                return;
            }
            let (revision, trouble_chain) = (self.state.revision, trouble.chain());
            if followed {
                tracing::warn!(trouble = trouble_chain, %revision, "changes of etcd no longer come");
            } else {
                tracing::debug!(trouble = trouble_chain, %revision, "etcd cannot be followed");
            }
            // Who followed for a while begins again at once.
            pause = if begun.elapsed() > LONGEST_PAUSE { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            self.rest(pause).await;
            if is_lost(&trouble)
                && let Err(trouble) = self.restart().await
            {
                self.shared.is_in_trouble(&trouble);
            }
        }
    }

    /// Follows one member for as long as it goes well, and says what ended it.
    async fn follow(&mut self) -> EtcdTrouble {
        let mut following = match self.begin().await {
            Ok(following) => following,
            Err(trouble) => return trouble,
        };
        let endpoint = following.channel.endpoint.clone();
        tracing::info!(%endpoint, revision = %self.state.revision, "following etcd");
        self.shared.follows(Some(endpoint.clone()));
        // What was asked before concerned the one before.
        self.shared.refollow.notified().now_or_never();
        let trouble = loop {
            let shared = self.shared.clone();
            let trimming = self.compact_next.map(|(due, _)| due);
            tokio::select! {
                biased;
                answer = following.answers.next() => {
                    if let Err(trouble) = self.hear(answer, &mut following) {
                        break trouble;
                    }
                }
                Some(chore) = self.chores.recv() => self.chore(chore),
                () = shared.refollow.notified() => {
                    let (wanted, reached) = (shared.due(), self.state.revision);
                    if reached < wanted {
                        break EtcdTrouble::Behind { wanted, reached };
                    }
                }
                () = at(trimming) => self.trim(),
            }
        };
        self.shared.calls.members.avoid(following.channel.number, &trouble);
        if !matches!(trouble, EtcdTrouble::Unreadable { .. } | EtcdTrouble::Compacted { .. }) {
            // Whatever else is on it may be as silent; it is made anew.
            self.shared.calls.members.give_up(&following.channel).await;
        }
        trouble
    }

    async fn begin(&mut self) -> Result<Following, EtcdTrouble> {
        let shared = self.shared.clone();
        // A quorum is behind whoever is followed, and it has not gone back.
        let until = Instant::now() + shared.config.read_timeout;
        let mut quorum = std::pin::pin!(shared.quorum(until));
        loop {
            tokio::select! {
                found = &mut quorum => {
                    found?;
                    break;
                }
                Some(chore) = self.chores.recv() => self.chore(chore),
            }
        }
        let channel = shared.calls.members.any(until).await?;
        let asked = self.request();
        let begin = async {
            let mut answers = channel.stream(WATCH, &asked).await?;
            let first: Option<WatchResponse> = answers.next().await?;
            Ok((first.unwrap_or_default(), answers))
        };
        let after = BEGIN_TIMEOUT;
        let begun = timeout(after, begin).await;
        let silent = || EtcdTrouble::TimedOut { endpoint: channel.endpoint.clone(), after };
        let begun = begun.unwrap_or_else(|_| Err(CallError::Lost(silent())));
        let (first, answers) = begun.map_err(|error| {
            let trouble = error.into_trouble(&channel.endpoint);
            shared.calls.members.avoid(channel.number, &trouble);
            trouble
        })?;
        let mut following = Following { channel, answers, assembly: Assembly::default() };
        if let Err(trouble) = self.hear(Ok(Some(first)), &mut following) {
            // An old token is refused here as if nothing were permitted; a new connection has a new one.
            if trouble.is_hopeless() {
                shared.calls.members.give_up(&following.channel).await;
            }
            return Err(trouble);
        }
        Ok(following)
    }

    fn request(&self) -> WatchRequest {
        let (key, range_end) = self.shared.keys.range();
        let late = u64::from(failpoints::has(Bug::SkippedOnReconnect));
        let start_revision = number(Revision(self.state.revision.next().0 + late));
        let create = WatchCreateRequest { key, range_end, start_revision, fragment: true };
        WatchRequest { request: Some(Request::Create(create)) }
    }

    /// Takes an answer and all that are here already, and publishes what is whole.
    fn hear(
        &mut self,
        answer: Result<Option<WatchResponse>, CallError>,
        following: &mut Following,
    ) -> Result<(), EtcdTrouble> {
        let mut batch: Vec<(Revision, Changes)> = Vec::new();
        let mut answer = Some(answer);
        let mut heard = Ok(());
        while let Some(next) = answer {
            heard = self.take(next, following, &mut batch);
            answer = if heard.is_ok() && batch.len() < BATCH { following.answers.ready() } else { None };
        }
        // What came before something went wrong is told all the same.
        self.publish(&batch);
        heard
    }

    fn take(
        &mut self,
        answer: Result<Option<WatchResponse>, CallError>,
        following: &mut Following,
        batch: &mut Vec<(Revision, Changes)>,
    ) -> Result<(), EtcdTrouble> {
        let endpoint = &following.channel.endpoint;
        let answer = answer.map_err(|error| error.into_trouble(endpoint))?;
        let ended = || EtcdTrouble::Refused { endpoint: endpoint.clone(), code: 0, message: "the watch ended".into() };
        let answer = answer.ok_or_else(ended)?;
        if answer.compact_revision > 0 {
            let compacted = revision(answer.compact_revision);
            return Err(EtcdTrouble::Compacted { compacted, seen: self.state.revision });
        }
        if answer.canceled {
            let message = format!("the watch was cancelled: {}", answer.cancel_reason);
            let code = if message.contains("permission denied") { status::PERMISSION_DENIED } else { 0 };
            return Err(EtcdTrouble::Refused { endpoint: endpoint.clone(), code, message });
        }
        for (at, events) in following.assembly.add(answer) {
            let changes = apply(&mut self.state, &self.shared.keys, at, events)?;
            batch.extend(changes.map(|changes| (at, changes)));
        }
        Ok(())
    }

    fn publish(&mut self, batch: &[(Revision, Changes)]) {
        if self.state.revision == self.shared.reached() {
            return;
        }
        self.trim_steps(TRIM_STEPS);
        self.shared.hub.publish(self.state.clone(), batch);
        self.shared.published(self.state.revision);
    }

    /// Everything is read anew, and nothing that was watched goes on.
    async fn restart(&mut self) -> Result<(), EtcdTrouble> {
        let new = listing::list(&self.shared.calls, &self.shared.keys, &self.state.keys).await?;
        if let Some(trouble) = listing::went_back(&self.state, &new) {
            return Err(trouble);
        }
        tracing::warn!(from = %self.state.revision, to = %new.revision, "all of etcd was read anew; watches begin anew");
        self.compact_to = new.floor;
        self.state = new.clone();
        if failpoints::has(Bug::SilentRestart) {
            self.shared.hub.publish(new, &[]);
        } else {
            self.shared.hub.restart(new);
        }
        self.shared.published(self.state.revision);
        Ok(())
    }

    /// Does nothing but chores for a while.
    async fn rest(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                Some(chore) = self.chores.recv() => self.chore(chore),
            }
        }
    }

    fn chore(&mut self, chore: Chore) {
        match chore {
            Chore::Compact(to, done) => {
                self.compact_to = self.compact_to.max(to.min(self.state.revision));
                self.trim_all();
                // Whoever no longer waits does not want to know.
                done.send(()).ok();
            }
        }
    }

    /// Lets go of what is older than the interval.
    fn trim(&mut self) {
        if let (Some((due, then)), Some(every)) = (self.compact_next, self.shared.config.compact_every)
            && Instant::now() >= due
        {
            self.compact_to = self.compact_to.max(then);
            self.compact_next = Some((Instant::now() + every, self.state.revision));
        }
        self.trim_all();
    }

    fn trim_all(&mut self) {
        if self.trim_steps(usize::MAX) {
            self.shared.hub.publish(self.state.clone(), &[]);
        }
    }

    /// Whether anything was let go.
    fn trim_steps(&mut self, steps: usize) -> bool {
        let floor = self.state.floor;
        for _ in 0..steps {
            if !self.is_over() || !self.state.drop_oldest() {
                break;
            }
        }
        // Between two entries nothing of ours changed: the floor may stand anywhere there.
        if self.compact_to > self.state.floor && self.state.oldest().is_none_or(|oldest| oldest > self.compact_to) {
            self.state.floor = self.compact_to;
        }
        self.state.floor > floor
    }

    /// Whether there is history that should go.
    fn is_over(&self) -> bool {
        let (state, config) = (&self.state, &self.shared.config);
        state.oldest().is_some_and(|oldest| oldest <= self.compact_to)
            || state.history.len() > config.history_revisions
            || state.history_weight > config.history_bytes + state.live_bytes / 8
    }
}

/// That moment, if there is one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Whether what comes next cannot continue what is here.
fn is_lost(trouble: &EtcdTrouble) -> bool {
    use EtcdTrouble::{Compacted, Disordered, Unreadable};
    matches!(trouble, Compacted { .. } | Disordered { .. } | Unreadable { .. })
}
