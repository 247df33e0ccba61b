//! The creation of objects.

use std::sync::Arc;

use apimachinery::{Object, Status, field::ErrorList};
use serde_json::{Map, Value, json};
use store::Op;

use crate::{
    Attributes, Body, Operation, Registry, RequestContext, Resource, Written, decode,
    encode::{Unstamped, encode},
    keys, managed, prepare,
    services::CommitError,
};

/// How often a generated name that is taken is made anew.
const MAX_GENERATED_NAMES: usize = 8;

/// How often an object is completed anew because others took what was chosen for it.
const MAX_CLAIMS: usize = 64;

/// What creating needs besides the object.
pub(crate) struct Creation<'a> {
    pub(crate) resource: &'a Arc<dyn Resource>,
    pub(crate) cx: &'a RequestContext,
    /// Server-side apply says who owns what by itself.
    pub(crate) applied: bool,
}

enum Failure {
    /// There is such an object.
    Exists(Box<Status>),
    /// Others took meanwhile what was chosen for the object.
    Taken,
    Refused(Box<Status>),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl Registry {
    pub(crate) async fn create_body(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        body: Body,
    ) -> Result<Written, Status> {
        let expected = decode::Expected::of(resource.as_ref());
        let object = decode::body(self.resources(), &expected, cx, body)?;
        self.create_object(&Creation { resource, cx, applied: false }, object).await
    }

    pub(crate) async fn create_object(&self, creation: &Creation<'_>, mut object: Object) -> Result<Written, Status> {
        let Creation { resource, cx, .. } = creation;
        let facts = resource.facts();
        prepare::check_namespace(facts, cx, &mut object)?;
        reset_status(resource.as_ref(), &mut object);
        resource.default(&mut object)?;
        prepare::dedup_owners(cx, &mut object);
        if !creation.applied {
            managed::created(resource.as_ref(), cx, &mut object);
        }
        let options = options("CreateOptions", cx);
        let attributes = Attributes {
            operation: Operation::Create,
            resource: resource.as_ref(),
            subresource: "",
            namespace: cx.namespace(),
            name: "",
            user: &cx.user,
            old: None,
            options: &options,
            dry_run: cx.dry_run,
            warnings: &cx.warnings,
        };
        let name = object.name().to_owned();
        let before = object.clone();
        self.admission().mutate(&Attributes { name: &name, ..attributes }, Some(&mut object)).await?;
        if object != before {
            reset_status(resource.as_ref(), &mut object);
            resource.default(&mut object)?;
        }
        drop(before);
        let generates = object.name().is_empty() && !object.generate_name().is_empty();
        let (mut names, mut claims) = (if generates { MAX_GENERATED_NAMES } else { 1 }, MAX_CLAIMS);
        loop {
            match self.create_named(creation, &attributes, object.clone()).await {
                Err(Failure::Exists(_)) if names > 1 => names -= 1,
                Err(Failure::Taken) if claims > 1 => claims -= 1,
                Err(Failure::Taken) => return Err(Status::modified(&facts.group_resource(), object.name())),
                Err(Failure::Exists(status) | Failure::Refused(status)) => return Err(*status),
                Ok(written) => return Ok(written),
            }
        }
    }

    /// The last steps, of which a name that is taken repeats all.
    async fn create_named(
        &self,
        creation: &Creation<'_>,
        attributes: &Attributes<'_>,
        mut object: Object,
    ) -> Result<Written, Failure> {
        let Creation { resource, cx, .. } = creation;
        let facts = resource.facts();
        prepare::new_identity(cx, facts, &mut object);
        resource.prepare_for_create(&mut object)?;
        let claim = self.claim(resource.as_ref(), cx, &mut object, None).await?;
        check_new(resource.as_ref(), &object)?;
        resource.warnings(&object)?.into_iter().for_each(|sentence| cx.warnings.push(sentence));
        let name = object.name().to_owned();
        self.admission().validate(&Attributes { name: &name, ..*attributes }, Some(&object)).await?;
        if !object.resource_version().is_empty() && object.resource_version() != "0" {
            const WHY: &str = "resourceVersion should not be set on objects to be created";
            return Err(Status::failure(500, apimachinery::Reason::Unknown, WHY).into());
        }
        object.remove(&["metadata", "resourceVersion"]);
        let key = keys::object(facts, object.namespace(), &name);
        if cx.dry_run {
            if self.current().await?.get(&key).is_some() {
                return Err(Failure::Exists(Box::new(Status::already_exists(&facts.group_resource(), &name))));
            }
            return Ok(Written { bytes: encode(&object), created: true });
        }
        resource.to_stored_form(&mut object);
        let unstamped = Arc::new(Unstamped::new(&object));
        drop(object);
        let key = store::Key::from(key);
        let operation = || Op::Create { key: key.clone(), value: unstamped.value() };
        let committed = self.commit(facts, &name, &claim, operation).await.map_err(|error| match error {
            CommitError::Raced => Failure::Exists(Box::new(Status::already_exists(&facts.group_resource(), &name))),
            CommitError::Taken => Failure::Taken,
            CommitError::Failed(status) => status.into(),
        })?;
        let stored = committed.current().ok_or_else(|| Status::internal("a creation left nothing"))?;
        Ok(Written { bytes: self.shown(resource.as_ref(), &stored.value)?, created: true })
    }
}

/// A creator does not choose the status of what has a status of its own.
pub(crate) fn reset_status(resource: &dyn Resource, object: &mut Object) {
    let facts = resource.facts();
    if facts.has(kinds::Subresource::Status) && !facts.keeps_status_on_create {
        object.remove(&["status"]);
    }
}

fn check_new(resource: &dyn Resource, object: &Object) -> Result<(), Status> {
    let mut errors: ErrorList = resource.validate_metadata(object);
    errors.extend(resource.validate_create(object)?);
    refuse(resource, object.name(), &errors)
}

/// Refuses an object if anything is wrong with it.
pub(crate) fn refuse(resource: &dyn Resource, name: &str, errors: &ErrorList) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(&resource.blamed(), name, errors)) }
}

/// The options of a request as admission sees them.
pub(crate) fn options(kind: &str, cx: &RequestContext) -> Value {
    let mut options = Map::new();
    options.insert("kind".to_owned(), kind.into());
    options.insert("apiVersion".to_owned(), "meta.k8s.io/v1".into());
    if cx.dry_run {
        options.insert("dryRun".to_owned(), json!(["All"]));
    }
    if kind != "DeleteOptions" {
        options.insert("fieldManager".to_owned(), cx.manager().into());
        let validation = match cx.field_validation {
            crate::FieldValidation::Ignore => "Ignore",
            crate::FieldValidation::Warn => "Warn",
            crate::FieldValidation::Strict => "Strict",
        };
        options.insert("fieldValidation".to_owned(), validation.into());
    }
    Value::Object(options)
}
