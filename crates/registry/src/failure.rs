//! The store's failures in the API's words.

use apimachinery::{Cause, Details, Reason, Status};
use store::WriteError;

use crate::Facts;

/// A write that failed otherwise than by a compare.
pub(crate) fn of_write(facts: &Facts, name: &str, error: &WriteError) -> Status {
    match error {
        WriteError::Conflict { current: None, .. } => Status::not_found(&facts.group_resource(), name),
        WriteError::Conflict { .. } => Status::modified(&facts.group_resource(), name),
        WriteError::NoSpace => Status::failure(507, Reason::InsufficientStorage, error.to_string()),
        WriteError::TooLarge { size, limit, .. } => {
            Status::too_large(format!("limit is {limit}, the encoded object has {size} bytes"))
        }
        WriteError::Poisoned | WriteError::Stopped | WriteError::Unavailable(_) => {
            Status::service_unavailable(error.to_string())
        }
        WriteError::Unknown { .. } => Status::timeout(error.to_string(), 1),
        WriteError::RepeatedKey { .. }
        | WriteError::BuildPanicked { .. }
        | WriteError::Malformed { .. }
        | WriteError::Foreign { .. } => Status::internal(error),
    }
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
