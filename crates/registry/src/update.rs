//! Changes of stored objects: read, change, check, and commit if nobody else changed it meanwhile.

mod parts;

use std::sync::Arc;

use apimachinery::{Object, Reason, Status, field};
use kinds::Subresource;
use store::{KeyValue, Op, Snapshot};

use crate::{
    Attributes, Body, Operation, Patch, Registry, RequestContext, Resource, Written,
    create::{Creation, options, refuse},
    decode,
    encode::{Unstamped, encode},
    keys, managed, patch, prepare,
    services::{self, Claim, CommitError},
    subresource::{approval, ephemeral},
};
use parts::{finished, split};

/// How often a change that does not name a resource version is tried against ever newer states.
const MAX_ATTEMPTS: usize = 64;

/// A change of the server's own making.
pub(crate) type Edit<'a> = &'a (dyn Fn(&mut Object) -> Result<(), Status> + Send + Sync);

/// Where the new state comes from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Put(&'a Object),
    Patch(&'a Patch),
    Edit(Edit<'a>),
}

/// A change that is to be made.
pub(crate) struct Update<'a> {
    pub(crate) resource: &'a Arc<dyn Resource>,
    pub(crate) cx: &'a RequestContext,
    /// Empty for the resource itself.
    pub(crate) subresource: &'a str,
    pub(crate) source: Source<'a>,
}

enum Outcome {
    Written(Written),
    /// Nothing was to be written.
    Unchanged(Written),
}

