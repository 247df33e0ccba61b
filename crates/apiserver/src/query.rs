//! Query parameters as upstream converts and judges them.

use apimachinery::{
    FieldSelector, GroupKind, LabelSelector, Status,
    field::{Error, ErrorList, Path},
};

/// The longest name of a field manager.
const FIELD_MANAGER_MAX_BYTES: usize = 128;
const META_GROUP: &str = "meta.k8s.io";

/// The parameters of a request, decoded, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.first(name).unwrap_or_default().to_owned()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Anything but `0` and `false` is true, the empty text included.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.first(name).map(|value| !(value == "0" || value.eq_ignore_ascii_case("false")))
    }

    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Status> {
        let Some(text) = self.first(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            Status::bad_request(format!(
                "strconv.ParseInt: parsing {}: invalid syntax",
                apimachinery::field::quote(text)
            ))
        })
    }
}

/// Parameters of list, watch and deletecollection. Selectors are judged here and read by the registry.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListOptions {
    pub watch: bool,
    pub allow_watch_bookmarks: bool,
    pub resource_version: String,
    pub resource_version_match: String,
    pub timeout_seconds: Option<i64>,
    pub limit: i64,
    pub continue_token: String,
    pub send_initial_events: Option<bool>,
}

impl ListOptions {
    pub(crate) fn read(query: &Query) -> Result<Self, Status> {
        LabelSelector::parse(&query.text("labelSelector")).map_err(|e| Status::bad_request(e.to_string()))?;
        FieldSelector::parse(&query.text("fieldSelector")).map_err(|e| Status::bad_request(e.to_string()))?;
        Ok(Self {
            watch: query.flag("watch").unwrap_or_default(),
            allow_watch_bookmarks: query.flag("allowWatchBookmarks").unwrap_or_default(),
            resource_version: query.text("resourceVersion"),
            resource_version_match: query.text("resourceVersionMatch"),
            timeout_seconds: query.integer("timeoutSeconds")?,
            limit: query.integer("limit")?.unwrap_or_default(),
            continue_token: query.text("continue"),
            send_initial_events: query.flag("sendInitialEvents"),
        })
    }

    /// What is wrong with the combination.
    pub(crate) fn validate(&self) -> Result<(), Status> {
        let mut errors = ErrorList::new();
        let matching = Path::new("resourceVersionMatch");
        if self.send_initial_events.is_some() {
            if !self.watch {
                let path = Path::new("sendInitialEvents");
                errors.push(Error::forbidden(&path, "sendInitialEvents is forbidden for list"));
            }
            if self.resource_version_match != "NotOlderThan" {
                let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
                errors.push(Error::forbidden(&matching, why));
                if !self.resource_version_match.is_empty() {
                    let value = self.resource_version_match.as_str();
                    errors.push(Error::not_supported(&matching, value, &["NotOlderThan"]));
                }
            }
            if !self.continue_token.is_empty() {
                errors.push(Error::forbidden(&matching, "resourceVersionMatch is forbidden when continue is provided"));
            }
        } else if !self.resource_version_match.is_empty() {
            self.validate_match(&matching, &mut errors);
        }
        invalid("ListOptions", &errors)
    }

    fn validate_match(&self, matching: &Path, errors: &mut ErrorList) {
        if self.watch {
            errors.push(Error::forbidden(matching, "resourceVersionMatch is forbidden for watch"));
        }
        if self.resource_version.is_empty() {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            errors.push(Error::forbidden(matching, why));
        }
        if !self.continue_token.is_empty() {
            errors.push(Error::forbidden(matching, "resourceVersionMatch is forbidden when continue is provided"));
        }
        match self.resource_version_match.as_str() {
            "Exact" if self.resource_version == "0" => errors.push(Error::forbidden(
                matching,
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            )),
            "Exact" | "NotOlderThan" => {}
            other => errors.push(Error::not_supported(matching, other, &["Exact", "NotOlderThan", ""])),
        }
    }
}

