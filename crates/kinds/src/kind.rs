//! The shape of a built-in kind: facts as data, and hooks on the typed struct. Everything generic (status split,
//! generation, printing, discovery, OpenAPI, watch, dry run, authorization) follows from the facts.

use apimachinery::{GroupKind, GroupResource, GroupVersionKind, Object, field::ErrorList};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Cluster,
    Namespaced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

/// The subresources a kind offers. What each does is the server's matter; that it exists is the kind's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    Approval,
    Attach,
    Binding,
    EphemeralContainers,
    Eviction,
    Exec,
    Finalize,
    Log,
    PortForward,
    Proxy,
    Resize,
    Scale,
    Status,
    Token,
}

/// A column of the server-side table (`kubectl get`).
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub data_type: &'static str,
    pub format: ColumnFormat,
    pub description: &'static str,
    /// 0 shows always; 1 shows with `-o wide`.
    pub priority: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnFormat {
    None,
    /// The column that holds the object's name.
    Name,
}

impl Column {
    /// A column that always shows.
    pub const fn new(name: &'static str, data_type: &'static str, description: &'static str) -> Self {
        Self { name, data_type, format: ColumnFormat::None, description, priority: 0 }
    }

    /// A column of `-o wide`.
    pub const fn wide(name: &'static str, data_type: &'static str, description: &'static str) -> Self {
        Self { priority: 1, ..Self::new(name, data_type, description) }
    }

    /// The column with the object's name, first in nearly every table.
    pub const fn name() -> Self {
        const DESCRIPTION: &str = "Name of the object, unique among its kind within a namespace.";
        Self { format: ColumnFormat::Name, ..Self::new("Name", "string", DESCRIPTION) }
    }

    /// The time since the object was created.
    pub const fn age() -> Self {
        Self::new("Age", "string", "Time since the object was created.")
    }

    /// The moment of creation, which tables without columns of their own show.
    pub const fn created_at() -> Self {
        Self::new("Created At", "date", "Moment at which the server made the object, in UTC.")
    }
}

/// What is wrong with a name; `prefix` when it is the prefix of a generated one.
pub type NameRule = fn(name: &str, prefix: bool) -> Vec<String>;

/// How PUT treats objects that are absent or sent without a resource version.
#[derive(Clone, Copy, Debug)]
pub struct UpdateRules {
    pub create_on_update: bool,
    pub unconditional: bool,
}

/// The present moment, handed in because these crates have no clock. Seconds since the Unix epoch.
pub type Now = i64;

/// What there is to know of a kind without looking at an object.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    /// Written here and nowhere else.
    pub plural: &'static str,
    pub singular: &'static str,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub scope: Scope,
    pub verbs: &'static [Verb],
    pub subresources: &'static [Subresource],
    /// The definition in the schema table: `io.k8s.api.core.v1.Pod`.
    pub definition: &'static str,
    /// Where upstream keeps such objects below `/registry`: `pods`, `minions`, `services/specs`.
    pub storage: &'static str,
    /// Objects that a crash may lose because they are renewed or only inform: leases and events.
    pub relaxed: bool,
    /// `metadata.generation` counts changes of everything but metadata and status.
    pub generation: bool,
    pub name_rule: NameRule,
    pub update: UpdateRules,
    /// Fields that field selectors may name besides `metadata.name` and `metadata.namespace`.
    pub selectable: &'static [&'static str],
    pub columns: &'static [Column],
}

impl Facts {
    pub const CREATE_ONLY: &'static [Verb] = &[Verb::Create];

    /// What most namespaced kinds share; to be completed with the names.
    pub(crate) const NAMESPACED: Facts = Facts {
        group: "",
        version: "v1",
        kind: "",
        plural: "",
        singular: "",
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: Facts::STANDARD_VERBS,
        subresources: &[],
        definition: "",
        storage: "",
        relaxed: false,
        generation: false,
        name_rule: crate::names::subdomain,
        update: UpdateRules { create_on_update: false, unconditional: true },
        selectable: &[],
        columns: &[Column::name(), Column::created_at()],
    };

    pub(crate) const CLUSTER: Facts = Facts { scope: Scope::Cluster, ..Facts::NAMESPACED };

