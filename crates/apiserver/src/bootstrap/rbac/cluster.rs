//! The default cluster roles for users and components, and who is bound to them. What upstream v1.37 serves with its
//! default features.

use super::policy::{CORE, R, READ, READ_WRITE, Role, WRITE};

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";
const COORDINATION: &str = "coordination.k8s.io";
const DISCOVERY: &str = "discovery.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const RESOURCE: &str = "resource.k8s.io";
const STORAGE: &str = "storage.k8s.io";

pub(super) const ROLES: &[Role] = &[
    Role::new("cluster-admin", &[R::Of("*", "*", "*"), R::Urls("*", "*")]),
    Role::new(
        "system:discovery",
        &[R::Urls("get", "/livez /readyz /healthz /version /version/ /openapi /openapi/* /api /api/* /apis /apis/*")],
    ),
    Role::new(
        "system:monitoring",
        &[R::Urls("get", "/metrics /metrics/slis /livez /readyz /healthz /livez/* /readyz/* /healthz/*")],
    ),
    Role::new(
        "system:basic-user",
        &[
            R::Of("create", AUTHORIZATION, "selfsubjectaccessreviews selfsubjectrulesreviews"),
            R::Of("create", AUTHENTICATION, "selfsubjectreviews"),
        ],
    ),
    Role::new("system:public-info-viewer", &[R::Urls("get", "/livez /readyz /healthz /version /version/")]),
    Role { name: "admin", aggregate_to: None, aggregates: Some("admin"), rules: &[] },
    Role { name: "edit", aggregate_to: Some("admin"), aggregates: Some("edit"), rules: &[] },
    Role { name: "view", aggregate_to: Some("edit"), aggregates: Some("view"), rules: &[] },
    Role {
        name: "system:aggregate-to-admin",
        aggregate_to: Some("admin"),
        aggregates: None,
        rules: &[
            R::Of("create", AUTHORIZATION, "localsubjectaccessreviews"),
            R::Of(READ_WRITE, auth::rbac::GROUP, "roles rolebindings"),
        ],
    },
    Role { name: "system:aggregate-to-edit", aggregate_to: Some("edit"), aggregates: None, rules: EDIT },
    Role { name: "system:aggregate-to-view", aggregate_to: Some("view"), aggregates: None, rules: VIEW },
    Role::new(
        "system:heapster",
        &[R::Of(READ, CORE, "events pods nodes namespaces"), R::Of(READ, "extensions", "deployments")],
    ),
    Role::new("system:node", NODE),
    Role::new(
        "system:node-problem-detector",
        &[R::Of("get", CORE, "nodes"), R::Of("patch", CORE, "nodes/status"), R::Events],
    ),
    Role::new(
        "system:kubelet-api-admin",
        &[
            R::Of(READ, CORE, "nodes"),
            R::Of("proxy", CORE, "nodes"),
            R::Of("*", CORE, "nodes/proxy nodes/metrics nodes/stats nodes/log"),
            R::Of("*", CORE, "nodes/configz nodes/healthz nodes/pods"),
        ],
    ),
    Role::new(
        "system:node-bootstrapper",
        &[R::Of("create get list watch", CERTIFICATES, "certificatesigningrequests")],
    ),
    Role::new(
        "system:auth-delegator",
        &[R::Of("create", AUTHENTICATION, "tokenreviews"), R::Of("create", AUTHORIZATION, "subjectaccessreviews")],
    ),
    Role::new("system:kube-aggregator", &[R::Of(READ, CORE, "services endpoints")]),
    Role::new(
        "system:kube-controller-manager",
        &[
            R::Events,
            R::Of("create", COORDINATION, "leases"),
            R::Named("get update", COORDINATION, "leases", "kube-controller-manager"),
            R::Of("create", CORE, "secrets serviceaccounts"),
            R::Of("delete", CORE, "secrets"),
            R::Of("get", CORE, "configmaps namespaces secrets serviceaccounts"),
            R::Of("update", CORE, "secrets serviceaccounts"),
            R::Of("create", AUTHENTICATION, "tokenreviews"),
            R::Of("create", AUTHORIZATION, "subjectaccessreviews"),
            R::Of("list watch", "*", "*"),
            R::Of("create", CORE, "serviceaccounts/token"),
        ],
    ),
    Role::new("system:kube-dns", &[R::Of("list watch", CORE, "endpoints services")]),
    Role::new("system:kube-scheduler", SCHEDULER),
    Role::new(
        "system:persistent-volume-provisioner",
        &[
            R::Of("get list watch create delete", CORE, "persistentvolumes"),
            R::Of("get list watch update", CORE, "persistentvolumeclaims"),
            R::Of(READ, STORAGE, "storageclasses"),
            R::Of("watch", CORE, "events"),
            R::Events,
        ],
    ),
    Role::new(
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        &[R::Of("create", CERTIFICATES, "certificatesigningrequests/nodeclient")],
    ),
    Role::new(
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        &[R::Of("create", CERTIFICATES, "certificatesigningrequests/selfnodeclient")],
    ),
    Role::new(
        "system:certificates.k8s.io:kube-apiserver-client-approver",
        &[R::Named("approve", CERTIFICATES, "signers", "kubernetes.io/kube-apiserver-client")],
    ),
    Role::new(
        "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
        &[R::Named("approve", CERTIFICATES, "signers", "kubernetes.io/kube-apiserver-client-kubelet")],
    ),
    Role::new(
        "system:certificates.k8s.io:kubelet-serving-approver",
        &[R::Named("approve", CERTIFICATES, "signers", "kubernetes.io/kubelet-serving")],
    ),
    Role::new(
        "system:certificates.k8s.io:legacy-unknown-approver",
        &[R::Named("approve", CERTIFICATES, "signers", "kubernetes.io/legacy-unknown")],
    ),
    Role::new(
        "system:volume-scheduler",
        &[
            R::Of("get list patch update watch", CORE, "persistentvolumes"),
            R::Of(READ, STORAGE, "storageclasses"),
            R::Of("get list patch update watch", CORE, "persistentvolumeclaims"),
        ],
    ),
    Role::new(
        "system:service-account-issuer-discovery",
        &[R::Urls(
            "get",
            "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/",
        )],
    ),
    Role::new(
        "system:node-proxier",
        &[
            R::Of("list watch", CORE, "services endpoints"),
            R::Of(READ, CORE, "nodes"),
            R::Events,
            R::Of("list watch", NETWORKING, "servicecidrs"),
            R::Of("list watch", DISCOVERY, "endpointslices"),
        ],
    ),
];

