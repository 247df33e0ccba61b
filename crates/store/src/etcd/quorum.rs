//! What etcd as a whole has come to, and how the state comes there too.
//!
//! A linearizable read says which revision a quorum has. The watch says which changes below the prefix have come, but
//! not that none are missing up to a revision at which something else was changed: etcd's own word for that, the
//! progress notification, may overtake changes (before 3.4.25 and 3.5.8). So there is a key below the prefix, the
//! beacon: written after the question, its change comes after all that is asked about, in the same watch, in every
//! version. It is only written when something is due that does not come by itself.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, Instant, MissedTickBehavior},
};

use super::{
    calls::Undone,
    keys::revision,
    messages::{AlarmMember, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op::Request},
    shared::{Comes, Shared},
    trouble::EtcdTrouble,
};
use crate::{health::EtcdAlarm, revision::Revision};

/// The most that share one question; further ones wait for a place.
pub(crate) const MAX_QUESTIONS: usize = 4096;
/// How often a quorum is asked although nobody wants to know: so that health tells the present, a feed that has gone
/// silent is noticed, and an idle store does not fall behind etcd's compaction.
const PULSE: Duration = Duration::from_secs(10);
/// Alarms are looked at at every so many of these.
const ALARMS_EVERY: u32 = 3;
const NOSPACE: i32 = 1;
const CORRUPT: i32 = 2;

/// Somebody wants to know the revision of a quorum.
pub(crate) struct Question {
    pub(crate) answer: oneshot::Sender<Result<Revision, EtcdTrouble>>,
}

/// Asks for all who came before the question, one question after the other.
pub(crate) async fn answer(shared: Arc<Shared>, mut questions: mpsc::Receiver<Question>) {
    let mut waiting = Vec::new();
    while questions.recv_many(&mut waiting, MAX_QUESTIONS).await > 0 {
        let answer = ask(&shared).await;
        for question in waiting.drain(..) {
            // Whoever no longer waits does not want to know.
            question.answer.send(answer.clone()).ok();
        }
    }
}

async fn ask(shared: &Shared) -> Result<Revision, EtcdTrouble> {
    if let Some(trouble) = shared.over() {
        return Err(trouble.clone());
    }
    let known = shared.reached();
    let key = shared.keys.beacon();
    let asked = RangeRequest { key, keys_only: true, ..RangeRequest::default() };
    let answer = shared.calls.range(&asked, Instant::now() + shared.config.read_timeout).await;
    let found = match answer {
        Ok(answer) => revision(answer.header.unwrap_or_default().revision),
        Err(unread) => {
            let trouble = unread.into_trouble();
            shared.is_in_trouble(&trouble);
            return Err(trouble);
        }
    };
    if found < known {
        let trouble = EtcdTrouble::WentBack { known, found };
        shared.is_in_trouble(&trouble);
        return Err(trouble);
    }
    shared.quorum_answered();
    shared.is_due(found);
    Ok(found)
}

/// Writes the beacon when something is due that does not come.
pub(crate) async fn light(shared: Arc<Shared>) {
    loop {
        shared.light.notified().await;
        if shared.reached() >= shared.due() {
            continue;
        }
        let put = PutRequest { key: shared.keys.beacon(), ..PutRequest::default() };
        let asked =
            TxnRequest { success: vec![RequestOp { request: Some(Request::Put(put)) }], ..TxnRequest::default() };
        let until = Instant::now() + shared.config.read_timeout;
        match shared.calls.transact(&asked, until).await {
            Ok(answer) => {
                let lit = revision(answer.header.unwrap_or_default().revision);
                // One at a time: the next one only tells more if this one has come, or never comes.
                let patience = Instant::now() + Duration::from_secs(1);
                if let Some(mut waiting) = shared.waiters.wait(&shared.hub, lit) {
                    tokio::time::timeout_at(patience, waiting.done()).await.ok();
                }
            }
            Err(Undone::NoSpace) => shared.set_no_space(true),
            Err(Undone::TooLarge) => {}
            Err(Undone::Refused(trouble) | Undone::NoLease(trouble) | Undone::Unknown(trouble)) => {
                shared.is_in_trouble(&trouble)
            }
        }
    }
}

/// Asks now and then, so that health tells the present.
pub(crate) async fn pulse(shared: Arc<Shared>) {
    let mut timer = tokio::time::interval(PULSE);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for beat in 0u32.. {
        timer.tick().await;
        let until = Instant::now() + shared.config.read_timeout;
        if let Ok(found) = shared.quorum(until).await {
            // What stays behind says so in health.
            shared.reach(found, until + shared.config.read_timeout, Comes::WithBeacon).await.ok();
        }
        if beat.is_multiple_of(ALARMS_EVERY) {
            look(&shared).await;
        }
    }
}

/// Alarms, and the size of the database.
async fn look(shared: &Shared) {
    let until = Instant::now() + shared.config.read_timeout;
    match shared.calls.alarms(until).await {
        Ok(answer) => shared.set_alarms(answer.alarms.iter().filter_map(alarm).collect()),
        Err(trouble) => shared.is_in_trouble(&trouble),
    }
    match shared.calls.status(until).await {
        Ok(answer) => shared.calls.members.measured(answer.db_size),
        Err(trouble) => shared.is_in_trouble(&trouble),
    }
}

fn alarm(told: &AlarmMember) -> Option<EtcdAlarm> {
    let member = told.member_id;
    match told.alarm {
        NOSPACE => Some(EtcdAlarm::NoSpace { member }),
        CORRUPT => Some(EtcdAlarm::Corrupt { member }),
        _ => None,
    }
}
