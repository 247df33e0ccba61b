//! The store's failures in the API's words.

use apimachinery::{Cause, Details, Reason, Status};
use store::{EtcdTrouble, ReadError, WriteError};

use crate::Facts;

/// What etcd says when a quorum does not answer, and upstream's servers say after it.
const REQUEST_TIMED_OUT: &str = "etcdserver: request timed out";

/// A write that failed otherwise than by a compare.
pub(crate) fn of_write(facts: &Facts, name: &str, error: &WriteError) -> Status {
    match error {
        WriteError::Conflict { current: None, .. } => Status::not_found(&facts.group_resource(), name),
        WriteError::Conflict { .. } => Status::modified(&facts.group_resource(), name),
        WriteError::TooLarge { size, limit, .. } => {
            Status::too_large(format!("limit is {limit}, the encoded object has {size} bytes"))
        }
        error => of_store(error),
    }
}

/// A write of no object's that failed.
pub(crate) fn of_store(error: &WriteError) -> Status {
    match error {
        WriteError::NoSpace => Status::failure(507, Reason::InsufficientStorage, error.to_string()),
        WriteError::Poisoned | WriteError::Stopped => Status::service_unavailable(error.to_string()),
        WriteError::Unavailable(trouble) => of_trouble(trouble),
        // It may have happened: a client that tries again must look first, as after any timeout.
        WriteError::Unknown { source, .. } => of_trouble(source),
        error => Status::internal(error),
    }
}

/// A read that had to be current.
pub(crate) fn of_read(error: &ReadError) -> Status {
    match error {
        ReadError::Unavailable(trouble) => of_trouble(trouble),
        ReadError::Behind { wanted, reached } | ReadError::Future { wanted, newest: reached } => {
            too_large_version(wanted.0, reached.0)
        }
        ReadError::Stopped => Status::service_unavailable(error.to_string()),
    }
}

/// Etcd is not as it should be. Upstream passes on what its client says.
fn of_trouble(trouble: &EtcdTrouble) -> Status {
    let message = match trouble {
        EtcdTrouble::TimedOut { .. } => REQUEST_TIMED_OUT.to_owned(),
        EtcdTrouble::Refused { message, .. } if message.starts_with("etcdserver: ") => message.clone(),
        trouble => {
            let mut text = format!("rpc error: code = Unavailable desc = {trouble}");
            let mut cause = std::error::Error::source(trouble);
            while let Some(error) = cause {
                text.push_str(&format!(": {error}"));
                cause = error.source();
            }
            text
        }
    };
    Status::failure(500, Reason::Unknown, message)
}

/// A read asked for a state that is yet to come.
pub(crate) fn too_large_version(asked: u64, current: u64) -> Status {
    let mut status = Status::timeout(format!("Too large resource version: {asked}, current: {current}"), 1);
    let causes = vec![Cause {
        reason: "ResourceVersionTooLarge".to_owned(),
        message: "Too large resource version".to_owned(),
        ..Cause::default()
    }];
    status.details = Some(Box::new(Details { causes, retry_after_seconds: 1, ..Details::default() }));
    status
}

/// A resource version in a request; absent and zero are both `None`-like to callers that say so.
pub(crate) fn parse_version(text: &str) -> Result<u64, Status> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        let quoted = apimachinery::field::quote(text);
        let why = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            "value out of range"
        } else {
            "invalid syntax"
        };
        Status::failure(
            500,
            Reason::Unknown,
            format!("resourceVersion: Invalid value: {quoted}: strconv.ParseUint: parsing {quoted}: {why}"),
        )
    })
}
