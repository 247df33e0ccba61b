//! Deletions: at once where nothing stands against it, else marked and left to finalizers, grace or the namespace's
//! controller. The order of questions is upstream's.

mod mark;

use std::sync::Arc;

use apimachinery::{Details, Object, Status, field};
use kinds::Verb;
use serde_json::Value;
use store::{KeyValue, Op, Snapshot};

use crate::{
    Attributes, DeleteOptions, Deleted, ListOptions, Listed, Operation, Registry, RequestContext, Resource, View,
    create::options,
    decode,
    encode::{Unstamped, encode},
    header::Header,
    keys, list,
    services::{Claim, CommitError},
};
use mark::{Mark, mark};

/// How often a deletion is tried against ever newer states.
const MAX_ATTEMPTS: usize = 64;

enum Failure {
    Raced,
    Refused(Box<Status>),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl Registry {
    pub(crate) async fn delete_one(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        validate_options(options)?;
        let key = keys::object(resource.facts(), cx.namespace(), &cx.name);
        let mut state = self.store().snapshot();
        for _ in 0..MAX_ATTEMPTS {
            match self.attempt_delete(resource, cx, options, &state).await {
                // What would be done to an old state may not be what would be done.
                Ok(deleted) if cx.dry_run => match self.newer(&key, &state).await? {
                    Some(newer) => state = newer,
                    None => return Ok(deleted),
                },
                Ok(deleted) => return Ok(deleted),
                Err(Failure::Refused(status)) => match self.newer(&key, &state).await? {
                    Some(newer) => state = newer,
                    None => return Err(*status),
                },
                Err(Failure::Raced) => state = self.current().await?,
            }
        }
        Err(Status::modified(&resource.facts().group_resource(), &cx.name))
    }

    async fn attempt_delete(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        options: &DeleteOptions,
        state: &Snapshot,
    ) -> Result<Deleted, Failure> {
        let facts = resource.facts();
        let key = keys::object(facts, cx.namespace(), &cx.name);
        let stored = state.get(&key);
        let stored = stored.ok_or_else(|| Status::not_found(&facts.group_resource(), &cx.name))?;
        let old = decode::stored(resource.as_ref(), &stored.value)?;
        check_preconditions(resource.as_ref(), &cx.name, options, &old)?;
        self.admit_deletion(resource.as_ref(), cx, options, &old).await?;
        let accepted = options.orphan_dependents == Some(false);
        match mark(resource.as_ref(), cx, options, &old) {
            Mark::Waits => Ok(Deleted::Pending { bytes: self.shown(resource.as_ref(), &stored.value)?, accepted }),
            Mark::None if cx.dry_run => Ok(pretended(resource.as_ref(), &old, false)),
            Mark::None => self.remove(resource.as_ref(), &old, &stored).await,
            Mark::Changed { object, stays } if cx.dry_run => Ok(pretended(resource.as_ref(), &object, stays)),
            Mark::Changed { object, stays } => {
                let marked = self.write_mark(resource.as_ref(), &object, &stored).await?;
                if !stays {
                    return self.remove_marked(resource.as_ref(), &object, marked).await;
                }
                Ok(Deleted::Pending { bytes: self.shown(resource.as_ref(), &marked.value)?, accepted })
            }
        }
    }

    async fn admit_deletion(
        &self,
        resource: &dyn Resource,
        cx: &RequestContext,
        delete: &DeleteOptions,
        old: &Object,
    ) -> Result<(), Status> {
        let mut options = options("DeleteOptions", cx);
        if let (Value::Object(options), Ok(Value::Object(asked))) = (&mut options, serde_json::to_value(delete)) {
            options.extend(asked);
        }
        let attributes = Attributes {
            operation: Operation::Delete,
            resource,
            subresource: "",
            namespace: cx.namespace(),
            name: &cx.name,
            user: &cx.user,
            old: Some(old),
            options: &options,
            dry_run: cx.dry_run,
            warnings: &cx.warnings,
        };
        self.admission().mutate(&attributes, None).await?;
        self.admission().validate(&attributes, None).await
    }

    async fn write_mark(
        &self,
        resource: &dyn Resource,
        object: &Object,
        stored: &Arc<KeyValue>,
    ) -> Result<Arc<KeyValue>, Failure> {
        let mut object = object.clone();
        resource.to_stored_form(&mut object);
        let unstamped = Arc::new(Unstamped::new(&object));
        let operation =
            || Op::Update { key: stored.key.clone(), expected: stored.mod_revision, value: unstamped.value() };
        let committed = self.commit(resource.facts(), object.name(), &Claim::default(), operation).await?;
        let marked = committed.current().ok_or_else(|| Status::internal("a mark left nothing"))?;
        Ok(marked.clone())
    }

    async fn remove(&self, resource: &dyn Resource, object: &Object, stored: &KeyValue) -> Result<Deleted, Failure> {
        let operation = || Op::Delete { key: stored.key.clone(), expected: stored.mod_revision };
        let claim = self.release(resource, object);
        let revision = self.commit(resource.facts(), object.name(), &claim, operation).await?.revision;
        let bytes = self.shown(resource, &crate::header::restamp(&stored.value, revision.0))?;
        Ok(gone(resource, object, bytes))
    }

    /// Removes what this deletion has marked. Others have seen the mark: they may write to the object, and its node may
    /// remove it first.
    async fn remove_marked(
        &self,
        resource: &dyn Resource,
        object: &Object,
        mut marked: Arc<KeyValue>,
    ) -> Result<Deleted, Failure> {
        for _ in 0..MAX_ATTEMPTS {
            match self.remove(resource, object, &marked).await {
                Err(Failure::Raced) => {}
                done => return done,
            }
            match self.current().await?.get(&marked.key) {
                Some(newer) if Header::read(&newer.value).uid == object.uid() => marked = newer.clone(),
                _ => return Ok(gone(resource, object, self.shown(resource, &marked.value)?)),
            }
        }
        Err(Failure::Raced)
    }

    /// Deletes each object of the list, as if one by one, and answers with what they were.
    pub(crate) async fn delete_listed(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        list: &ListOptions,
        options: &DeleteOptions,
    ) -> Result<Listed, Status> {
        let facts = resource.facts();
        if !facts.can(Verb::DeleteCollection) {
            return Err(Status::method_not_supported(&facts.group_resource(), "delete collection"));
        }
        validate_options(options)?;
        let page = self.page(resource.as_ref(), cx, list).await?;
        for stored in &page.items {
            let header = Header::read(&stored.value);
            let one = RequestContext {
                user: cx.user.clone(),
                namespace: facts.namespaced.then(|| header.namespace.clone().into_owned()),
                name: header.name.clone().into_owned(),
                field_manager: cx.field_manager.clone(),
                user_agent: cx.user_agent.clone(),
                warnings: crate::Warnings::default(),
                ..*cx
            };
            match self.delete_one(resource, &one, options).await {
                Err(status) if !status.is(apimachinery::Reason::NotFound) => return Err(status),
                _ => one.warnings.take().into_iter().for_each(|sentence| cx.warnings.push(sentence)),
            }
        }
        list::render(resource.as_ref(), &page, View::Object, cx.now.as_second())
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Raced | CommitError::Taken => Self::Raced,
            CommitError::Failed(status) => status.into(),
        }
    }
}

