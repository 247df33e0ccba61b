//! One of all servers compacts etcd's history, as upstream's API servers do, so that both can serve side by side.
//!
//! The version of one key counts the rounds. Whoever moves it on in a round, and only that one, compacts to where
//! etcd was in the round before: history is kept for at least one interval, and at most two.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    calls::Undone,
    messages::{Compare, PutRequest, RangeRequest, RequestOp, TxnRequest, compare, request_op::Request, response_op},
    shared::Shared,
};

/// Upstream's name; not below any prefix.
const KEY: Bytes = Bytes::from_static(b"compact_rev_key");
/// What a compare looks at.
const VERSION: i32 = 0;

/// What is known of the rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Round {
    /// How many there were.
    number: i64,
    /// Where etcd was in the last one.
    revision: i64,
}

pub(crate) async fn run(shared: Arc<Shared>, every: Duration) {
    let mut round = Round::default();
    loop {
        tokio::time::sleep(every).await;
        match go_round(&shared, round).await {
            Ok(next) => round = next,
            Err(trouble) => tracing::warn!(trouble = format!("{trouble:?}"), "etcd could not be compacted"),
        }
    }
}

async fn go_round(shared: &Shared, last: Round) -> Result<Round, Undone> {
    let until = Instant::now() + shared.config.write_timeout;
    let is_last =
        Compare { result: 0, target: VERSION, key: KEY, operand: Some(compare::Operand::Version(last.number)) };
    let put = PutRequest { key: KEY, value: last.revision.to_string().into(), ..PutRequest::default() };
    let get = RangeRequest { key: KEY, ..RangeRequest::default() };
    let asked = TxnRequest {
        compare: vec![is_last],
        success: vec![RequestOp { request: Some(Request::Put(put)) }],
        failure: vec![RequestOp { request: Some(Request::Range(get)) }],
    };
    let answer = shared.calls.transact(&asked, until).await?;
    let revision = answer.header.unwrap_or_default().revision;
    if !answer.succeeded {
        // Another one was first; this round is theirs.
        let found = answer.responses.into_iter().next().and_then(|response| match response.response? {
            response_op::Response::Range(range) => range.kvs.into_iter().next(),
            _ => None,
        });
        return Ok(Round { number: found.map_or(0, |kv| kv.version), revision });
    }
    // There is no revision zero: the first round only begins to count.
    if last.revision > 0 {
        shared.calls.compact(last.revision, until).await.map_err(Undone::Refused)?;
        tracing::debug!(revision = last.revision, "compacted etcd");
    }
    Ok(Round { number: last.number + 1, revision })
}
