//! Why an apply was refused, in upstream's words.

use apimachinery::{Cause, Details, GroupVersionKind, Reason, Status, field::quote};
use thiserror::Error;

use super::{
    entries::{EntryError, ManagerId, Operation},
    path::{self, Path},
};

/// A field that the configuration wants to be different from what its owner made it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    pub manager: ManagerId,
    pub path: Path,
}

#[derive(Clone, Debug, Error, PartialEq)]
pub enum ApplyError {
    #[error("invalid object type: {kind}")]
    Kind { kind: GroupVersionKind },
    #[error("metadata.managedFields must be nil")]
    ManagedFieldsGiven,
    #[error("failed to decode managed fields: {0}")]
    Entries(#[from] EntryError),
    /// The configuration does not fit the schema.
    #[error("failed to create typed {what} object ({object}): {reason}")]
    Typed { what: &'static str, object: String, reason: String },
    #[error("{}", message(conflicts))]
    Conflicts { conflicts: Vec<Conflict> },
    /// The merged object does not fit the schema.
    #[error("{0}")]
    Merged(schema::DecodeError),
}

impl ApplyError {
    pub fn status(&self) -> Status {
        match self {
            Self::Kind { .. } | Self::ManagedFieldsGiven => Status::bad_request(self.to_string()),
            Self::Conflicts { conflicts } => {
                let causes = conflicts
                    .iter()
                    .map(|conflict| Cause {
                        reason: "FieldManagerConflict".to_owned(),
                        message: format!("conflict with {}", print(&conflict.manager)),
                        field: path::print(&conflict.path),
                    })
                    .collect();
                Status::failure(409, Reason::Conflict, self.to_string())
                    .with_details(Details { causes, ..Details::default() })
            }
            Self::Entries(_) | Self::Typed { .. } | Self::Merged(_) => {
                Status::failure(500, Reason::Unknown, self.to_string())
            }
        }
    }
}

fn message(conflicts: &[Conflict]) -> String {
    if let [conflict] = conflicts {
        let (manager, path) = (print(&conflict.manager), path::print(&conflict.path));
        return format!("Apply failed with 1 conflict: conflict with {manager}: {path}");
    }
    let mut lines = Vec::new();
    let mut last = None;
    for conflict in conflicts {
        if last != Some(&conflict.manager) {
            lines.push(format!("conflicts with {}:", print(&conflict.manager)));
            last = Some(&conflict.manager);
        }
        lines.push(format!("- {}", path::print(&conflict.path)));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

fn print(id: &ManagerId) -> String {
    let mut text = quote(&id.manager);
    if !id.subresource.is_empty() {
        text.push_str(&format!(" with subresource {}", quote(&id.subresource)));
    }
    if id.operation == Operation::Update {
        text.push_str(&format!(" using {}", id.api_version));
    }
    text
}
