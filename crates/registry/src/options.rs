//! Options of reads and deletions, read from queries by the API server.

use apimachinery::{
    GroupKind, Status,
    field::{Error, ErrorList, Path},
};
use serde::{Deserialize, Serialize};

/// Bounds on the state a read may answer from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetOptions {
    pub resource_version: String,
}

/// Options of a list or a watch, as the query has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    pub label_selector: String,
    pub field_selector: String,
    pub resource_version: String,
    /// `Exact`, `NotOlderThan` or empty.
    pub resource_version_match: String,
    /// 0 is no limit.
    pub limit: u64,
    pub continue_token: String,
    pub allow_watch_bookmarks: bool,
    pub send_initial_events: Option<bool>,
}

/// How an object is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Whole.
    #[default]
    Object,
    /// `PartialObjectMetadata`.
    Metadata,
    /// A `Table` with its rows' objects reduced as told.
    Table(IncludeObject),
}

/// `includeObject` of a table request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    None,
    #[default]
    Metadata,
    Object,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Preconditions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// `metav1.DeleteOptions`, from the body or the query. Dry run stands in the request's context.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeleteOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preconditions: Option<Preconditions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphan_dependents: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation_policy: Option<String>,
}

/// Refuses combinations that mean nothing, as upstream words it.
pub(crate) fn validate_list(options: &ListOptions) -> Result<(), Status> {
    let mut errors = ErrorList::new();
    let path = Path::new("resourceVersionMatch");
    let matching = options.resource_version_match.as_str();
    if !matching.is_empty() {
        if options.resource_version.is_empty() {
            const WHY: &str = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            errors.push(Error::forbidden(&path, WHY));
        }
        if !options.continue_token.is_empty() {
            errors.push(Error::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if !matches!(matching, "Exact" | "NotOlderThan") {
            errors.push(Error::not_supported(&path, matching, &["Exact", "NotOlderThan", ""]));
        }
        if matching == "Exact" && options.resource_version == "0" {
            const WHY: &str = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(Error::forbidden(&path, WHY));
        }
    }
    if options.send_initial_events.is_some() {
        const WHY: &str = "sendInitialEvents is forbidden for list";
        errors.push(Error::forbidden(&Path::new("sendInitialEvents"), WHY));
    }
    refuse(&errors)
}

/// The same for a watch.
pub(crate) fn validate_watch(options: &ListOptions) -> Result<(), Status> {
    let mut errors = ErrorList::new();
    let path = Path::new("resourceVersionMatch");
    let matching = options.resource_version_match.as_str();
    match options.send_initial_events {
        Some(_) => {
            if matching != "NotOlderThan" {
                const WHY: &str = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                errors.push(Error::forbidden(&path, WHY));
            }
            if !matches!(matching, "" | "NotOlderThan") {
                errors.push(Error::not_supported(&path, matching, &["NotOlderThan"]));
            }
            if !options.continue_token.is_empty() {
                errors.push(Error::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
            }
        }
        None if !matching.is_empty() => {
            const WHY: &str = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(Error::forbidden(&path, WHY));
        }
        None => {}
    }
    refuse(&errors)
}

fn refuse(errors: &ErrorList) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&GroupKind::new("meta.k8s.io", "ListOptions"), "", errors))
}
