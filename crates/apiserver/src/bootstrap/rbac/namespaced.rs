//! The default roles within `kube-system` and `kube-public`, and who is bound to them.

use super::{
    cluster::S,
    policy::{CORE, R, READ, Role},
};

const LEASES: R = R::Of("create get list update watch", "coordination.k8s.io", "leases");
const LEASE_CANDIDATES: R = R::Of("create get list update watch", "coordination.k8s.io", "leasecandidates");

/// Namespace and role.
pub(super) const ROLES: &[(&str, Role)] = &[
    (
        "kube-public",
        Role::new(
            "system:controller:bootstrap-signer",
            &[R::Of(READ, CORE, "configmaps"), R::Named("update", CORE, "configmaps", "cluster-info"), R::Events],
        ),
    ),
    (
        "kube-system",
        Role::new(
            "extension-apiserver-authentication-reader",
            &[R::Named(READ, CORE, "configmaps", "extension-apiserver-authentication")],
        ),
    ),
    ("kube-system", Role::new("system::leader-locking-kube-controller-manager", &[LEASES, LEASE_CANDIDATES])),
    ("kube-system", Role::new("system::leader-locking-kube-scheduler", &[LEASES, LEASE_CANDIDATES])),
    ("kube-system", Role::new("system:controller:bootstrap-signer", &[R::Of(READ, CORE, "secrets")])),
    (
        "kube-system",
        Role::new("system:controller:cloud-provider", &[R::Of("create get list watch", CORE, "configmaps")]),
    ),
    (
        "kube-system",
        Role::new("system:controller:token-cleaner", &[R::Of("get list watch delete", CORE, "secrets"), R::Events]),
    ),
];

/// Namespace, binding, role, subjects.
pub(super) const BINDINGS: &[(&str, &str, &str, &[S])] = &[
    (
        "kube-public",
        "system:controller:bootstrap-signer",
        "system:controller:bootstrap-signer",
        &[S::Account("bootstrap-signer")],
    ),
    (
        "kube-system",
        "system::extension-apiserver-authentication-reader",
        "extension-apiserver-authentication-reader",
        &[S::User("system:kube-controller-manager"), S::User("system:kube-scheduler")],
    ),
    (
        "kube-system",
        "system::leader-locking-kube-controller-manager",
        "system::leader-locking-kube-controller-manager",
        &[
            S::User("system:kube-controller-manager"),
            S::Account("kube-controller-manager"),
            S::Account("leader-election-controller"),
        ],
    ),
    (
        "kube-system",
        "system::leader-locking-kube-scheduler",
        "system::leader-locking-kube-scheduler",
        &[S::User("system:kube-scheduler"), S::Account("kube-scheduler")],
    ),
    (
        "kube-system",
        "system:controller:bootstrap-signer",
        "system:controller:bootstrap-signer",
        &[S::Account("bootstrap-signer")],
    ),
    (
        "kube-system",
        "system:controller:cloud-provider",
        "system:controller:cloud-provider",
        &[S::Account("cloud-provider")],
    ),
    (
        "kube-system",
        "system:controller:token-cleaner",
        "system:controller:token-cleaner",
        &[S::Account("token-cleaner")],
    ),
];
