//! The state machine fed by etcd: a watch brings its changes, a transaction writes them there.
//!
//! What etcd holds is what counts; the [`State`](crate::state::State) is its image in memory, some moments behind.
//! One task follows ([`feed`]), one asks a quorum how far etcd is ([`quorum`]), one in turn with all other servers
//! compacts ([`compactor`]). Callers hand in transactions themselves, side by side on one connection, and wait until
//! the feed has brought them.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::{Duration, Instant, timeout},
};

use crate::{
    failpoints::{self, Bug},
    health::Health,
    hub::Hub,
    local::recovery::Recovery,
    revision::Revision,
    seal::Seal,
    snapshot::Snapshot,
    state::{self, OutOfWindow},
    write::{Committed, Lifetime, Op, UnreadableValues, Write, WriteError},
};

mod calls;
mod changes;
mod compactor;
mod config;
mod feed;
mod grpc;
mod keys;
mod leases;
mod listing;
mod login;
mod members;
mod messages;
mod probe;
mod quorum;
mod shared;
mod status;
mod tls;
mod transaction;
mod trouble;
mod waiters;

pub use config::{EtcdConfig, EtcdIdentity, EtcdLogin, EtcdPassword, EtcdTls};
pub use trouble::{Cause, ConnectError, EtcdTrouble, ReadError};

use calls::{Calls, Undone};
use feed::Feed;
use keys::Keys;
use members::Members;
use messages::TxnResponse;
use shared::{Chore, Comes, Shared};
use transaction::Transaction;

/// The most writes that are being done; further callers wait for a place.
const MAX_WRITES: usize = 4096;
/// The most chores that wait for the feed.
const MAX_CHORES: usize = 16;
/// How many revisions before its beginning a store knows of, at most, and if etcd still does.
const RESUMABLE: u64 = 20_000;
/// How often a store that begins looks whether what keeps it is a thing that waiting does not mend.
const HOPE_EVERY: Duration = Duration::from_millis(250);
/// How long a refused write waits for the state to show why, so that whoever reads then does not read what refused it.
const CONFLICT_PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Etcd {
    shared: Arc<Shared>,
    places: Semaphore,
    recovery: Recovery,
    tasks: Mutex<JoinSet<()>>,
}

impl Etcd {
    pub(crate) async fn connect(config: EtcdConfig) -> Result<Etcd, ConnectError> {
        let calls = Calls { members: Members::new(&config)? };
        let keys = Keys::new(&config);
        let state = begin(&calls, &keys, config.start_timeout).await?;
        let hub = Arc::new(Hub::new(state.clone()));
        let (ask, questions) = mpsc::channel(quorum::MAX_QUESTIONS);
        let (chore, chores) = mpsc::channel(MAX_CHORES);
        let recovery = Recovery { found: state.revision, kept: state.revision, clean: true, ..Recovery::default() };
        let (compact_every, patience) = (config.compact_every, config.start_timeout);
        let shared = Arc::new(Shared::new(config, calls, hub, ask, chore));
        let mut tasks = JoinSet::new();
        tasks.spawn(Feed::new(shared.clone(), state, chores).run());
        tasks.spawn(quorum::answer(shared.clone(), questions));
        tasks.spawn(quorum::light(shared.clone()));
        tasks.spawn(quorum::pulse(shared.clone()));
        if let Some(every) = compact_every {
            tasks.spawn(compactor::run(shared.clone(), every));
        }
        let etcd = Etcd { shared, places: Semaphore::new(MAX_WRITES), recovery, tasks: Mutex::new(tasks) };
        etcd.catch_up(patience).await?;
        Ok(etcd)
    }

    /// From the past that was read to the present.
    async fn catch_up(&self, patience: Duration) -> Result<(), ConnectError> {
        let until = Instant::now() + patience;
        let failed = |source| ConnectError::of(source, patience);
        let now = self.shared.quorum(until).await.map_err(failed)?;
        loop {
            let look = (Instant::now() + HOPE_EVERY).min(until);
            let Err(behind) = self.shared.reach(now, look, Comes::WithBeacon).await else { return Ok(()) };
            // What keeps the feed from coming here says more than that it did not.
            let why = self.shared.trouble().unwrap_or(behind);
            if Instant::now() >= until || why.is_hopeless() || why.is_final() {
                return Err(failed(why));
            }
        }
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.shared.hub
    }