enum Failure {
    /// Somebody else was faster.
    Raced,
    Refused(Box<Status>),
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl Registry {
    pub(crate) async fn put_body(
        &self,
        resource: &Arc<dyn Resource>,
        subresource: &str,
        cx: &RequestContext,
        body: Body,
    ) -> Result<Written, Status> {
        let expected = decode::Expected::of(resource.as_ref());
        let object = decode::body(self.resources(), &expected, cx, body)?;
        prepare::check_name(cx, &object)?;
        self.change(&Update { resource, cx, subresource, source: Source::Put(&object) }).await
    }

    pub(crate) async fn change(&self, update: &Update<'_>) -> Result<Written, Status> {
        let facts = update.resource.facts();
        let key = keys::object(facts, update.cx.namespace(), &update.cx.name);
        let mut state = self.store().snapshot();
        for _ in 0..MAX_ATTEMPTS {
            match self.attempt(update, &state).await {
                Ok(Outcome::Written(written)) => return Ok(written),
                // What follows from an old state may not follow from the present one.
                Ok(Outcome::Unchanged(written)) => match self.newer(&key, &state).await? {
                    Some(newer) => state = newer,
                    None => return Ok(written),
                },
                Err(Failure::Refused(status)) => match self.newer(&key, &state).await? {
                    Some(newer) => state = newer,
                    None => return Err(*status),
                },
                Err(Failure::Raced) => state = self.current().await?,
            }
        }
        Err(Status::modified(&update.resource.facts().group_resource(), &update.cx.name))
    }

    /// A change of the server's own making, which nobody has to admit: the object stays what it was judged to be.
    pub(crate) async fn edit(
        &self,
        resource: &Arc<dyn Resource>,
        cx: &RequestContext,
        name: &str,
        edit: Edit<'_>,
    ) -> Result<(), Status> {
        let facts = resource.facts();
        let key = keys::object(facts, cx.namespace(), name);
        for _ in 0..MAX_ATTEMPTS {
            let stored = self.current().await?.get(&key);
            let stored = stored.ok_or_else(|| Status::not_found(&facts.group_resource(), name))?;
            let mut object = decode::stored(resource.as_ref(), &stored.value)?;
            edit(&mut object)?;
            if cx.dry_run {
                return Ok(());
            }
            resource.to_stored_form(&mut object);
            let unstamped = Arc::new(Unstamped::new(&object));
            let operation =
                || Op::Update { key: stored.key.clone(), expected: stored.mod_revision, value: unstamped.value() };
            match self.commit(facts, name, &Claim::default(), operation).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Failed(status)) => return Err(status),
                Err(CommitError::Raced | CommitError::Taken) => {}
            }
        }
        Err(Status::modified(&facts.group_resource(), name))
    }

    /// The present state, if this key is another in it than in the one that was looked at.
    pub(crate) async fn newer(&self, key: &[u8], seen: &Snapshot) -> Result<Option<Snapshot>, Status> {
        let current = self.current().await?;
        let revision = |snapshot: &Snapshot| snapshot.get(key).map(|stored| stored.mod_revision);
        Ok((revision(&current) != revision(seen)).then_some(current))
    }

    async fn attempt(&self, update: &Update<'_>, state: &Snapshot) -> Result<Outcome, Failure> {
        let Update { resource, cx, .. } = update;
        let facts = resource.facts();
        let key = keys::object(facts, cx.namespace(), &cx.name);
        let Some(stored) = state.get(&key) else {
            return self.change_of_nothing(update).await.map(Outcome::Written);
        };
        let old = decode::stored(resource.as_ref(), &stored.value)?;
        let mut new = self.make(update, &old)?;
        check_preconditions(update, &mut new, &old)?;
        if !matches!(update.source, Source::Edit(_)) {
            split(facts, update.subresource, &mut new, &old);
        }
        if facts.has(Subresource::Approval) {
            approval::stamp(&mut new, &old, &cx.timestamp());
        }
        resource.default(&mut new)?;
        prepare::dedup_owners(cx, &mut new);
        let old_tree = old.clone().into_value();
        if !matches!(update.source, Source::Patch(Patch::Apply { .. }) | Source::Edit(_)) {
            managed::changed(resource.as_ref(), cx, update.subresource, &mut new, &old_tree);
        }
        let options =
            options(if matches!(update.source, Source::Patch(_)) { "PatchOptions" } else { "UpdateOptions" }, cx);
        let attributes = Attributes {
            operation: Operation::Update,
            resource: resource.as_ref(),
            subresource: update.subresource,
            namespace: cx.namespace(),
            name: &cx.name,
            user: &cx.user,
            old: Some(&old),
            options: &options,
            dry_run: cx.dry_run,
            warnings: &cx.warnings,
        };
        let before = new.clone();
        self.admission().mutate(&attributes, Some(&mut new)).await?;
        if new != before {
            resource.default(&mut new)?;
        }
        drop(before);
        self.prepare_change(update, &mut new, &old)?;
        let claim = match update.subresource {
            "" => self.claim(resource.as_ref(), cx, &mut new, Some(&old)).await?,
            _ => Claim::default(),
        };
        self.admission().validate(&attributes, Some(&new)).await?;
        managed::ignore_times(&old_tree, &mut new);
        drop(old_tree);
        self.commit_change(update, new, &old, &stored, claim).await
    }

    /// The new state, before anything is checked.
    fn make(&self, update: &Update<'_>, old: &Object) -> Result<Object, Status> {
        let Update { resource, cx, subresource, source } = update;
        match source {
            Source::Put(object) => {
                let mut object = (*object).clone();
                prepare::check_namespace(resource.facts(), cx, &mut object)?;
                Ok(object)
            }
            Source::Patch(patch) => {
                let object = patch::patched(resource.as_ref(), cx, subresource, patch, old)?;
                prepare::check_name(cx, &object)?;
                Ok(object)
            }
            Source::Edit(edit) => {
                let mut object = old.clone();
                edit(&mut object)?;
                Ok(object)
            }
        }
    }

    /// There is no such object: some resources let a PUT or an apply make it.
    async fn change_of_nothing(&self, update: &Update<'_>) -> Result<Written, Failure> {
        let Update { resource, cx, subresource, source } = update;
        let facts = resource.facts();
        let absent = || Failure::from(Status::not_found(&facts.group_resource(), &cx.name));
        let (object, applied) = match source {
            Source::Put(object) if facts.create_on_update && subresource.is_empty() => {
                let mut object = (*object).clone();
                object.remove(&["metadata", "resourceVersion"]);
                (object, false)
            }
            Source::Patch(Patch::Apply { body, force }) if subresource.is_empty() => {
                let mut object = patch::applied_to_nothing(resource.as_ref(), cx, body, *force)?;
                object.remove(&["metadata", "resourceVersion"]);
                prepare::check_name(cx, &object)?;
                (object, true)
            }
            _ => return Err(absent()),
        };
        match self.create_object(&Creation { resource, cx, applied }, object).await {
            Err(status) if status.is(Reason::AlreadyExists) => Err(Failure::Raced),
            Ok(written) => Ok(written),
            Err(status) => Err(status.into()),
        }
    }

    /// Generic and own preparation, and all checks.
    fn prepare_change(&self, update: &Update<'_>, new: &mut Object, old: &Object) -> Result<(), Status> {
        let Update { resource, cx, subresource, .. } = update;
        prepare::keep_identity(new, old);
        let status = *subresource == "status";
        let ephemeral = *subresource == "ephemeralcontainers";
        if matches!(*subresource, "" | "scale") {
            resource.prepare_for_update(new, old)?;
            if self.is_services(resource.as_ref()) {
                services::carry_over(new, old);
            }
            prepare::count_generation(resource.facts(), new, old);
        }
        if status {
            resource.prepare_for_status_update(new, old)?;
        }
        let mut errors = kinds::object_meta::validate_update(new, old);
        if status {
            errors.extend(resource.validate_status_update(new, old)?);
        } else if *subresource == "approval" {
            errors.extend(resource.validate_approval(new, old)?);
        } else if ephemeral {
            errors.extend(resource.validate(new)?);
            errors.extend(ephemeral::validate(new, old));
        } else {
            errors.extend(resource.validate_update(new, old)?);
        }
        refuse(resource.as_ref(), &cx.name, &errors)?;
        resource.warnings(new)?.into_iter().for_each(|sentence| cx.warnings.push(sentence));
        Ok(())
    }

    async fn commit_change(
        &self,
        update: &Update<'_>,
        mut new: Object,
        old: &Object,
        stored: &Arc<KeyValue>,
        claim: Claim,
    ) -> Result<Outcome, Failure> {
        let Update { resource, cx, .. } = update;
        let facts = resource.facts();
        let gone = finished(&new, old);
        if cx.dry_run {
            return Ok(Outcome::Unchanged(Written { bytes: encode(&new), created: false }));
        }
        let answer = gone.then(|| encode(&new));
        resource.to_stored_form(&mut new);
        let unstamped = Arc::new(Unstamped::new(&new));
        if !gone && unstamped.equals(&stored.value, stored.mod_revision.0) {
            let written = Written { bytes: self.shown(resource.as_ref(), &stored.value)?, created: false };
            return Ok(Outcome::Unchanged(written));
        }
        drop(new);
        let (key, expected) = (stored.key.clone(), stored.mod_revision);
        let claim = if gone { self.release(resource.as_ref(), old) } else { claim };
        let operation = || match gone {
            true => Op::Delete { key: key.clone(), expected },
            false => Op::Update { key: key.clone(), expected, value: unstamped.value() },
        };
        let committed = self.commit(facts, &cx.name, &claim, operation).await.map_err(|error| match error {
            CommitError::Raced | CommitError::Taken => Failure::Raced,
            CommitError::Failed(status) => status.into(),
        })?;
        let bytes = match (answer, committed.current()) {
            (Some(bytes), _) => bytes,
            (None, Some(stored)) => self.shown(resource.as_ref(), &stored.value)?,
            (None, None) => return Err(Status::internal("an update left nothing").into()),
        };
        Ok(Outcome::Written(Written { bytes, created: false }))
    }
}

