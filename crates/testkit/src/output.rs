//! What a command printed.

use std::{fmt, process::ExitStatus};

use serde_json::Value;

/// A finished command: how it was called, what it printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    pub command: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, status, stdout, stderr } = self;
        write!(f, "$ {command}\n{status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

impl Output {
    pub fn is_success(&self) -> bool {
        self.status.success()
    }

    /// Standard output of a command that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.is_success(), "the command failed:\n{self}");
        self.stdout
    }

    /// Standard error of a command that must have failed.
    #[track_caller]
    pub fn fails(self) -> String {
        assert!(!self.is_success(), "the command succeeded:\n{self}");
        self.stderr
    }

    /// Standard output of a successful command as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    /// Fails unless the text stands in what was printed.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "{text:?} is missing:\n{self}");
        self
    }
}