    pub(crate) fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    pub(crate) fn seal(&self) -> Option<&dyn Seal> {
        self.shared.keys.seal()
    }

    pub(crate) fn unreadable(&self, snapshot: &Snapshot) -> Option<UnreadableValues> {
        self.shared.keys.unreadable(snapshot)
    }

    pub(crate) async fn commit(&self, write: Write) -> Result<Committed, WriteError> {
        let mut transaction = Transaction::prepare(&self.shared.keys, write.ops)?;
        let _place = self.places.acquire().await.map_err(|_| WriteError::Stopped)?;
        if let Some(trouble) = self.shared.over() {
            return Err(WriteError::Unavailable(trouble.clone()));
        }
        let until = Instant::now() + self.shared.config.write_timeout;
        let answer = match self.hand_in(&mut transaction, write.lifetime, until).await {
            Ok(answer) => answer,
            Err(undone) => return Err(self.undone(undone, &transaction)),
        };
        let revision = keys::revision(answer.header.unwrap_or_default().revision);
        if !answer.succeeded {
            // Only who reads on is helped by this, so an error is none.
            self.shared.reach(revision, until.min(Instant::now() + CONFLICT_PATIENCE), Comes::WithBeacon).await.ok();
            return Err(transaction.conflict(&self.shared.keys, &self.hub().state(), answer));
        }
        if transaction.has_changes() {
            self.shared.set_no_space(false);
        }
        let unseen = |source| WriteError::Unknown { revision: Some(revision), source };
        let comes = if transaction.has_changes() { Comes::ByItself } else { Comes::WithBeacon };
        self.shared.reach(revision, until, comes).await.map_err(unseen)?;
        let changes = transaction.changes(&self.shared.keys, &self.hub().state(), revision).map_err(unseen)?;
        Ok(Committed { revision, changes })
    }

    /// With a lease, where its keys are to go by themselves. Etcd may have lost one that was granted, as by a restored
    /// backup; then another is asked for.
    async fn hand_in(
        &self,
        transaction: &mut Transaction,
        lifetime: Lifetime,
        until: Instant,
    ) -> Result<TxnResponse, Undone> {
        let Shared { calls, leases, .. } = &*self.shared;
        let ttl = match lifetime {
            Lifetime::Limited(ttl) if transaction.has_puts() => ttl,
            Lifetime::Limited(_) | Lifetime::Unlimited => return calls.transact(&transaction.request, until).await,
            Lifetime::Unchanged => {
                transaction.keep_leases();
                return calls.transact(&transaction.request, until).await;
            }
        };
        let lease = leases.lasting(ttl, calls, until).await.map_err(Undone::Refused)?;
        transaction.attach(lease);
        match calls.transact(&transaction.request, until).await {
            Err(Undone::NoLease(_)) => {
                leases.forget(lease).await;
                transaction.attach(leases.lasting(ttl, calls, until).await.map_err(Undone::Refused)?);
                calls.transact(&transaction.request, until).await
            }
            answer => answer,
        }
    }

    fn undone(&self, undone: Undone, transaction: &Transaction) -> WriteError {
        match undone {
            Undone::Refused(trouble) | Undone::NoLease(trouble) => WriteError::Unavailable(trouble),
            // A transaction that only looks is no less done for not being answered.
            Undone::Unknown(source) if !transaction.has_changes() => WriteError::Unavailable(source),
            Undone::Unknown(source) => WriteError::Unknown { revision: None, source },
            Undone::NoSpace => {
                self.shared.set_no_space(true);
                WriteError::NoSpace
            }
            Undone::TooLarge => WriteError::TooLarge {
                what: "request to etcd",
                size: prost::Message::encoded_len(&transaction.request),
                limit: crate::write::MAX_VALUE_BYTES,
            },
        }
    }

    pub(crate) async fn current(&self) -> Result<Snapshot, ReadError> {
        self.shared.readable()?;
        if failpoints::has(Bug::NotCurrent) {
            return Ok(Snapshot::of(&self.hub().state()));
        }
        let until = Instant::now() + self.shared.config.read_timeout;
        let due = self.shared.quorum(until).await.map_err(ReadError::Unavailable)?;
        self.reached(due).await
    }

