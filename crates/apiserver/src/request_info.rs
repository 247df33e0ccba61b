//! What a request is about, read from method, path and query alone, as upstream's request info does.

use apimachinery::{FieldSelector, UserInfo};
use http::Method;
use percent_encoding::percent_decode_str;

/// Subresources of namespaces; any other second segment below a namespace is a resource in it.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

/// A request, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestInfo {
    pub is_resource: bool,
    pub path: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; the lower-cased method for
    /// what is no resource.
    pub verb: String,
    pub api_group: String,
    pub api_version: String,
    pub namespace: String,
    pub resource: String,
    pub subresource: String,
    pub name: String,
    /// What follows the subresource: the path within a proxied server.
    pub rest: Option<String>,
    /// The name was taken from a field selector, not from the path.
    pub name_from_selector: bool,
}

impl RequestInfo {
    /// `path` is as it came, percent-encoded; `query` without its question mark.
    pub(crate) fn new(method: &Method, path: &str, query: &str) -> Self {
        let decoded = percent_decode_str(path).decode_utf8_lossy().into_owned();
        let other = Self { path: decoded.clone(), verb: method.as_str().to_ascii_lowercase(), ..Self::default() };
        // A slash within a name may come encoded: split first, decode after.
        let parts: Vec<String> = path
            .trim_matches('/')
            .split('/')
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        Self { path: decoded, ..Self::of_resource(method, &parts, query, path).unwrap_or(other) }
    }

    fn of_resource(method: &Method, parts: &[String], query: &str, raw_path: &str) -> Option<Self> {
        let mut info = Self { is_resource: true, ..Self::default() };
        let mut rest = match parts.first()?.as_str() {
            "api" => &parts[1..],
            "apis" => {
                info.api_group = parts.get(1)?.clone();
                &parts[2..]
            }
            _ => return None,
        };
        let (version, after) = rest.split_first()?;
        info.api_version = version.clone();
        rest = after;
        info.verb = match *method {
            Method::GET | Method::HEAD => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "",
        }
        .to_owned();
        let first = rest.first()?;
        if matches!(first.as_str(), "watch" | "proxy") && rest.len() > 1 {
            info.verb.clone_from(first);
            rest = &rest[1..];
        }
        rest = info.take_namespace(rest);
        info.resource = rest.first()?.clone();
        info.name = rest.get(1).cloned().unwrap_or_default();
        info.subresource = rest.get(2).cloned().unwrap_or_default();
        if rest.len() > 3 {
            info.rest = Some(tail(raw_path, parts.len() - (rest.len() - 3)));
        }
        info.refine_verb(query);
        Some(info)
    }

    /// Takes `namespaces/{namespace}/` off, unless it is the namespace itself that is meant.
    fn take_namespace<'a>(&mut self, rest: &'a [String]) -> &'a [String] {
        if rest.first().map(String::as_str) != Some("namespaces") || rest.len() < 2 {
            return rest;
        }
        self.namespace.clone_from(&rest[1]);
        match rest.get(2) {
            Some(next) if !NAMESPACE_SUBRESOURCES.contains(&next.as_str()) => &rest[2..],
            _ => rest,
        }
    }

    /// A get without a name is a list or a watch; a delete without one is of the collection.
    fn refine_verb(&mut self, query: &str) {
        if !self.name.is_empty() && self.verb != "watch" {
            return;
        }
        match self.verb.as_str() {
            "get" | "watch" => {
                let asked = |name: &str| {
                    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
                };
                let watch = asked("watch").is_some_and(|value| !matches!(value.as_ref(), "0" | "false"));
                if self.verb == "get" {
                    self.verb = if watch { "watch" } else { "list" }.to_owned();
                }
                self.name_by_selector(asked("fieldSelector").as_deref());
            }
            "delete" => {
                self.verb = "deletecollection".to_owned();
                let selector = form_urlencoded::parse(query.as_bytes())
                    .find(|(key, _)| key == "fieldSelector")
                    .map(|(_, value)| value.into_owned());
                self.name_by_selector(selector.as_deref());
            }
            _ => {}
        }
    }

    /// A list of exactly one object by name is authorized by that name.
    fn name_by_selector(&mut self, selector: Option<&str>) {
        let Some(selector) = selector.and_then(|text| FieldSelector::parse(text).ok()) else { return };
        if let Some(name) = selector.exact("metadata.name")
            && self.name.is_empty()
            && apimachinery::validation::path_segment_name(name).is_empty()
        {
            self.name = name.to_owned();
            self.name_from_selector = true;
        }
    }

    /// The question to the authorizers.
    pub(crate) fn attributes(&self, user: &UserInfo, query: &str) -> auth::Attributes {
        let mut attributes = auth::Attributes {
            user: user.clone(),
            verb: self.verb.clone(),
            namespace: self.namespace.clone(),
            api_group: self.api_group.clone(),
            api_version: self.api_version.clone(),
            resource: self.resource.clone(),
            subresource: self.subresource.clone(),
            name: self.name.clone(),
            resource_request: self.is_resource,
            path: self.path.clone(),
            ..auth::Attributes::default()
        };
        if matches!(self.verb.as_str(), "list" | "watch" | "deletecollection") {
            for (key, value) in form_urlencoded::parse(query.as_bytes()) {
                match key.as_ref() {
                    "fieldSelector" => attributes.field_selector = FieldSelector::parse(&value).unwrap_or_default(),
                    "labelSelector" => {
                        attributes.label_selector = apimachinery::LabelSelector::parse(&value).unwrap_or_default();
                    }
                    _ => {}
                }
            }
        }
        attributes
    }
}

/// The raw path after its first `skip` segments.
fn tail(raw_path: &str, skip: usize) -> String {
    let mut rest = raw_path.trim_start_matches('/');
    for _ in 0..skip {
        rest = rest.split_once('/').map_or("", |(_, after)| after);
    }
    rest.to_owned()
}

#[cfg(test)]
mod tests;
