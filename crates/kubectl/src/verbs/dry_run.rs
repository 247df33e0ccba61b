//! `--dry-run` and `--validate`.

use clap::ValueEnum;

use crate::server::Query;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    #[default]
    None,
    Client,
    Server,
}

impl DryRun {
    /// What stands behind the message.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }

    pub(crate) fn query(self, query: Query) -> Query {
        if self == Self::Server { query.with("dryRun", "All") } else { query }
    }
}

/// What the server shall do with fields it does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Validate {
    #[default]
    #[value(alias = "true")]
    Strict,
    Warn,
    #[value(alias = "false")]
    Ignore,
}

impl Validate {
    pub(crate) fn query(self, query: Query) -> Query {
        query.with(
            "fieldValidation",
            match self {
                Self::Strict => "Strict",
                Self::Warn => "Warn",
                Self::Ignore => "Ignore",
            },
        )
    }
}
