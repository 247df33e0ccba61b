//! What can go wrong between a component and the API server, and the questions callers ask of it.

pub use kube::Error;

/// The answer to a raw request does not fit in memory set aside for one.
#[derive(Debug, thiserror::Error)]
#[error("the API server's answer to {path} is longer than {limit} bytes")]
pub struct TooLong {
    pub path: String,
    pub limit: usize,
}

/// A stream that has sent nothing, not even a bookmark, for longer than any server stays silent.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not answer {path} within {seconds} s")]
pub struct TimedOut {
    pub path: String,
    pub seconds: u64,
}

/// Questions asked of every error an API server can answer with.
pub trait ApiError {
    /// The HTTP code of the server's answer; none when there was no answer.
    fn code(&self) -> Option<u16>;
    /// The machine-readable reason, such as `AlreadyExists`; empty when there was none.
    fn reason(&self) -> &str;
    /// What the server said, or what kept it from answering.
    fn message(&self) -> String;

    fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }
    /// The name is taken. A conflict of revisions has the same code and is not this.
    fn is_already_exists(&self) -> bool {
        self.reason() == "AlreadyExists"
    }
    /// Somebody else wrote first: read again.
    fn is_conflict(&self) -> bool {
        self.reason() == "Conflict"
    }
    fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }
    fn is_invalid(&self) -> bool {
        self.code() == Some(422)
    }
    /// The revision asked for is compacted: list again.
    fn is_expired(&self) -> bool {
        self.code() == Some(410)
    }
    /// The namespace of the object is being deleted, and takes no new ones.
    fn is_namespace_terminating(&self) -> bool;
}

impl ApiError for Error {
    fn code(&self) -> Option<u16> {
        match self {
            Error::Api(status) => Some(status.code),
            _ => None,
        }
    }

    fn reason(&self) -> &str {
        match self {
            Error::Api(status) => &status.reason,
            _ => "",
        }
    }

    fn message(&self) -> String {
        match self {
            Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        }
    }

    fn is_namespace_terminating(&self) -> bool {
        match self {
            Error::Api(status) => {
                status.details.iter().flat_map(|d| &d.causes).any(|c| c.reason == "NamespaceTerminating")
            }
            _ => false,
        }
    }
}
