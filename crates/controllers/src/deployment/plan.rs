//! The next step of a deployment: which replica sets to make, resize and delete, and its status.

use api::{
    apps::v1::{Deployment, DeploymentStatus, ReplicaSet, ReplicaSetSpec},
    core::v1::PodTemplateSpec,
    jiff::Timestamp,
    meta::ObjectMeta,
    owner_reference,
};
use controller_runtime::Next;

use super::{
    conditions::{self as conditions, PROGRESSING, progress_deadline},
    hash::template_hash,
    revision::{self, max_revision},
    sizes::{self, available, max_surge, replicas, wanted},
    status,
};

pub(crate) const HASH_LABEL: &str = "pod-template-hash";

/// What is known when planning.
pub(crate) struct Observed {
    pub(crate) deployment: Deployment,
    /// The deployment's sets.
    pub(crate) sets: Vec<ReplicaSet>,
    /// Whether pods of sets other than the newest still run; asked by Recreate only.
    pub(crate) old_pods_run: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Make the newest set.
    Create(Box<ReplicaSet>),
    /// Write the set; if its size changed, say so.
    Update {
        set: Box<ReplicaSet>,
        scaled: Option<(i32, i32)>,
    },
    Delete {
        name: String,
        uid: String,
    },
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// None when it is as it should be.
    pub(crate) status: Option<DeploymentStatus>,
    /// The deployment's own revision, when it must change.
    pub(crate) revision: Option<i64>,
    pub(crate) next: Option<Next>,
}

/// Pure.
pub(crate) fn plan(observed: Observed, now: Timestamp) -> Plan {
    let mut rollout = Rollout::new(observed, now);
    if rollout.deployment.metadata.deletion_timestamp.is_some() {
        rollout.status_only();
    } else {
        rollout.note_pause();
        if rollout.is_paused() || rollout.is_scaling_event() {
            rollout.adopt_newest(false);
            rollout.scale();
            if rollout.is_paused() {
                rollout.clean_up();
            }
            rollout.status_only();
        } else if sizes::is_rolling_update(&rollout.deployment) {
            rollout.roll();
        } else {
            rollout.recreate();
        }
    }
    rollout.finish()
}

/// A deployment on its way, on paper: sizes here are as they will be when the steps are taken.
pub(crate) struct Rollout {
    pub(crate) deployment: Deployment,
    /// Oldest first.
    pub(crate) sets: Vec<ReplicaSet>,
    /// Which of them has the deployment's template.
    pub(crate) newest: Option<usize>,
    pub(crate) now: Timestamp,
    /// The status so far; conditions are set on the way.
    pub(crate) status: DeploymentStatus,
    old_pods_run: bool,
    steps: Vec<Step>,
    revision: Option<i64>,
}

fn template(set: &ReplicaSet) -> PodTemplateSpec {
    let mut template = set.spec.template.clone().unwrap_or_default();
    if let Some(labels) = template.metadata.as_mut().and_then(|m| m.labels.as_mut()) {
        labels.remove(HASH_LABEL);
    }
    template
}

/// Which of the sets has the deployment's template, but for the hash in its labels.
pub(crate) fn newest(deployment: &Deployment, sets: &[ReplicaSet]) -> Option<usize> {
    let wanted = deployment.spec.template.clone();
    sets.iter().position(|set| {
        let own = template(set);
        own.spec == wanted.spec && same_metadata(own.metadata.as_ref(), wanted.metadata.as_ref())
    })
}

impl Rollout {
    fn new(observed: Observed, now: Timestamp) -> Self {
        let Observed { deployment, mut sets, old_pods_run } = observed;
        sets.sort_by(|a, b| {
            let age = |s: &ReplicaSet| (s.metadata.creation_timestamp.clone().map(|t| t.0), s.metadata.name.clone());
            age(a).cmp(&age(b))
        });
        let newest = newest(&deployment, &sets);
        let status = deployment.status.clone().unwrap_or_default();
        Self { deployment, sets, newest, now, status, old_pods_run, steps: Vec::new(), revision: None }
    }

    fn old(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let newest = self.newest;
        (0..self.sets.len()).filter(move |index| Some(*index) != newest)
    }

    fn name(&self) -> &str {
        self.deployment.metadata.name.as_deref().unwrap_or_default()
    }

    fn is_paused(&self) -> bool {
        self.deployment.spec.paused == Some(true)
    }