const EDIT: &[R] = &[
    R::Of(READ, CORE, "pods/attach pods/proxy pods/exec pods/portforward secrets services/proxy"),
    R::Of("impersonate", CORE, "serviceaccounts"),
    R::Of(WRITE, CORE, "pods pods/attach pods/proxy pods/exec pods/portforward"),
    R::Of("create", CORE, "pods/eviction"),
    R::Of(
        WRITE,
        CORE,
        "replicationcontrollers replicationcontrollers/scale serviceaccounts services services/proxy \
         persistentvolumeclaims configmaps secrets events",
    ),
    R::Of("create", CORE, "serviceaccounts/token"),
    R::Of(
        WRITE,
        "apps",
        "statefulsets statefulsets/scale daemonsets deployments deployments/scale deployments/rollback replicasets \
         replicasets/scale",
    ),
    R::Of(WRITE, "autoscaling", "horizontalpodautoscalers"),
    R::Of(WRITE, "batch", "jobs cronjobs"),
    R::Of(
        WRITE,
        "extensions",
        "daemonsets deployments deployments/scale deployments/rollback ingresses replicasets replicasets/scale \
         replicationcontrollers/scale networkpolicies",
    ),
    R::Of(WRITE, "policy", "poddisruptionbudgets"),
    R::Of(WRITE, NETWORKING, "networkpolicies ingresses"),
    R::Of(READ_WRITE, COORDINATION, "leases"),
    R::Of(WRITE, RESOURCE, "resourceclaims resourceclaimtemplates"),
];