/// Refuses options of the given kind when there are errors.
pub(crate) fn invalid(kind: &str, errors: &ErrorList) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(&GroupKind::new(META_GROUP, kind), "", errors)) }
}

/// The parameters that all writes share.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    pub dry_run: bool,
    pub field_manager: String,
    /// Empty when not given.
    pub field_validation: String,
    pub force: Option<bool>,
}

impl WriteOptions {
    /// `kind` is the name of the options in errors: `CreateOptions`, `UpdateOptions`, `PatchOptions`. `apply` when the
    /// patch is a server-side apply.
    pub(crate) fn read(query: &Query, kind: &str, apply: bool) -> Result<Self, Status> {
        let mut errors = ErrorList::new();
        let force = query.flag("force");
        let manager = query.text("fieldManager");
        if kind == "PatchOptions" {
            if apply && manager.is_empty() {
                errors.push(Error::required(&Path::new("fieldManager"), "is required for apply patch"));
            }
            if !apply && force.is_some() {
                errors.push(Error::forbidden(&Path::new("force"), "may not be specified for non-apply patch"));
            }
        }
        validate_field_manager(&manager, &mut errors);
        let dry_run = query.all("dryRun");
        validate_dry_run(&dry_run, &mut errors);
        let field_validation = query.text("fieldValidation");
        if !matches!(field_validation.as_str(), "" | "Ignore" | "Warn" | "Strict") {
            errors.push(Error::not_supported(
                &Path::new("fieldValidation"),
                field_validation.as_str(),
                &["", "Ignore", "Strict", "Warn"],
            ));
        }
        invalid(kind, &errors)?;
        Ok(Self { dry_run: !dry_run.is_empty(), field_manager: manager, field_validation, force })
    }
}

fn validate_field_manager(manager: &str, errors: &mut ErrorList) {
    let path = Path::new("fieldManager");
    if manager.len() > FIELD_MANAGER_MAX_BYTES {
        errors.push(Error::too_long(&path, FIELD_MANAGER_MAX_BYTES));
    }
    for (at, c) in manager.char_indices() {
        if c.is_control() {
            let why = format!("invalid character U+{:04X} (at position {at})", c as u32);
            errors.push(Error::invalid(&path, manager, why));
        }
    }
}

/// Refuses anything but `All`.
pub(crate) fn validate_dry_run(values: &[String], errors: &mut ErrorList) {
    if values.iter().any(|value| value != "All") {
        errors.push(Error::not_supported(&Path::new("dryRun"), serde_json::Value::from(values.to_vec()), &["All"]));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn refusal(query: &str) -> String {
        let options = ListOptions::read(&Query::parse(query));
        options.and_then(|o| o.validate()).unwrap_err().message
    }

    #[test]
    fn list_options_are_judged_as_upstream_does() {
        assert_eq!(refusal("limit=abc"), "strconv.ParseInt: parsing \"abc\": invalid syntax");
        assert_eq!(
            refusal("resourceVersion=0&resourceVersionMatch=Exact"),
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is \
             forbidden for resourceVersion \"0\""
        );
        assert_eq!(
            refusal("watch=1&sendInitialEvents=true&resourceVersionMatch=Exact"),
            "ListOptions.meta.k8s.io \"\" is invalid: [resourceVersionMatch: Forbidden: sendInitialEvents requires \
             setting resourceVersionMatch to NotOlderThan, resourceVersionMatch: Unsupported value: \"Exact\": \
             supported values: \"NotOlderThan\"]"
        );
    }

    #[test]
    fn write_options_are_judged_as_upstream_does() {
        let error = WriteOptions::read(&Query::parse("fieldManager=a%09b"), "CreateOptions", false).unwrap_err();
        assert_eq!(
            error.message,
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"a\\tb\": invalid character U+0009 \
             (at position 1)"
        );
        assert!(WriteOptions::read(&Query::parse("dryRun=All"), "CreateOptions", false).unwrap().dry_run);
        assert!(WriteOptions::read(&Query::default(), "PatchOptions", true).is_err());
    }
}