    /// A pause stops the clock of the progress deadline, and its end starts it anew.
    fn note_pause(&mut self) {
        if progress_deadline(&self.deployment).is_none() {
            return;
        }
        let reason = conditions::condition(&self.status, PROGRESSING).and_then(|c| c.reason.as_deref());
        if reason == Some(conditions::TIMED_OUT) {
            return;
        }
        let was_paused = reason == Some(conditions::PAUSED);
        let (reason, message) = match (self.is_paused(), was_paused) {
            (true, false) => (conditions::PAUSED, "Deployment is paused"),
            (false, true) => ("DeploymentResumed", "Deployment is resumed"),
            _ => return,
        };
        let condition = conditions::make(PROGRESSING, "Unknown", reason, message.to_owned(), self.now);
        conditions::set(&mut self.status, condition);
    }

    /// The deployment's size changed since its sets were last scaled.
    fn is_scaling_event(&self) -> bool {
        let wanted = wanted(&self.deployment);
        self.sets
            .iter()
            .filter(|set| replicas(set) > 0)
            .filter_map(revision::desired_replicas)
            .any(|desired| desired != wanted)
    }

    /// Gives the set with the deployment's template the newest revision; makes one if there is none and `create`.
    fn adopt_newest(&mut self, create: bool) {
        let newest_revision = max_revision(self.old().map(|index| &self.sets[index])) + 1;
        if let Some(index) = self.newest {
            let deployment = &self.deployment;
            let min_ready = deployment.spec.min_ready_seconds;
            let set = &mut self.sets[index];
            let mut changed = revision::set_new_annotations(deployment, set, newest_revision);
            if set.spec.min_ready_seconds.unwrap_or(0) != min_ready.unwrap_or(0) {
                set.spec.min_ready_seconds = min_ready;
                changed = true;
            }
            let of_set = revision::revision(&set.metadata);
            let name = set.metadata.name.clone().unwrap_or_default();
            if changed {
                self.update(index, None);
            }
            self.set_revision(of_set);
            self.note_set("FoundNewReplicaSet", format!("Found new replica set {name:?}"), false);
        } else if create {
            let set = self.make_set(newest_revision);
            let name = set.metadata.name.clone().unwrap_or_default();
            self.sets.push(set.clone());
            self.newest = Some(self.sets.len() - 1);
            self.steps.push(Step::Create(Box::new(set)));
            self.set_revision(newest_revision);
            self.note_set("NewReplicaSetCreated", format!("Created new replica set {name:?}"), true);
        }
    }

    fn note_set(&mut self, reason: &str, message: String, replace: bool) {
        let absent = conditions::condition(&self.status, PROGRESSING).is_none();
        if progress_deadline(&self.deployment).is_some() && (replace || absent) {
            conditions::set(&mut self.status, conditions::make(PROGRESSING, "True", reason, message, self.now));
        }
    }

    fn set_revision(&mut self, newest: i64) {
        let own = self.deployment.metadata.annotations.as_ref().and_then(|a| a.get(revision::REVISION));
        if own != Some(&newest.to_string()) {
            self.revision = Some(newest);
        }
    }

