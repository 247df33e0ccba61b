//! DELETE, of one and of many.

use apimachinery::{
    Status,
    field::{Error, ErrorList, Path},
};
use http::{Response, StatusCode, header};
use registry::{DeleteOptions, Deleted};
use serde::Deserialize;
use serde_json::Value;

use super::Call;
use crate::{
    body,
    negotiation::{self, BodyFormat},
    protobuf,
    query::{self, Query},
    respond::Body,
    server::ApiServer,
    yaml,
};

/// `DeleteOptions` with the switch that the registry wants in its context.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    #[serde(flatten)]
    registry: DeleteOptions,
    dry_run: Option<Vec<String>>,
}

impl ApiServer {
    pub(super) async fn delete(&self, mut call: Call) -> Result<Response<Body>, Status> {
        let options = call.delete_options().await?;
        let mut context = call.context();
        context.dry_run = options.dry_run.is_some_and(|d| !d.is_empty());
        let deleted = self.inner.live.registry.delete(&call.entry.resource, &context, &options.registry).await?;
        let response = match deleted {
            Deleted::Gone(status) => {
                let document = status.to_value();
                call.looks.document(StatusCode::OK, &document)
            }
            Deleted::Object(bytes) => call.shown(StatusCode::OK, bytes)?,
            Deleted::Pending { bytes, accepted } => {
                call.shown(if accepted { StatusCode::ACCEPTED } else { StatusCode::OK }, bytes)?
            }
        };
        Ok(call.warned(response, &context))
    }

    pub(super) async fn delete_collection(&self, mut call: Call) -> Result<Response<Body>, Status> {
        let list = call.list_options()?;
        let options = call.delete_options().await?;
        let mut context = call.context();
        context.dry_run = options.dry_run.is_some_and(|d| !d.is_empty());
        let registry = &self.inner.live.registry;
        let listed = registry.delete_collection(&call.entry.resource, &context, &list, &options.registry).await?;
        call.chunks(listed.chunks)
    }
}

impl Call {
    /// Options stand in the body, or in the query when there is none.
    async fn delete_options(&mut self) -> Result<Options, Status> {
        let bytes = body::read(self.cx.request.body_mut()).await?;
        let options = if bytes.is_empty() {
            from_query(&self.cx.query)?
        } else {
            let tree: Value = match negotiation::body_format(self.cx.header(header::CONTENT_TYPE))? {
                BodyFormat::Json => {
                    let read = schema::decode_any(&bytes)
                        .map_err(|e| plain(format!("couldn't get version/kind; json parse error: {e}")))?;
                    read.value
                }
                BodyFormat::Yaml => yaml::read(&bytes)?.tree,
                BodyFormat::Protobuf => {
                    serde_json::from_slice(&protobuf::to_json(&bytes)?).map_err(Status::internal)?
                }
            };
            from_body(tree)?
        };
        validate(&options)?;
        Ok(options)
    }
}

fn from_query(query: &Query) -> Result<Options, Status> {
    let preconditions = None;
    let dry_run = query.all("dryRun");
    Ok(Options {
        registry: DeleteOptions {
            grace_period_seconds: query.integer("gracePeriodSeconds")?,
            preconditions,
            orphan_dependents: query.flag("orphanDependents"),
            propagation_policy: query.first("propagationPolicy").filter(|p| !p.is_empty()).map(str::to_owned),
        },
        dry_run: (!dry_run.is_empty()).then_some(dry_run),
    })
}

const KIND: &str = "DeleteOptions";
/// What upstream calls its table of kinds in error texts.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";

/// Whether a value is of the type a field has.
type Fits = fn(&Value) -> bool;

/// The fields and their Go types, for errors that name them.
const FIELDS: [(&str, &str, Fits); 5] = [
    ("gracePeriodSeconds", "int64", Value::is_i64),
    ("preconditions", "v1.Preconditions", Value::is_object),
    ("orphanDependents", "bool", Value::is_boolean),
    ("propagationPolicy", "v1.DeletionPropagation", Value::is_string),
    ("dryRun", "[]string", Value::is_array),
];

/// Upstream answers what it cannot decode here with a bare error.
fn plain(message: String) -> Status {
    Status::failure(500, apimachinery::Reason::Unknown, message)
}

fn from_body(tree: Value) -> Result<Options, Status> {
    let (api_version, kind) = (tree["apiVersion"].as_str().unwrap_or("v1"), tree["kind"].as_str().unwrap_or(KIND));
    if kind != KIND {
        return Err(plain(format!(
            "no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \"{SCHEME}\""
        )));
    }
    for (field, go_type, fits) in FIELDS {
        if let Some(value) = tree.get(field).filter(|value| !value.is_null())
            && !fits(value)
        {
            let is = match value {
                Value::Bool(_) => "bool",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                _ => "object",
            };
            let message =
                format!("json: cannot unmarshal {is} into Go struct field DeleteOptions.{field} of type {go_type}");
            return Err(plain(message));
        }
    }
    if tree.is_null() {
        return Ok(Options::default());
    }
    Options::deserialize(&tree).map_err(|e| Status::bad_request(e.to_string()))
}

fn validate(options: &Options) -> Result<(), Status> {
    let mut errors = ErrorList::new();
    let path = Path::new("propagationPolicy");
    if let Some(policy) = &options.registry.propagation_policy {
        if options.registry.orphan_dependents.is_some() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(Error::invalid(&path, policy.as_str(), why));
        }
        if !matches!(policy.as_str(), "Foreground" | "Background" | "Orphan") {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            errors.push(Error::not_supported(&path, policy.as_str(), &supported));
        }
    }
    query::validate_dry_run(options.dry_run.as_deref().unwrap_or_default(), &mut errors);
    query::invalid("DeleteOptions", &errors)
}
