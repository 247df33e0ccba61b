//! The one import of k8s-openapi, and facts read from typed objects: resources, quality of service, conditions.
//! Pure: no clock, no I/O.

pub mod conditions;
pub mod resources;

pub use k8s_openapi::api::{
    admissionregistration, apps, authentication, authorization, autoscaling, batch, certificates, coordination, core,
    discovery, events, networking, node, policy, rbac, scheduling, storage,
};
pub use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
pub use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
pub use k8s_openapi::{self, ByteString, Metadata, Resource, jiff};
