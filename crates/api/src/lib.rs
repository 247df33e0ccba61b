//! The one import of k8s-openapi, and facts read from typed objects: resources, quality of service, conditions.
//! Pure: no clock, no I/O.

pub mod conditions;
pub mod resources;

mod intstr;
mod owner;
mod pod;
mod reference;
mod toleration;

pub use intstr::scaled_value;
pub use k8s_openapi::api::{
    admissionregistration, apps, authentication, authorization, autoscaling, batch, certificates, coordination, core,
    discovery, events, networking, node, policy, rbac, scheduling, storage,
};
pub use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
pub use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
pub use k8s_openapi::{self, ByteString, Metadata, Resource, jiff};
pub use owner::{controller_of, is_controlled_by, owner_reference};
pub use pod::{is_pod_active, is_pod_available, set_pod_condition};
pub use reference::{GroupKind, object_reference};
pub use toleration::{Effect, tolerates, untolerated_taint};
