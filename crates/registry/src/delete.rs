//! Deletions: at once where nothing stands against it, else marked and left to finalizers, grace or the namespace's
//! controller. The order of questions is upstream's.

use std::sync::Arc;

use apimachinery::{Details, Object, Status, field};
use kinds::Verb;
use serde_json::{Value, json};
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

pub(crate) const ORPHAN: &str = "orphan";
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
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

/// What a deletion does to the object before it can go.
enum Mark {
    /// Nothing: it goes.
    None,
    /// The object was marked before and waits already.
    Waits,
    /// Written back so; `stays` says that it then waits.
    Changed { object: Object, stays: bool },
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

fn is(resource: &dyn Resource, group: &str, plural: &str) -> bool {
    let facts = resource.facts();
    facts.gvk.group == group && facts.plural == plural
}

/// What the deletion makes of the object.
fn mark(resource: &dyn Resource, cx: &RequestContext, options: &DeleteOptions, old: &Object) -> Mark {
    if is(resource, "", "namespaces") {
        return mark_namespace(cx, options, old);
    }
    let mut object = old.clone();
    let changed_finalizers = set_finalizers(&mut object, options);
    let pending = object.finalizers().next().is_some();
    if is(resource, "", "pods") {
        return match grace(cx, options, old, &mut object) {
            Grace::Waits => Mark::Waits,
            Grace::Over => ungraceful(cx, object, old, pending, changed_finalizers),
            Grace::Set(seconds) => Mark::Changed { object, stays: seconds > 0 || pending },
        };
    }
    ungraceful(cx, object, old, pending, changed_finalizers)
}

/// Objects without grace: marked only where finalizers hold them.
fn ungraceful(cx: &RequestContext, mut object: Object, old: &Object, pending: bool, changed: bool) -> Mark {
    if !pending {
        return Mark::None;
    }
    let marked_already = old.deletion_timestamp().is_some() && grace_period(old) == Some(0);
    if marked_already && !changed {
        return Mark::Waits;
    }
    if grace_period(old).is_none() && old.generation() > 0 {
        object.set(&["metadata", "generation"], old.generation() + 1);
    }
    if object.deletion_timestamp().is_none() {
        object.set(&["metadata", "deletionTimestamp"], cx.timestamp());
    }
    object.set(&["metadata", "deletionGracePeriodSeconds"], 0);
    Mark::Changed { object, stays: true }
}

fn grace_period(object: &Object) -> Option<i64> {
    object.get(&["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64)
}

enum Grace {
    /// A deletion is under way and this one does not shorten it.
    Waits,
    /// Its time is over.
    Over,
    /// It now has so many seconds.
    Set(i64),
}

/// The graceful deletion of pods.
fn grace(cx: &RequestContext, options: &DeleteOptions, old: &Object, object: &mut Object) -> Grace {
    let asked = options.grace_period_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
    if let Some(timestamp) = old.deletion_timestamp() {
        let Some(current) = grace_period(old) else { return Grace::Over };
        let Some(seconds) = asked else { return Grace::Waits };
        if seconds >= current {
            return if current == 0 && old.finalizers().next().is_none() { Grace::Over } else { Grace::Waits };
        }
        if let Ok(at) = timestamp.parse::<jiff::Timestamp>() {
            let sooner = at - jiff::SignedDuration::from_secs(current - seconds);
            object.set(&["metadata", "deletionTimestamp"], sooner.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        object.set(&["metadata", "deletionGracePeriodSeconds"], seconds);
        return Grace::Set(seconds);
    }
    let default = old.get(&["spec", "terminationGracePeriodSeconds"]).and_then(Value::as_i64).unwrap_or_default();
    let mut seconds = asked.unwrap_or(default);
    let unscheduled = old.get_str(&["spec", "nodeName"]).unwrap_or_default().is_empty();
    if unscheduled || matches!(old.get_str(&["status", "phase"]), Some("Failed" | "Succeeded")) {
        seconds = 0;
    }
    seconds = if seconds < 0 { 1 } else { seconds };
    let at = cx.now + jiff::SignedDuration::from_secs(seconds);
    object.set(&["metadata", "deletionTimestamp"], at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    object.set(&["metadata", "deletionGracePeriodSeconds"], seconds);
    if old.generation() > 0 {
        object.set(&["metadata", "generation"], old.generation() + 1);
    }
    Grace::Set(seconds)
}

/// A namespace is emptied by its controller, which then takes the finalizer from its spec.
fn mark_namespace(cx: &RequestContext, options: &DeleteOptions, old: &Object) -> Mark {
    let mut object = old.clone();
    let changed = set_finalizers(&mut object, options);
    let held = object.finalizers().next().is_some()
        || object.get(&["spec", "finalizers"]).and_then(Value::as_array).is_some_and(|held| !held.is_empty());
    if old.deletion_timestamp().is_none() {
        object.set(&["metadata", "deletionTimestamp"], cx.timestamp());
        object.set(&["status", "phase"], "Terminating");
        return Mark::Changed { object, stays: held };
    }
    match (held, changed) {
        (false, _) => Mark::None,
        (true, true) => Mark::Changed { object, stays: true },
        (true, false) => Mark::Waits,
    }
}

/// Sets the garbage collector's finalizers as the options say. Answers whether they changed.
fn set_finalizers(object: &mut Object, options: &DeleteOptions) -> bool {
    let had = |name: &str| object.finalizers().any(|f| f == name);
    let (had_orphan, had_foreground) = (had(ORPHAN), had(FOREGROUND));
    let policy = options.propagation_policy.as_deref();
    let orphan = match (options.orphan_dependents, policy) {
        (Some(orphan), _) => orphan,
        (None, Some(policy)) => policy == "Orphan",
        (None, None) => had_orphan,
    };
    let foreground = match (options.orphan_dependents, policy) {
        (Some(_), _) => false,
        (None, Some(policy)) => policy == "Foreground",
        (None, None) => had_foreground,
    };
    if orphan == had_orphan && foreground == had_foreground {
        return false;
    }
    let mut finalizers: Vec<Value> =
        object.finalizers().filter(|f| !matches!(*f, ORPHAN | FOREGROUND)).map(Value::from).collect();
    if orphan {
        finalizers.push(ORPHAN.into());
    }
    if foreground {
        finalizers.push(FOREGROUND.into());
    }
    if finalizers.is_empty() {
        object.remove(&["metadata", "finalizers"]);
    } else {
        object.set(&["metadata", "finalizers"], json!(finalizers));
    }
    true
}