    /// Somebody who has seen a revision has seen it at a quorum: if that does not have it, it was made up.
    pub(crate) async fn not_before(&self, wanted: Revision) -> Result<Snapshot, ReadError> {
        match self.current().await? {
            current if current.revision() < wanted => Err(ReadError::Future { wanted, newest: current.revision() }),
            current => Ok(current),
        }
    }

    async fn reached(&self, revision: Revision) -> Result<Snapshot, ReadError> {
        let until = Instant::now() + self.shared.config.read_timeout;
        self.shared.reach(revision, until, Comes::WithBeacon).await.map_err(|trouble| match trouble {
            EtcdTrouble::Behind { wanted, reached } => ReadError::Behind { wanted, reached },
            trouble => ReadError::Unavailable(trouble),
        })?;
        self.shared.readable()?;
        Ok(Snapshot::of(&self.hub().state()))
    }

    pub(crate) async fn compact(&self, revision: Revision) -> Result<(), OutOfWindow> {
        self.hub().state().window(revision)?;
        let (done, waiting) = oneshot::channel();
        // A store that is closed meanwhile forgets its history anyway.
        if self.shared.chores.send(Chore::Compact(revision, done)).await.is_ok() {
            waiting.await.ok();
        }
        Ok(())
    }

    /// Puts every value that is to be sealed once more as it is, and lets etcd forget what was before.
    pub(crate) async fn rewrite(&self) -> Result<Revision, WriteError> {
        let current = self.current().await.map_err(|error| match error {
            ReadError::Unavailable(trouble) => WriteError::Unavailable(trouble),
            ReadError::Behind { wanted, reached } | ReadError::Future { wanted, newest: reached } => {
                WriteError::Unavailable(EtcdTrouble::Behind { wanted, reached })
            }
            ReadError::Stopped => WriteError::Stopped,
        })?;
        if let Some(unreadable) = self.unreadable(&current) {
            return Err(WriteError::Unreadable(unreadable));
        }
        let mut revision = current.revision();
        for kv in current.walk(b"", None) {
            if self.seal().is_none_or(|seal| !seal.concerns(&kv.key)) {
                continue;
            }
            let (key, expected, value) = (kv.key.clone(), kv.mod_revision, kv.value.clone().into());
            let anew = Write::transaction(vec![Op::Update { key, expected, value }]);
            match self.commit(Write { lifetime: Lifetime::Unchanged, ..anew }).await {
                Ok(committed) => revision = committed.revision,
                // Somebody else wrote it since, with the new key.
                Err(WriteError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let until = Instant::now() + self.shared.config.write_timeout;
        self.shared.calls.compact(keys::number(revision), until).await.map_err(WriteError::Unavailable)?;
        Ok(revision)
    }

    pub(crate) fn health(&self) -> Health {
        let state = self.hub().state();
        let (writes, etcd) = self.shared.health();
        Health {
            writes,
            revision: state.revision,
            floor: state.floor,
            keys: state.keys.len(),
            live_bytes: state.live_bytes,
            disk_bytes: self.shared.calls.members.database_bytes(),
            watches: self.hub().watch_count(),
            etcd: Some(etcd),
        }
    }

    /// Writes that are being done are waited for, because what becomes of them is better known.
    pub(crate) async fn close(&self) {
        let writing = self.places.acquire_many(MAX_WRITES as u32);
        timeout(self.shared.config.write_timeout, writing).await.ok();
        self.places.close();
        self.shared.stop();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.shutdown().await;
    }
}

impl Drop for Etcd {
    /// Watches end with the last store; the tasks end with their set.
    fn drop(&mut self) {
        self.shared.stop();
    }
}

/// The first reading of everything, with as many attempts as there is time for.
async fn begin(calls: &Calls, keys: &Keys, patience: Duration) -> Result<state::State, ConnectError> {
    let until = Instant::now() + patience;
    let failed = |source| ConnectError::of(source, patience);
    calls.members.any(until).await.map_err(failed)?;
    loop {
        // Reading may take as long as it takes, as long as page after page comes.
        let trouble = match listing::list_with_past(calls, keys, RESUMABLE).await {
            Ok(state) => return Ok(state),
            Err(trouble) => trouble,
        };
        let is_unreadable = matches!(trouble, EtcdTrouble::Unreadable { .. });
        if is_unreadable || trouble.is_hopeless() || Instant::now() >= until {
            return Err(failed(trouble));
        }
    }
}
