//! The one import of kube-rs: a [`Client`] that speaks to an API server in this process or over the wire, typed
//! access with kube's [`Api`], raw bytes for informers, kubeconfig files, and the events components write.

mod client;
mod error;
pub mod events;
pub mod kubeconfig;

pub use client::{ByteStream, Client, MAX_RESPONSE_BYTES};
pub use error::{ApiError, Error, TimedOut, TooLong};
/// The whole of kube, for what is not named here.
pub use kube;
pub use kube::api::{
    AttachParams, AttachedProcess, DeleteParams, DynamicObject, ListParams, LogParams, ObjectList, Patch, PatchParams,
    Portforwarder, PostParams, Preconditions, PropagationPolicy, WatchEvent, WatchParams,
};
pub use kube::client::Body;
pub use kube::core::{ApiResource, GroupVersionKind, ObjectMeta, PartialObjectMeta, TypeMeta};
pub use kube::{Api, Config, Resource, ResourceExt};
