//! Which representation an answer gets, and whether a body's media type is one we read.
//!
//! Tables are JSON or YAML only. What has no protobuf form, such as custom resources, is answered in JSON, as the
//! answer's media type says.

use apimachinery::Status;

pub(crate) const JSON: &str = "application/json";
pub(crate) const YAML: &str = "application/yaml";
pub(crate) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const NAMED: [&str; 3] = [JSON, YAML, PROTOBUF];
const META_GROUP: &str = "meta.k8s.io";
const DISCOVERY_GROUP: &str = "apidiscovery.k8s.io";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Json,
    Yaml,
    Protobuf,
}

/// What the client wants to see of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum View {
    #[default]
    Whole,
    /// `meta.k8s.io` Table of the given version.
    Table(String),
    PartialObjectMetadata(String),
    PartialObjectMetadataList(String),
    /// Aggregated discovery of the given version.
    Discovery(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub format: Format,
    pub view: View,
    pub pretty: bool,
}

/// Which views an endpoint has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Views {
    /// Only the thing itself.
    None,
    /// Tables and metadata: what has columns.
    Objects,
    Discovery,
}

/// One part of an `Accept` header.
#[derive(Debug)]
struct Clause<'a> {
    kind: &'a str,
    subtype: &'a str,
    quality: f32,
    parameters: Vec<(String, String)>,
}

fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = header.split(',').filter_map(clause).collect();
    // Stable: equals keep the client's order; what is more particular goes first.
    clauses.sort_by(|a, b| {
        let rank = |c: &Clause<'_>| (c.kind == "*", c.subtype == "*");
        b.quality.total_cmp(&a.quality).then(rank(a).cmp(&rank(b)))
    });
    clauses
}

fn clause(text: &str) -> Option<Clause<'_>> {
    let mut parts = text.split(';');
    let (kind, subtype) = match parts.next()?.trim().split_once('/') {
        Some((kind, subtype)) => (kind.trim(), subtype.trim()),
        None if text.trim() == "*" => ("*", "*"),
        None => return None,
    };
    let mut clause = Clause { kind, subtype, quality: 1.0, parameters: Vec::new() };
    for parameter in parts {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        if key == "q" {
            clause.quality = value.parse().unwrap_or(1.0);
        } else {
            clause.parameters.push((key.to_owned(), value.to_owned()));
        }
    }
    Some(clause)
}

impl Clause<'_> {
    fn matches(&self, media_type: &str) -> bool {
        let (kind, subtype) = media_type.split_once('/').unwrap_or((media_type, ""));
        (self.kind == "*" || self.kind == kind) && (self.subtype == "*" || self.subtype == subtype)
    }

    fn view(&self, views: Views) -> Option<View> {
        let get = |name: &str| self.parameters.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str());
        let Some(wanted) = get("as").filter(|w| !w.is_empty()) else { return Some(View::Whole) };
        let (group, version) = (get("g").unwrap_or_default(), get("v").unwrap_or_default());
        let meta = views == Views::Objects && group == META_GROUP && matches!(version, "v1" | "v1beta1");
        match wanted {
            "Table" if meta => Some(View::Table(version.to_owned())),
            "PartialObjectMetadata" if meta => Some(View::PartialObjectMetadata(version.to_owned())),
            "PartialObjectMetadataList" if meta => Some(View::PartialObjectMetadataList(version.to_owned())),
            "APIGroupDiscoveryList"
                if views == Views::Discovery && group == DISCOVERY_GROUP && matches!(version, "v2" | "v2beta1") =>
            {
                Some(View::Discovery(version.to_owned()))
            }
            _ => None,
        }
    }
}

/// Picks the representation. No header means JSON.
pub(crate) fn accept(header: Option<&str>, views: Views) -> Result<Accepted, Status> {
    let Some(header) = header.filter(|h| !h.trim().is_empty()) else { return Ok(Accepted::default()) };
    for clause in clauses(header) {
        let Some(media_type) = NAMED.into_iter().find(|m| clause.matches(m)) else { continue };
        let Some(view) = clause.view(views) else { continue };
        let format = match (media_type, &view) {
            (JSON, _) => Format::Json,
            (YAML, _) => Format::Yaml,
            (_, View::Table(_)) => continue,
            _ => Format::Protobuf,
        };
        let pretty = clause.parameters.iter().any(|(k, v)| k == "pretty" && v == "1");
        return Ok(Accepted { format, view, pretty });
    }
    Err(Status::not_acceptable(&NAMED))
}

/// The first gate of resource routes, which knows media types but not their parameters.
pub(crate) fn representable(header: Option<&str>, listing: bool) -> Result<(), Status> {
    let Some(header) = header.filter(|h| !h.trim().is_empty()) else { return Ok(()) };
    if clauses(header).iter().any(|clause| NAMED.into_iter().any(|m| clause.matches(m))) {
        return Ok(());
    }
    let mut available = NAMED.join(", ");
    if listing {
        available.push_str(", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch");
    }
    let message = format!("406: Not Acceptable\n\nAvailable representations: {available}");
    Err(Status::failure(406, apimachinery::Reason::NotAcceptable, message)
        .with_details(apimachinery::Details::default()))
}

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    Json,
    Yaml,
    Protobuf,
}

/// The format of a body by its `Content-Type`; no header means JSON.
pub(crate) fn body_format(header: Option<&str>) -> Result<BodyFormat, Status> {
    let Some(header) = header.filter(|h| !h.is_empty()) else { return Ok(BodyFormat::Json) };
    let media_type = header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        JSON => Ok(BodyFormat::Json),
        YAML => Ok(BodyFormat::Yaml),
        PROTOBUF => Ok(BodyFormat::Protobuf),
        _ => Err(Status::unsupported_media_type(&NAMED)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn view(header: &str, views: Views) -> Result<(Format, View), u16> {
        accept(Some(header), views).map(|a| (a.format, a.view)).map_err(|s| s.code)
    }

    #[test]
    fn picks_the_first_that_is_spoken() {
        let table = View::Table("v1".to_owned());
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(view(kubectl, Views::Objects), Ok((Format::Json, table)));
        assert_eq!(view(kubectl, Views::None), Ok((Format::Json, View::Whole)));
        assert_eq!(
            view("application/vnd.kubernetes.protobuf,application/json", Views::Objects),
            Ok((Format::Protobuf, View::Whole))
        );
        let tables = "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io";
        assert_eq!(view(tables, Views::Objects), Err(406));
        assert_eq!(view(&format!("{tables},application/json"), Views::Objects), Ok((Format::Json, View::Whole)));
        assert_eq!(view("application/json;q=0.5, application/yaml", Views::None), Ok((Format::Yaml, View::Whole)));
        assert_eq!(view("*/*", Views::None), Ok((Format::Json, View::Whole)));
        assert_eq!(view("application/json;as=Table;v=v1;g=nosuch", Views::Objects), Err(406));
        let discovery = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
        assert_eq!(view(discovery, Views::Discovery), Ok((Format::Json, View::Discovery("v2".to_owned()))));
    }

    #[test]
    fn bodies() {
        assert_eq!(body_format(Some("application/json; charset=utf-8")), Ok(BodyFormat::Json));
        assert_eq!(body_format(Some("application/yaml")), Ok(BodyFormat::Yaml));
        assert_eq!(body_format(Some("application/vnd.kubernetes.protobuf")), Ok(BodyFormat::Protobuf));
        assert_eq!(body_format(Some("text/plain")).unwrap_err().code, 415);
        assert_eq!(representable(Some("application/xml"), false).unwrap_err().code, 406);
    }
}
