//! POST, PUT and PATCH.

use apimachinery::{Details, Object, Reason, Status};
use bytes::Bytes;
use http::{Response, StatusCode, header};
use kinds::Subresource;
use registry::{Body as Sent, FieldValidation, Patch, RequestContext, Written};

use super::Call;
use crate::{
    body,
    negotiation::{self, BodyFormat, View},
    protobuf,
    query::WriteOptions,
    respond::{self, Body},
    server::ApiServer,
    view, yaml,
};

impl ApiServer {
    pub(super) async fn create(&self, mut call: Call) -> Result<Response<Body>, Status> {
        let options = WriteOptions::read(&call.cx.query, "CreateOptions", false)?;
        let context = call.write_context(options);
        let sent = call.sent(&context).await?;
        if let Some(review) = self.review(&call.entry, &context, &sent).await {
            let document = review?;
            return Ok(call.looks.document(StatusCode::CREATED, &document));
        }
        let registry = &self.inner.live.registry;
        let resource = &call.entry.resource;
        let answer = match call.entry.subresource {
            Some(Subresource::Token) => {
                let document = self.token_request(&context, &sent).await?;
                return Ok(call.looks.document(StatusCode::CREATED, &document));
            }
            Some(_) => {
                let status = registry.create_subresource(resource, call.subresource(), &context, sent).await?;
                return Ok(call.warned(call.looks.document(StatusCode::CREATED, &status.to_value()), &context));
            }
            None if resource.facts().storage_prefix.is_empty() => {
                let status = registry.create_subresource(resource, "", &context, sent).await?;
                return Ok(call.warned(call.looks.document(StatusCode::CREATED, &status.to_value()), &context));
            }
            None => registry.create(resource, &context, sent).await,
        };
        call.written(answer.map(|written| Written { created: true, ..written }), &context)
    }

    pub(super) async fn update(&self, mut call: Call) -> Result<Response<Body>, Status> {
        let options = WriteOptions::read(&call.cx.query, "UpdateOptions", false)?;
        let context = call.write_context(options);
        let sent = call.sent(&context).await?;
        let (registry, resource) = (&self.inner.live.registry, &call.entry.resource);
        let written = match call.subresource() {
            "" => registry.update(resource, &context, sent).await,
            subresource => registry.update_subresource(resource, subresource, &context, sent).await,
        };
        call.written(written, &context)
    }

    pub(super) async fn patch(&self, mut call: Call) -> Result<Response<Body>, Status> {
        let content_type = call.cx.header(header::CONTENT_TYPE).unwrap_or_default();
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_owned();
        let applying = kind == "application/apply-patch+yaml";
        if !PATCH_TYPES.contains(&kind.as_str()) {
            return Err(Status::failure(415, Reason::UnsupportedMediaType, "415: Unsupported Media Type")
                .with_details(Details::default()));
        }
        let options = WriteOptions::read(&call.cx.query, "PatchOptions", applying)?;
        let force = options.force.unwrap_or_default();
        let context = call.write_context(options);
        let bytes = body::read(call.cx.request.body_mut()).await?;
        let patch = match kind.as_str() {
            "application/json-patch+json" => Patch::Json(bytes),
            "application/merge-patch+json" => Patch::Merge(bytes),
            "application/strategic-merge-patch+json" => Patch::Strategic(bytes),
            _ => Patch::Apply { body: applied(&bytes, &context)?, force },
        };
        let (registry, resource) = (&self.inner.live.registry, &call.entry.resource);
        let written = match call.subresource() {
            "" => registry.patch(resource, &context, patch).await,
            subresource => registry.patch_subresource(resource, subresource, &context, patch).await,
        };
        call.written(written, &context)
    }
}

const PATCH_TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// An applied configuration is YAML, of which JSON is a part.
fn applied(bytes: &Bytes, context: &RequestContext) -> Result<Bytes, Status> {
    let read = yaml::read(bytes).map_err(|status| {
        let message = status.message.replace("error converting YAML to JSON", "error decoding YAML");
        Status::bad_request(message)
    })?;
    if let (FieldValidation::Strict, [_, ..]) = (context.field_validation, read.duplicates.as_slice()) {
        let why = format!("yaml: unmarshal errors:\n  {}", read.duplicates.join("\n  "));
        return Err(Status::bad_request(format!("error strict decoding YAML: error converting YAML to JSON: {why}")));
    }
    warn_of_duplicates(&read, context);
    Ok(serde_json::to_vec(&read.tree).map_err(Status::internal)?.into())
}

fn warn_of_duplicates(read: &yaml::Read, context: &RequestContext) {
    if context.field_validation == FieldValidation::Warn {
        read.duplicates.iter().for_each(|note| context.warnings.push(note.as_str()));
    }
}

impl Call {
    /// The object in the body, as JSON.
    pub(super) async fn sent(&mut self, context: &RequestContext) -> Result<Sent, Status> {
        let format = negotiation::body_format(self.cx.header(header::CONTENT_TYPE))?;
        let bytes = body::read(self.cx.request.body_mut()).await?;
        match format {
            BodyFormat::Json => return Ok(Sent::Json(bytes)),
            BodyFormat::Protobuf => return protobuf::to_json(&bytes).map(Sent::Json),
            BodyFormat::Yaml => {}
        }
        let read = yaml::read(&bytes)?;
        if let (FieldValidation::Strict, [_, ..]) = (context.field_validation, read.duplicates.as_slice()) {
            let facts = self.entry.facts();
            let (kind, version) = (&facts.gvk.kind, &facts.gvk.version);
            return Err(Status::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: yaml: unmarshal \
                 errors:\n  {}",
                read.duplicates.join("\n  ")
            )));
        }
        warn_of_duplicates(&read, context);
        Ok(Sent::Json(serde_json::to_vec(&read.tree).map_err(Status::internal)?.into()))
    }

    fn written(&self, written: Result<Written, Status>, context: &RequestContext) -> Result<Response<Body>, Status> {
        match written {
            Ok(written) => {
                let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
                Ok(self.warned(self.shown(code, written.bytes)?, context))
            }
            Err(status) => Ok(self.warned(self.looks.status(&status), context)),
        }
    }

    /// Adds what was warned about.
    pub(super) fn warned(&self, mut response: Response<Body>, context: &RequestContext) -> Response<Body> {
        for warning in context.warnings.take() {
            respond::warn(response.headers_mut(), &warning);
        }
        response
    }

    /// A single object in the asked-for view.
    pub(super) fn shown(&self, code: StatusCode, bytes: Bytes) -> Result<Response<Body>, Status> {
        let version = match &self.looks.accepted.view {
            View::Whole | View::Discovery(_) => return Ok(self.looks.encoded(code, bytes)),
            View::PartialObjectMetadataList(_) => {
                let go_type = view::go_type(self.entry.resource.as_ref());
                view::of(&self.looks.accepted.view, false, &go_type, registry::IncludeObject::default())?;
                return Ok(self.looks.encoded(code, bytes));
            }
            View::Table(version) | View::PartialObjectMetadata(version) => version,
        };
        let object = Object::from_slice(&bytes).map_err(Status::internal)?;
        if !self.is_table() {
            return Ok(self.looks.document(code, &view::metadata(&object, version)));
        }
        let include = view::include(self.cx.query.first("includeObject"))?;
        let now = jiff::Timestamp::now().as_second();
        let table = if self.entry.subresource == Some(Subresource::Scale) {
            view::scale_table(&object, version, include, now)
        } else {
            view::table(self.entry.resource.as_ref(), &object, version, include, now)
        };
        Ok(self.looks.document(code, &table))
    }
}