    fn make_set(&self, newest_revision: i64) -> ReplicaSet {
        let spec = self.deployment.spec.clone();
        let collisions = self.status.collision_count;
        let mut template = spec.template;
        let hash = template_hash(&template, collisions);
        let metadata = template.metadata.get_or_insert_default();
        metadata.labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.clone());
        let labels = metadata.labels.clone();
        let mut selector = spec.selector;
        selector.match_labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.clone());
        let size = sizes::new_set_size(&self.deployment, sizes::total(&self.sets), 0);
        let mut set = ReplicaSet {
            metadata: ObjectMeta {
                name: Some(format!("{}-{hash}", self.name())),
                namespace: self.deployment.metadata.namespace.clone(),
                labels,
                owner_references: Some(vec![owner_reference::<Deployment>(&self.deployment.metadata)]),
                ..ObjectMeta::default()
            },
            spec: ReplicaSetSpec {
                replicas: Some(size),
                min_ready_seconds: spec.min_ready_seconds,
                selector,
                template: Some(template),
            },
            status: None,
        };
        revision::set_new_annotations(&self.deployment, &mut set, newest_revision);
        let wanted = wanted(&self.deployment);
        revision::set_replicas_annotations(&mut set, wanted, wanted + max_surge(&self.deployment));
        set
    }

    /// Notes that the set must be written; several changes of one set are one write.
    fn update(&mut self, index: usize, scaled: Option<(i32, i32)>) {
        let set = self.sets[index].clone();
        for step in &mut self.steps {
            match step {
                Step::Create(made) if made.metadata.name == set.metadata.name => {
                    **made = set;
                    return;
                }
                Step::Update { set: written, scaled: before } if written.metadata.name == set.metadata.name => {
                    **written = set;
                    *before = match (*before, scaled) {
                        (Some((from, _)), Some((_, to))) => Some((from, to)),
                        (before, scaled) => before.or(scaled),
                    };
                    return;
                }
                _ => {}
            }
        }
        self.steps.push(Step::Update { set: Box::new(set), scaled });
    }

    /// Resizes a set and notes the deployment's size on it; says whether its size changed.
    fn resize(&mut self, index: usize, to: i32) -> bool {
        let (wanted, surge) = (wanted(&self.deployment), max_surge(&self.deployment));
        let set = &mut self.sets[index];
        let from = replicas(set);
        set.spec.replicas = Some(to);
        let noted = revision::set_replicas_annotations(set, wanted, wanted + surge);
        if from != to || noted {
            self.update(index, (from != to).then_some((from, to)));
        }
        from != to
    }

    fn is_alive(&self, index: usize) -> bool {
        replicas(&self.sets[index]) > 0
    }

    /// Brings the sets to the deployment's new size, in proportion when several are alive.
    fn scale(&mut self) {
        let wanted = wanted(&self.deployment);
        let alive: Vec<usize> = (0..self.sets.len()).filter(|i| self.is_alive(*i)).collect();
        let only = match alive.as_slice() {
            [] => self.newest.or_else(|| self.old().next_back()),
            [only] => Some(*only),
            _ => None,
        };
        if let Some(only) = only {
            if replicas(&self.sets[only]) != wanted {
                self.resize(only, wanted);
            }
        } else if self.newest.is_some_and(|newest| self.is_saturated(newest)) {
            for index in self.old().filter(|i| self.is_alive(*i)).collect::<Vec<_>>() {
                self.resize(index, 0);
            }
        } else if sizes::is_rolling_update(&self.deployment) && !alive.is_empty() {
            self.scale_in_proportion(alive);
        }
    }

    /// The newest set alone is all the deployment asks for.
    fn is_saturated(&self, newest: usize) -> bool {
        let (set, wanted) = (&self.sets[newest], wanted(&self.deployment));
        replicas(set) == wanted && revision::desired_replicas(set) == Some(wanted) && available(set) == wanted
    }

    fn scale_in_proportion(&mut self, mut alive: Vec<usize>) {
        let wanted = wanted(&self.deployment);
        let allowed = if wanted > 0 { wanted + max_surge(&self.deployment) } else { 0 };
        let to_add = allowed - alive.iter().map(|i| replicas(&self.sets[*i])).sum::<i32>();
        // Largest first; of equals, newer ones grow first and older ones shrink first.
        alive.sort_by_key(|i| {
            let age = *i as i64;
            (-i64::from(replicas(&self.sets[*i])), if to_add > 0 { -age } else { age })
        });
        let mut added = 0;
        let mut sizes_by_index = Vec::new();
        for index in alive {
            let share = sizes::proportion(&self.sets[index], &self.deployment, to_add, added);
            sizes_by_index.push((index, replicas(&self.sets[index]) + share));
            added += share;
        }
        for (place, (index, size)) in sizes_by_index.into_iter().enumerate() {
            // Rounding leaves some over; the largest takes them.
            let leftover = if place == 0 { to_add - added } else { 0 };
            self.resize(index, (size + leftover).max(0));
        }
    }

    fn roll(&mut self) {
        self.adopt_newest(true);
        let Some(newest) = self.newest else { return };
        if !self.grow_newest(newest) && !self.shrink_old(newest) && self.is_complete() {
            self.clean_up();
        }
        self.rollout_status();
    }

    fn is_complete(&self) -> bool {
        conditions::is_complete(&self.deployment, &self.deployment.status.clone().unwrap_or_default())
    }

    fn grow_newest(&mut self, newest: usize) -> bool {
        let (current, wanted) = (replicas(&self.sets[newest]), wanted(&self.deployment));
        if current == wanted {
            return false;
        }
        let size = if current > wanted {
            wanted
        } else {
            sizes::new_set_size(&self.deployment, sizes::total(&self.sets), current)
        };
        size != current && self.resize(newest, size)
    }

    fn shrink_old(&mut self, newest: usize) -> bool {
        let old: Vec<usize> = self.old().filter(|i| self.is_alive(*i)).collect();
        if old.is_empty() {
            return false;
        }
        let min_available = wanted(&self.deployment) - sizes::max_unavailable(&self.deployment);
        let new_unavailable = replicas(&self.sets[newest]) - available(&self.sets[newest]);
        let may_go = sizes::total(&self.sets) - min_available - new_unavailable;
        if may_go <= 0 {
            return false;
        }
        let cleaned = self.shrink_unhealthy(&old, may_go);
        let shrunk = self.shrink_healthy(&old, min_available);
        cleaned || shrunk
    }

    /// Pods that are not available serve nobody, and go first.
    fn shrink_unhealthy(&mut self, old: &[usize], may_go: i32) -> bool {
        let mut gone = 0;
        for index in old {
            let (size, healthy) = (replicas(&self.sets[*index]), available(&self.sets[*index]));
            let count = (may_go - gone).min(size - healthy);
            if gone >= may_go {
                break;
            }
            if count > 0 {
                self.resize(*index, size - count);
                gone += count;
            }
        }
        gone > 0
    }

    fn shrink_healthy(&mut self, old: &[usize], min_available: i32) -> bool {
        let may_go = self.sets.iter().map(available).sum::<i32>() - min_available;
        let mut gone = 0;
        for index in old {
            let size = replicas(&self.sets[*index]);
            let count = size.min(may_go - gone);
            if count > 0 {
                self.resize(*index, size - count);
                gone += count;
            }
        }
        gone > 0
    }

    fn recreate(&mut self) {
        self.adopt_newest(false);
        let old: Vec<usize> = self.old().filter(|i| self.is_alive(*i)).collect();
        if !old.is_empty() {
            for index in old {
                self.resize(index, 0);
            }
            return self.rollout_status();
        }
        let counted = self.old().any(|i| self.sets[i].status.as_ref().is_some_and(|s| s.replicas > 0));
        if counted || self.old_pods_run {
            return self.rollout_status();
        }
        self.adopt_newest(true);
        if let Some(newest) = self.newest {
            let wanted = wanted(&self.deployment);
            if replicas(&self.sets[newest]) != wanted {
                self.resize(newest, wanted);
            }
        }
        if self.is_complete() {
            self.clean_up();
        }
        self.rollout_status();
    }

    /// Deletes the oldest sets beyond the history limit, if nothing of them is left.
    fn clean_up(&mut self) {
        let limit = self.deployment.spec.revision_history_limit;
        let Some(limit) = limit.filter(|limit| *limit != i32::MAX) else { return };
        let mut old: Vec<usize> = self.old().filter(|i| self.sets[*i].metadata.deletion_timestamp.is_none()).collect();
        let surplus = old.len().saturating_sub(limit.max(0) as usize);
        old.sort_by_key(|i| (revision::revision(&self.sets[*i].metadata), *i));
        for index in old.into_iter().take(surplus) {
            let set = &self.sets[index];
            let status = set.status.clone().unwrap_or_default();
            let observed = set.metadata.generation.unwrap_or(0) <= status.observed_generation.unwrap_or(0);
            if status.replicas == 0 && replicas(set) == 0 && observed {
                let name = set.metadata.name.clone().unwrap_or_default();
                self.steps.push(Step::Delete { name, uid: set.metadata.uid.clone().unwrap_or_default() });
            }
        }
    }

    fn status_only(&mut self) {
        self.status = status::counts(self);
    }

    fn rollout_status(&mut self) {
        self.status = status::rollout(self);
    }

    fn finish(self) -> Plan {
        let before = self.deployment.status.clone().unwrap_or_default();
        let check = conditions::deadline_check(&self.deployment, &self.status, self.now);
        Plan {
            steps: self.steps,
            revision: self.revision,
            next: check.map(Next::After),
            status: (before != self.status).then_some(self.status),
        }
    }
}

/// Templates differ in metadata only by labels and annotations; an empty map is none.
fn same_metadata(a: Option<&ObjectMeta>, b: Option<&ObjectMeta>) -> bool {
    let maps = |m: Option<&ObjectMeta>| {
        let m = m.cloned().unwrap_or_default();
        (
            m.labels.unwrap_or_default(),
            m.annotations.unwrap_or_default(),
            m.finalizers.unwrap_or_default(),
            m.name,
            m.namespace,
        )
    };
    maps(a) == maps(b)
}
