//! How a remote command ended, as the error channel tells it.

use serde_json::json;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command ran and exited with this code.
    Exited(i32),
    /// The command could not be run, or was cut off; the text is for the user.
    Failed(String),
}

impl Outcome {
    /// The `Status` that protocol versions 4 and 5 send.
    pub(crate) fn to_status(&self) -> Vec<u8> {
        let status = match self {
            Self::Exited(0) => json!({"metadata": {}, "status": "Success"}),
            Self::Exited(code) => json!({
                "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
                "message": format!("command terminated with non-zero exit code: exit status {code}"),
                "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
            }),
            Self::Failed(message) => json!({
                "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
                "message": format!("Internal error occurred: {message}"),
                "details": {"causes": [{"message": message}]},
            }),
        };
        status.to_string().into_bytes()
    }

    /// The plain text that versions before 4 send; nothing on success.
    pub(crate) fn to_text(&self) -> Option<String> {
        match self {
            Self::Exited(0) => None,
            Self::Exited(code) => Some(format!("command terminated with non-zero exit code: exit status {code}")),
            Self::Failed(message) => Some(message.clone()),
        }
    }
}