const VIEW: &[R] = &[
    R::Of(
        READ,
        CORE,
        "pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status endpoints \
         persistentvolumeclaims persistentvolumeclaims/status configmaps",
    ),
    R::Of(
        READ,
        CORE,
        "limitranges resourcequotas bindings events pods/status resourcequotas/status namespaces/status \
         replicationcontrollers/status pods/log",
    ),
    R::Of(READ, CORE, "namespaces"),
    R::Of(READ, DISCOVERY, "endpointslices"),
    R::Of(
        READ,
        "apps",
        "controllerrevisions statefulsets statefulsets/status statefulsets/scale daemonsets daemonsets/status \
         deployments deployments/status deployments/scale replicasets replicasets/status replicasets/scale",
    ),
    R::Of(READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    R::Of(READ, "batch", "jobs cronjobs cronjobs/status jobs/status"),
    R::Of(
        READ,
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status \
         replicasets replicasets/scale replicasets/status replicationcontrollers/scale networkpolicies",
    ),
    R::Of(READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    R::Of(READ, NETWORKING, "networkpolicies ingresses ingresses/status"),
    R::Of(READ, RESOURCE, "resourceclaims resourceclaims/status resourceclaimtemplates"),
];

/// What every node may do; the node authorizer narrows it by its graph.
pub(super) const NODE: &[R] = &[
    R::Of("create", AUTHENTICATION, "tokenreviews"),
    R::Of("create", AUTHORIZATION, "subjectaccessreviews localsubjectaccessreviews"),
    R::Of(READ, CORE, "services"),
    R::Of("create get list watch", CORE, "nodes"),
    R::Of("update patch", CORE, "nodes/status"),
    R::Of("update patch", CORE, "nodes"),
    R::Of("create update patch", CORE, "events"),
    R::Of(READ, CORE, "pods"),
    R::Of("create delete", CORE, "pods"),
    R::Of("update patch", CORE, "pods/status"),
    R::Of("create", CORE, "pods/eviction"),
    R::Of(READ, CORE, "secrets configmaps"),
    R::Of("get", CORE, "persistentvolumeclaims persistentvolumes"),
    R::Of("get", CORE, "endpoints"),
    R::Of("create get list watch", CERTIFICATES, "certificatesigningrequests"),
    R::Of("get create update patch delete", COORDINATION, "leases"),
    R::Of("get", STORAGE, "volumeattachments"),
    R::Of("create", CORE, "serviceaccounts/token"),
    R::Of("get update patch", CORE, "persistentvolumeclaims/status"),
    R::Of(READ, STORAGE, "csidrivers"),
    R::Of("get create update patch delete", STORAGE, "csinodes"),
    R::Of(READ, "node.k8s.io", "runtimeclasses"),
    R::Of("get", RESOURCE, "resourceclaims"),
    R::Of("deletecollection", RESOURCE, "resourceslices"),
    R::Of("get", CORE, "serviceaccounts"),
];

const SCHEDULER: &[R] = &[
    R::Events,
    R::Of("create", COORDINATION, "leases"),
    R::Named("get update", COORDINATION, "leases", "kube-scheduler"),
    R::Of(READ, CORE, "nodes"),
    R::Of("get list watch delete", CORE, "pods"),
    R::Of("create", CORE, "pods/binding bindings"),
    R::Of("patch update", CORE, "pods/status"),
    R::Of(READ, CORE, "services replicationcontrollers"),
    R::Of(READ, "apps extensions", "replicasets"),
    R::Of(READ, "apps", "statefulsets"),
    R::Of(READ, "policy", "poddisruptionbudgets"),
    R::Of(READ, CORE, "persistentvolumeclaims persistentvolumes"),
    R::Of("create", AUTHENTICATION, "tokenreviews"),
    R::Of("create", AUTHORIZATION, "subjectaccessreviews"),
    R::Of(READ, STORAGE, "csinodes"),
    R::Of(READ, STORAGE, "volumeattachments"),
    R::Of(READ, CORE, "namespaces"),
    R::Of(READ, STORAGE, "csidrivers"),
    R::Of(READ, STORAGE, "csistoragecapacities"),
    R::Of(READ, RESOURCE, "deviceclasses"),
    R::Of("get list patch update watch", RESOURCE, "resourceclaims"),
    R::Of("get list patch update watch", RESOURCE, "resourceclaims/status"),
    R::Of("get list patch update watch", CORE, "pods/finalizers"),
    R::Of(READ, RESOURCE, "resourceslices"),
];

/// Whom a binding names.
#[derive(Clone, Copy, Debug)]
pub(super) enum S {
    User(&'static str),
    Group(&'static str),
    /// An account in `kube-system`.
    Account(&'static str),
}

/// Binding, role, subjects.
pub(super) const BINDINGS: &[(&str, &str, &[S])] = &[
    ("cluster-admin", "cluster-admin", &[S::Group("system:masters")]),
    ("system:monitoring", "system:monitoring", &[S::Group("system:monitoring")]),
    ("system:discovery", "system:discovery", &[S::Group("system:authenticated")]),
    ("system:basic-user", "system:basic-user", &[S::Group("system:authenticated")]),
    (
        "system:public-info-viewer",
        "system:public-info-viewer",
        &[S::Group("system:authenticated"), S::Group("system:unauthenticated")],
    ),
    ("system:node-proxier", "system:node-proxier", &[S::User("system:kube-proxy")]),
    ("system:kube-controller-manager", "system:kube-controller-manager", &[S::User("system:kube-controller-manager")]),
    ("system:kube-dns", "system:kube-dns", &[S::Account("kube-dns")]),
    ("system:kube-scheduler", "system:kube-scheduler", &[S::User("system:kube-scheduler")]),
    ("system:volume-scheduler", "system:volume-scheduler", &[S::User("system:kube-scheduler")]),
    (
        "system:service-account-issuer-discovery",
        "system:service-account-issuer-discovery",
        &[S::Group("system:serviceaccounts")],
    ),
    // Nodes are authorized by the node authorizer; the binding stands for those who remove it.
    ("system:node", "system:node", &[]),
];
