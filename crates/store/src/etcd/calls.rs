//! What is asked of etcd, by which member, how often, and for how long.

use std::{sync::Arc, time::Duration};

use prost::Message;
use tokio::time::{Instant, timeout_at};

use super::{
    grpc::{CallError, Channel},
    members::Members,
    messages::{
        AlarmRequest, AlarmResponse, CompactionRequest, CompactionResponse, LeaseGrantRequest, LeaseGrantResponse,
        RangeRequest, RangeResponse, StatusRequest, StatusResponse, TxnRequest, TxnResponse,
    },
    status::Fate,
    trouble::EtcdTrouble,
};
use crate::{
    failpoints::{self, Bug},
    revision::Revision,
};

const RANGE: &str = "/etcdserverpb.KV/Range";
const TXN: &str = "/etcdserverpb.KV/Txn";
const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const COMPACT: &str = "/etcdserverpb.KV/Compact";
const ALARM: &str = "/etcdserverpb.Maintenance/Alarm";
const STATUS: &str = "/etcdserverpb.Maintenance/Status";

/// A member that says nothing for so long is asked last by all who come later. What it was asked goes on.
const SUSPICION: Duration = Duration::from_secs(1);
/// A read is tried elsewhere when one member has not answered it for so long.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Calls {
    pub(crate) members: Members,
}

/// Why a transaction has no answer.
#[derive(Debug)]
pub(crate) enum Undone {
    /// It did not happen.
    Refused(EtcdTrouble),
    NoSpace,
    TooLarge,
    /// It did not happen: etcd does not know the lease.
    NoLease(EtcdTrouble),
    /// It may have happened, or may happen yet.
    Unknown(EtcdTrouble),
}

impl Calls {
    /// A linearizable read: what is answered was the newest at some moment of the call.
    pub(crate) async fn range(&self, asked: &RangeRequest, until: Instant) -> Result<RangeResponse, Unread> {
        loop {
            let channel = self.members.any(until).await.map_err(Unread::Trouble)?;
            let attempt = (Instant::now() + ATTEMPT).min(until);
            let trouble = match self.once(&channel, RANGE, asked, attempt).await {
                Ok(answer) => return Ok(answer),
                Err(CallError::Status(status)) if status.is_compacted() => return Err(Unread::Compacted),
                // It would be no shorter elsewhere.
                Err(CallError::Lost(trouble @ EtcdTrouble::TooLong { .. })) => return Err(Unread::Trouble(trouble)),
                Err(error) => error.into_trouble(&channel.endpoint),
            };
            if trouble.is_hopeless() {
                return Err(Unread::Trouble(trouble));
            }
            self.again(&channel, trouble, until).await.map_err(Unread::Trouble)?;
        }
    }

    /// Hands in a transaction once; again only if the first time it certainly did not happen.
    pub(crate) async fn transact(&self, asked: &TxnRequest, until: Instant) -> Result<TxnResponse, Undone> {
        loop {
            let channel = self.members.any(until).await.map_err(Undone::Refused)?;
            let trouble = match self.once(&channel, TXN, asked, until).await {
                Ok(answer) => return Ok(answer),
                Err(CallError::NotSent(trouble)) => trouble,
                Err(CallError::Lost(trouble)) if failpoints::has(Bug::RetriedWrite) => trouble,
                Err(CallError::Lost(trouble)) => {
                    self.members.avoid(channel.number, &trouble);
                    return Err(Undone::Unknown(trouble));
                }
                Err(CallError::Status(status)) => {
                    let fate = status.fate();
                    let trouble = status.into_trouble(&channel.endpoint);
                    match fate {
                        Fate::Elsewhere => trouble,
                        Fate::NoSpace => return Err(Undone::NoSpace),
                        Fate::TooLarge => return Err(Undone::TooLarge),
                        Fate::NoLease => return Err(Undone::NoLease(trouble)),
                        Fate::Refused => return Err(Undone::Refused(trouble)),
                        Fate::Unknown => {
                            self.members.avoid(channel.number, &trouble);
                            return Err(Undone::Unknown(trouble));
                        }
                    }
                }
            };
            self.again(&channel, trouble, until).await.map_err(Undone::Refused)?;
        }
    }

