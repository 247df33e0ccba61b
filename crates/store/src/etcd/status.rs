//! What etcd says when it refuses, and what that means for what was asked.

use std::sync::Arc;

use http::HeaderMap;
use percent_encoding::percent_decode;

use super::trouble::EtcdTrouble;

/// gRPC's codes that are looked at.
const OK: u32 = 0;
const INVALID_ARGUMENT: u32 = 3;
const NOT_FOUND: u32 = 5;
pub(crate) const PERMISSION_DENIED: u32 = 7;
const RESOURCE_EXHAUSTED: u32 = 8;
const UNIMPLEMENTED: u32 = 12;
const DATA_LOSS: u32 = 15;
const UNAUTHENTICATED: u32 = 16;

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) code: u32,
    pub(crate) message: String,
}

/// What a refused write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It did not happen, and would not elsewhere.
    Refused,
    /// It did not happen; another member, or the same one a little later, may take it.
    Elsewhere,
    /// The database is at its quota; it did not happen.
    NoSpace,
    /// It is over a limit of etcd's; it did not happen.
    TooLarge,
    /// Etcd does not know the lease; it did not happen.
    NoLease,
    /// It may have happened, or may happen yet.
    Unknown,
}

/// Whether somebody has to change something before what was refused so can succeed.
pub(crate) fn needs_a_hand(code: u32, message: &str) -> bool {
    match code {
        PERMISSION_DENIED | UNIMPLEMENTED | UNAUTHENTICATED => true,
        INVALID_ARGUMENT => message.contains("authentication failed") || message.contains("user name is empty"),
        _ => false,
    }
}

impl Status {
    /// `None` if the headers say nothing of it.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Status> {
        let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
        let message = headers.get("grpc-message").map(|value| percent_decode(value.as_bytes()).decode_utf8_lossy());
        Some(Status { code, message: message.unwrap_or_default().into_owned() })
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.code == OK
    }

    pub(crate) fn into_trouble(self, endpoint: &Arc<str>) -> EtcdTrouble {
        EtcdTrouble::Refused { endpoint: endpoint.clone(), code: self.code, message: self.message }
    }

    /// Whether history that was asked for is no longer there.
    pub(crate) fn is_compacted(&self) -> bool {
        self.message.contains("required revision has been compacted")
    }

    /// Whether the token of a login is not, or no longer, good enough. Etcd says so before anything happens.
    pub(crate) fn wants_login(&self) -> bool {
        let words = ["invalid auth token", "revision of auth store is old", "user name is empty"];
        words.iter().any(|words| self.message.contains(words))
    }

    /// Whether etcd has no users, or does not ask for them.
    pub(crate) fn knows_no_users(&self) -> bool {
        self.message.contains("authentication is not enabled")
    }

    /// Only what etcd says before it hands a write to its log is known not to have happened; the code alone does not
    /// tell, so the words decide.
    pub(crate) fn fate(&self) -> Fate {
        let says = |words: &str| self.message.contains(words);
        match self.code {
            RESOURCE_EXHAUSTED if says("database space exceeded") => Fate::NoSpace,
            RESOURCE_EXHAUSTED if says("too many requests") => Fate::Elsewhere,
            RESOURCE_EXHAUSTED if says("received message larger") => Fate::TooLarge,
            INVALID_ARGUMENT if says("request is too large") || says("too many operations") => Fate::TooLarge,
            INVALID_ARGUMENT | PERMISSION_DENIED | UNIMPLEMENTED | UNAUTHENTICATED => Fate::Refused,
            // Looked at before anything of the transaction is done.
            NOT_FOUND if says("requested lease not found") => Fate::NoLease,
            DATA_LOSS if says("corrupt") => Fate::Refused,
            _ if says("etcdserver: no leader") || says("not supported for learner") || says("not capable") => {
                Fate::Elsewhere
            }
            _ => Fate::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: u32, message: &str, expected: Fate) {
        assert_eq!(Status { code, message: message.to_owned() }.fate(), expected, "{message}");
    }

    #[test]
    fn only_what_was_never_proposed_is_known_not_to_have_happened() {
        check(14, "etcdserver: no leader", Fate::Elsewhere);
        check(14, "etcdserver: request timed out", Fate::Unknown);
        check(14, "etcdserver: request timed out, possibly due to previous leader failure", Fate::Unknown);
        check(14, "etcdserver: request timed out, possibly due to connection lost", Fate::Unknown);
        check(14, "etcdserver: server stopped", Fate::Unknown);
        check(14, "etcdserver: leader changed", Fate::Unknown);
        check(14, "etcdserver: rpc not supported for learner", Fate::Elsewhere);
        check(8, "etcdserver: mvcc: database space exceeded", Fate::NoSpace);
        check(8, "etcdserver: too many requests", Fate::Elsewhere);
        check(3, "etcdserver: request is too large", Fate::TooLarge);
        check(8, "grpc: received message larger than max (3000000 vs. 2097152)", Fate::TooLarge);
        check(5, "etcdserver: requested lease not found", Fate::NoLease);
        check(5, "etcdserver: key not found", Fate::Unknown);
        check(7, "etcdserver: permission denied", Fate::Refused);
        check(15, "etcdserver: corrupt cluster", Fate::Refused);
        check(16, "etcdserver: invalid auth token", Fate::Refused);
        check(3, "etcdserver: revision of auth store is old", Fate::Refused);
        check(4, "context deadline exceeded", Fate::Unknown);
        check(2, "raft: stopped", Fate::Unknown);
    }
}