/// The resource version and uid that the new state names must be the stored ones.
fn check_preconditions(update: &Update<'_>, new: &mut Object, old: &Object) -> Result<(), Status> {
    let Update { resource, cx, .. } = update;
    let facts = resource.facts();
    if !new.uid().is_empty() && new.uid() != old.uid() && matches!(update.source, Source::Put(_)) {
        let key = String::from_utf8_lossy(&keys::object(facts, cx.namespace(), &cx.name)).into_owned();
        return Err(Status::conflict(
            &facts.group_resource(),
            &cx.name,
            &format!(
                "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: \
                 Precondition failed: UID in precondition: {}, UID in object meta: {}",
                new.uid(),
                old.uid()
            ),
        ));
    }
    let asked = new.resource_version().to_owned();
    if matches!(asked.as_str(), "" | "0") {
        if !facts.unconditional_update && matches!(update.source, Source::Put(_)) {
            let path = field::Path::new("metadata").child("resourceVersion");
            let error = field::Error::invalid(&path, 0, "must be specified for an update");
            let kind = apimachinery::GroupKind::new(facts.gvk.group.clone(), facts.plural.clone());
            return Err(Status::invalid(&kind, &cx.name, &error.into()));
        }
        new.set(&["metadata", "resourceVersion"], old.resource_version());
        return Ok(());
    }
    if asked.parse::<u64>().is_err() {
        let path = field::Path::new("metadata").child("resourceVersion");
        let quoted = field::quote(&asked);
        let error = field::Error::invalid(
            &path,
            asked.as_str(),
            format!("strconv.ParseUint: parsing {quoted}: invalid syntax"),
        );
        return Err(Status::failure(500, Reason::Unknown, error.to_string()));
    }
    if asked != old.resource_version() {
        return Err(Status::modified(&facts.group_resource(), &cx.name));
    }
    Ok(())
}
