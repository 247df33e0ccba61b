//! Kinds of the group `rbac.authorization.k8s.io`.

mod cluster_role;
mod cluster_role_binding;
mod role;
mod role_binding;
mod subject;
mod validate;

pub use cluster_role::ClusterRole;
pub use cluster_role_binding::ClusterRoleBinding;
pub use role::Role;
pub use role_binding::RoleBinding;