    /// A new lease. One whose answer is lost was granted in vain, and ends by itself.
    pub(crate) async fn grant(&self, seconds: u64, until: Instant) -> Result<i64, EtcdTrouble> {
        let asked = LeaseGrantRequest { ttl: seconds.try_into().unwrap_or(i64::MAX) };
        loop {
            let channel = self.members.any(until).await?;
            let attempt = (Instant::now() + ATTEMPT).min(until);
            let trouble = match self.once::<LeaseGrantResponse>(&channel, GRANT, &asked, attempt).await {
                Ok(answer) => return Ok(answer.id),
                Err(error) => error.into_trouble(&channel.endpoint),
            };
            if trouble.is_hopeless() {
                return Err(trouble);
            }
            self.again(&channel, trouble, until).await?;
        }
    }

    /// Etcd forgets what was before; that it has already is no error.
    pub(crate) async fn compact(&self, revision: i64, until: Instant) -> Result<(), EtcdTrouble> {
        let channel = self.members.any(until).await?;
        match self.once::<CompactionResponse>(&channel, COMPACT, &CompactionRequest { revision }, until).await {
            Ok(_) => Ok(()),
            Err(CallError::Status(status)) if status.is_compacted() => Ok(()),
            Err(error) => Err(error.into_trouble(&channel.endpoint)),
        }
    }

    pub(crate) async fn alarms(&self, until: Instant) -> Result<AlarmResponse, EtcdTrouble> {
        let channel = self.members.any(until).await?;
        let answer = self.once(&channel, ALARM, &AlarmRequest {}, until).await;
        answer.map_err(|e| e.into_trouble(&channel.endpoint))
    }

    pub(crate) async fn status(&self, until: Instant) -> Result<StatusResponse, EtcdTrouble> {
        let channel = self.members.any(until).await?;
        let answer = self.once(&channel, STATUS, &StatusRequest {}, until).await;
        answer.map_err(|e| e.into_trouble(&channel.endpoint))
    }

    /// The next attempt goes to another member, a little later; an error when it is too late for one.
    async fn again(&self, channel: &Channel, trouble: EtcdTrouble, until: Instant) -> Result<(), EtcdTrouble> {
        self.members.avoid(channel.number, &trouble);
        if Instant::now() + PAUSE >= until {
            return Err(trouble);
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    async fn once<A: Message + Default>(
        &self,
        channel: &Arc<Channel>,
        path: &str,
        asked: &impl Message,
        until: Instant,
    ) -> Result<A, CallError> {
        let begun = Instant::now();
        let mut call = std::pin::pin!(channel.call(path, asked));
        let silent = || EtcdTrouble::TimedOut { endpoint: channel.endpoint.clone(), after: begun.elapsed() };
        let first = timeout_at((begun + SUSPICION).min(until), &mut call).await;
        let answer = match first {
            Ok(answer) => answer,
            Err(_) => {
                self.members.avoid(channel.number, &silent());
                timeout_at(until, call).await.unwrap_or_else(|_| Err(CallError::Lost(silent())))
            }
        };
        if answer.is_ok() {
            self.members.works(channel.number);
        }
        answer
    }
}

/// Why a read has no answer.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The revision that was asked for is gone.
    Compacted,
    Trouble(EtcdTrouble),
}

impl Unread {
    /// For a read of the present, of which nothing can have been compacted.
    pub(crate) fn into_trouble(self) -> EtcdTrouble {
        match self {
            Unread::Trouble(trouble) => trouble,
            Unread::Compacted => EtcdTrouble::Compacted { compacted: Revision::default(), seen: Revision::default() },
        }
    }
}