    /// What is asked and answered, and never stored.
    pub(crate) const REVIEW: Facts =
        Facts { scope: Scope::Cluster, verbs: Facts::CREATE_ONLY, name_rule: crate::names::any, ..Facts::NAMESPACED };

    pub const STANDARD_VERBS: &'static [Verb] = &[
        Verb::Create,
        Verb::Delete,
        Verb::DeleteCollection,
        Verb::Get,
        Verb::List,
        Verb::Patch,
        Verb::Update,
        Verb::Watch,
    ];

    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::new(self.group, self.version, self.kind)
    }

    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(self.group, self.kind)
    }

    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(self.group, self.plural)
    }

    pub fn api_version(&self) -> String {
        self.gvk().api_version()
    }

    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    pub fn has(&self, subresource: Subresource) -> bool {
        self.subresources.contains(&subresource)
    }
}

/// A built-in kind. All hooks are pure and optional. The order on a write is: decode, `default`, admission,
/// `default`, `prepare_*`, `validate*`.
pub trait Kind: Send + Sync + 'static {
    /// The k8s-openapi struct.
    type Object: Serialize + DeserializeOwned + Send + Sync;
    const FACTS: Facts;
    /// A deletion answers with the object that was deleted instead of a `Status`.
    const RETURNS_DELETED: bool = false;
    /// A write through `/status` leaves the labels as they are.
    const STATUS_KEEPS_LABELS: bool = false;

    /// A creator may choose the status too, although it has a subresource of its own: nodes register with theirs.
    const KEEPS_STATUS_ON_CREATE: bool = false;

    /// Fills in what the user left out. Idempotent; runs on every object that comes in.
    fn default(_object: &mut Self::Object) {}

    /// Clears and sets what a creator may not choose (status is already reset where the kind has `/status`).
    fn prepare_for_create(_object: &mut Self::Object) {}

    /// Keeps what an update through the main resource may not change (status is already kept).
    fn prepare_for_update(_new: &mut Self::Object, _old: &Self::Object) {}

    /// Keeps what a write through `/status` may not change or may leave out (all but metadata and status is kept).
    fn prepare_for_status_update(_new: &mut Self::Object, _old: &Self::Object) {}

    /// Rules beyond the schema; object metadata is checked by the pipeline.
    fn validate(_object: &Self::Object) -> ErrorList {
        ErrorList::new()
    }

    /// Rules for a new object, where there are more than lasting ones.
    fn validate_create(object: &Self::Object) -> ErrorList {
        Self::validate(object)
    }

    /// Rules about changes, immutable fields foremost. Runs besides `validate` unless the kind says otherwise here.
    fn validate_update(new: &Self::Object, _old: &Self::Object) -> ErrorList {
        Self::validate(new)
    }

    /// Rules for a write through `/status`.
    fn validate_status_update(_new: &Self::Object, _old: &Self::Object) -> ErrorList {
        ErrorList::new()
    }

    /// Rules for a write through `/approval`.
    fn validate_approval(_new: &Self::Object, _old: &Self::Object) -> ErrorList {
        ErrorList::new()
    }

    /// Sentences for `Warning` headers: deprecated or questionable use that is accepted.
    fn warnings(_object: &Self::Object) -> Vec<String> {
        Vec::new()
    }

    /// The kind that a refusal names; a few of upstream's name another than their own.
    fn blamed() -> GroupKind {
        Self::FACTS.group_kind()
    }

    /// Turns the tree as this version serves it into the tree as it is stored. Only kinds that share their storage
    /// with another version or group say something here.
    fn into_stored(_object: &mut Object) {}

    /// The way back of [`Kind::into_stored`].
    fn from_stored(_object: &mut Object) {}

    /// The value of a field listed in `FACTS.selectable`. On the tree, since it runs for every event of a watch.
    fn field(_object: &Object, _field: &str) -> Option<String> {
        None
    }

    /// Conditions of the table row, which tell clients that a row is of little interest.
    fn row_conditions(_object: &Object) -> Vec<Value> {
        Vec::new()
    }

    /// The cells of the table row, as many as columns.
    fn cells(object: &Object, now: Now) -> Vec<Value>;
}

/// Receives each kind with its type; `kinds::visit` walks the one table of kinds.
pub trait Visitor {
    fn visit<K: Kind>(&mut self);
}