/// The answer where nothing may be changed.
fn pretended(resource: &dyn Resource, object: &Object, stays: bool) -> Deleted {
    let bytes = encode(object);
    if stays { Deleted::Pending { bytes, accepted: false } } else { gone(resource, object, bytes) }
}

fn gone(resource: &dyn Resource, object: &Object, bytes: bytes::Bytes) -> Deleted {
    let facts = resource.facts();
    if facts.returns_deleted {
        return Deleted::Object(bytes);
    }
    Deleted::Gone(Status::success().with_details(Details {
        name: object.name().to_owned(),
        group: facts.gvk.group.clone(),
        kind: facts.plural.clone(),
        uid: object.uid().to_owned(),
        ..Details::default()
    }))
}

fn validate_options(options: &DeleteOptions) -> Result<(), Status> {
    let path = field::Path::new("propagationPolicy");
    let mut errors = field::ErrorList::new();
    if let Some(policy) = options.propagation_policy.as_deref() {
        if options.orphan_dependents.is_some() {
            const WHY: &str = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(field::Error::invalid(&path, policy, WHY));
        }
        if !matches!(policy, "Foreground" | "Background" | "Orphan") {
            errors.push(field::Error::not_supported(&path, policy, &["Foreground", "Background", "Orphan", "nil"]));
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&apimachinery::GroupKind::new("meta.k8s.io", "DeleteOptions"), "", &errors))
}

pub(crate) fn check_preconditions(
    resource: &dyn Resource,
    name: &str,
    options: &DeleteOptions,
    old: &Object,
) -> Result<(), Status> {
    let Some(preconditions) = &options.preconditions else { return Ok(()) };
    let conflict = |why: String| Err(Status::conflict(&resource.facts().group_resource(), name, &why));
    if let Some(uid) = preconditions.uid.as_deref().filter(|uid| *uid != old.uid()) {
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            old.uid()
        ));
    }
    let version = preconditions.resource_version.as_deref();
    if let Some(version) = version.filter(|version| *version != old.resource_version()) {
        return conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            old.resource_version()
        ));
    }
    Ok(())
}
