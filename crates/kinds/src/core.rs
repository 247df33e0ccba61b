//! Kinds of the core group.

mod binding;
mod config_map;
mod endpoints;
pub(crate) mod event;
mod namespace;
mod node;
mod pod;
pub(crate) mod pod_spec;
mod pod_template;
mod secret;
mod service;
mod service_account;

pub use binding::Binding;
pub use config_map::ConfigMap;
pub use endpoints::Endpoints;
pub use event::Event;
pub use namespace::Namespace;
pub use node::Node;
pub use pod::Pod;
pub use pod_template::PodTemplate;
pub use secret::Secret;
pub use service::Service;
pub use service_account::ServiceAccount;
