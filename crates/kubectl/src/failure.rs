//! Why a verb did not do what it was asked, in the words upstream's kubectl has for it.

use client::kube::core::Status;

/// The code kubectl ends with when something failed.
const FAILED: u8 = 1;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server said no. `during` stands before its message.
    #[error("{}", server_message(.status, .during.as_deref()))]
    Server { status: Box<Status>, during: Option<String> },
    #[error("The connection to the server {host} was refused - did you specify the right host or port?")]
    ConnectionRefused { host: String },
    #[error("Unable to connect to the server: {cause}")]
    Unreachable { cause: String },
    /// What was typed or read cannot be carried out.
    #[error("{reason}")]
    Request { reason: String },
    /// Several, each of its own object.
    #[error("{}", .all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several { all: Vec<Failure> },
    /// A command in a container ended so.
    #[error("command terminated with exit code {code}")]
    Command { code: u8 },
    /// Nobody reads our output any more.
    #[error("standard output is closed")]
    OutputClosed,
    /// The verb has printed what is wrong itself.
    #[error("")]
    Told { code: u8 },
}

pub(crate) type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// A failure that is a sentence to the person who typed.
pub(crate) fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(Failure::Request { reason: reason.into() })
}

impl Failure {
    pub(crate) fn from_client(error: client::Error, host: &str) -> Self {
        if let client::Error::Api(status) = error {
            return Self::Server { status, during: None };
        }
        let mut causes = vec![error.to_string()];
        let mut next = std::error::Error::source(&error);
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        if causes.iter().any(|cause| cause.contains("Connection refused")) {
            return Self::ConnectionRefused { host: host.to_owned() };
        }
        Self::Unreachable { cause: causes.pop().unwrap_or_default() }
    }

    /// Puts `error when creating "FILE"` before what the server said.
    pub(crate) fn during(self, what: &str) -> Self {
        match self {
            Self::Server { status, .. } => Self::Server { status, during: Some(what.to_owned()) },
            other => other,
        }
    }

    pub(crate) fn several(mut all: Vec<Self>) -> Result {
        match all.len() {
            0 => Ok(()),
            1 => Err(all.remove(0)),
            _ => Err(Self::Several { all }),
        }
    }

    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Server { status, .. } => &status.reason,
            _ => "",
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Server { status, .. } if status.code == 404)
    }

    pub(crate) fn is_conflict(&self) -> bool {
        self.reason() == "Conflict"
    }

    /// Prints the failure as upstream does, and says with which code to end.
    pub(crate) fn report(&self) -> u8 {
        let text = match self {
            Self::OutputClosed => return FAILED,
            Self::Told { code } => return *code,
            Self::Command { code } => {
                eprintln!("{self}");
                return *code;
            }
            Self::Request { reason } => format!("error: {reason}"),
            other => other.to_string(),
        };
        eprintln!("{}", text.trim_end_matches('\n'));
        FAILED
    }
}

fn server_message(status: &Status, during: Option<&str>) -> String {
    let message = match during {
        Some(during) => format!("{during}: {}", status.message),
        None => status.message.clone(),
    };
    match status.reason.as_str() {
        "Unauthorized" => format!("error: You must be logged in to the server ({message})"),
        "Invalid" => invalid(status, &message),
        "" => format!("Error from server: {message}"),
        reason => format!("Error from server ({reason}): {message}"),
    }
}

/// What is wrong with an object, a line for each field.
fn invalid(status: &Status, message: &str) -> String {
    let Some(details) = &status.details else { return format!("The request is invalid: {message}") };
    let mut text = "The request is invalid".to_owned();
    if !details.kind.is_empty() || !details.name.is_empty() {
        text = format!("The {} {:?} is invalid", details.kind, details.name);
    } else if details.causes.is_empty() {
        text = format!("{text}: {message}");
    }
    let mut causes: Vec<String> = Vec::new();
    for cause in &details.causes {
        let line = format!("{}: {}", cause.field, cause.message);
        if !causes.contains(&line) {
            causes.push(line);
        }
    }
    match causes.as_slice() {
        [] => text,
        [one] => format!("{text}: {one}"),
        many => format!("{text}: \n{}", many.iter().map(|c| format!("* {c}")).collect::<Vec<_>>().join("\n")),
    }
}
