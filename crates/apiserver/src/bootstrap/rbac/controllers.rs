//! A cluster role for each controller, bound to the controller's account in `kube-system`.

use super::policy::{CORE, R, READ, Role};

const BATCH: &str = "batch";
const CERTIFICATES: &str = "certificates.k8s.io";
const DISCOVERY: &str = "discovery.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const RESOURCE: &str = "resource.k8s.io";
const STORAGE: &str = "storage.k8s.io";
const APPS: &str = "apps";
/// Served under both names once; old clients still ask so.
const APPS_BOTH: &str = "apps extensions";

/// Named without the prefix `system:controller:`.
pub(super) const ROLES: &[Role] = &[
    Role::new(
        "attachdetach-controller",
        &[
            R::Of("list watch", CORE, "persistentvolumes persistentvolumeclaims"),
            R::Of(READ, CORE, "nodes"),
            R::Of("patch update", CORE, "nodes/status"),
            R::Of("list watch", CORE, "pods"),
            R::Events,
            R::Of("get create delete list watch", STORAGE, "volumeattachments"),
            R::Of(READ, STORAGE, "csidrivers"),
            R::Of(READ, STORAGE, "csinodes"),
        ],
    ),
    Role::new(
        "clusterrole-aggregation-controller",
        &[R::Of("escalate get list watch update patch", auth::rbac::GROUP, "clusterroles")],
    ),
    Role::new(
        "cronjob-controller",
        &[
            R::Of("get list watch update", BATCH, "cronjobs"),
            R::Of("get list watch create update delete patch", BATCH, "jobs"),
            R::Of("update", BATCH, "cronjobs/status"),
            R::Of("update", BATCH, "cronjobs/finalizers"),
            R::Of("list watch delete", CORE, "pods"),
            R::Events,
        ],
    ),
    Role::new(
        "daemon-set-controller",
        &[
            R::Of(READ, APPS_BOTH, "daemonsets"),
            R::Of("update", APPS_BOTH, "daemonsets/status"),
            R::Of("update", APPS_BOTH, "daemonsets/finalizers"),
            R::Of("list watch", CORE, "nodes"),
            R::Of("list watch create delete patch", CORE, "pods"),
            R::Of("create", CORE, "pods/binding"),
            R::Of("get list watch create delete update patch", APPS, "controllerrevisions"),
            R::Events,
        ],
    ),
    Role::new(
        "deployment-controller",
        &[
            R::Of("get list watch update", APPS_BOTH, "deployments"),
            R::Of("update", APPS_BOTH, "deployments/status"),
            R::Of("update", APPS_BOTH, "deployments/finalizers"),
            R::Of("get list watch create update patch delete", APPS_BOTH, "replicasets"),
            R::Of("get list watch update", CORE, "pods"),
            R::Events,
        ],
    ),
    Role::new(
        "disruption-controller",
        &[
            R::Of(READ, APPS_BOTH, "deployments"),
            R::Of(READ, APPS_BOTH, "replicasets"),
            R::Of(READ, CORE, "replicationcontrollers"),
            R::Of(READ, "policy", "poddisruptionbudgets"),
            R::Of(READ, APPS, "statefulsets"),
            R::Of("update", "policy", "poddisruptionbudgets/status"),
            R::Of("patch update", CORE, "pods/status"),
            R::Of("get", "*", "*/scale"),
            R::Events,
        ],
    ),
    Role::new(
        "endpoint-controller",
        &[
            R::Of(READ, CORE, "services pods"),
            R::Of("get list watch create update delete", CORE, "endpoints"),
            R::Of("create", CORE, "endpoints/restricted"),
            R::Events,
        ],
    ),
    Role::new(
        "endpointslice-controller",
        &[
            R::Of(READ, CORE, "services pods nodes"),
            R::Of("update", CORE, "services/finalizers"),
            R::Of("get list watch create update delete", DISCOVERY, "endpointslices"),
            R::Events,
        ],
    ),
    Role::new(
        "endpointslicemirroring-controller",
        &[
            R::Of(READ, CORE, "services endpoints"),
            R::Of("update", CORE, "services/finalizers"),
            R::Of("update", CORE, "endpoints/finalizers"),
            R::Of("get list watch create update delete", DISCOVERY, "endpointslices"),
            R::Events,
        ],
    ),
    Role::new(
        "expand-controller",
        &[
            R::Of("get list watch update patch", CORE, "persistentvolumes"),
            R::Of("update patch", CORE, "persistentvolumeclaims/status"),
            R::Of(READ, CORE, "persistentvolumeclaims"),
            R::Events,
            R::Of("get", CORE, "services"),
        ],
    ),
    Role::new(
        "ephemeral-volume-controller",
        &[
            R::Of(READ, CORE, "pods"),
            R::Of("update", CORE, "pods/finalizers"),
            R::Of("get list watch create", CORE, "persistentvolumeclaims"),
            R::Events,
        ],
    ),
    Role::new(
        "resource-claim-controller",
        &[
            R::Of(READ, CORE, "pods"),
            R::Of("update", CORE, "pods/finalizers"),
            R::Of("get list watch create delete", RESOURCE, "resourceclaims"),
            R::Of("update patch", RESOURCE, "resourceclaims resourceclaims/status"),
            R::Of("update patch", CORE, "pods/status"),
            R::Events,
        ],
    ),
    Role::new("generic-garbage-collector", &[R::Of("get list watch patch update delete", "*", "*"), R::Events]),
    Role::new(
        "horizontal-pod-autoscaler",
        &[
            R::Of(READ, "autoscaling", "horizontalpodautoscalers"),
            R::Of("update", "autoscaling", "horizontalpodautoscalers/status"),
            R::Of("get update", "*", "*/scale"),
            R::Of("list watch", CORE, "pods"),
            R::Of("list watch", "metrics.k8s.io", "pods"),
            R::Of(READ, "custom.metrics.k8s.io", "*"),
            R::Of(READ, "external.metrics.k8s.io", "*"),
            R::Events,
        ],
    ),
    Role::new(
        "job-controller",
        &[
            R::Of("get list watch update patch", BATCH, "jobs"),
            R::Of("update", BATCH, "jobs/status"),
            R::Of("update", BATCH, "jobs/finalizers"),
            R::Of("list watch create delete patch", CORE, "pods"),
            R::Events,
        ],
    ),
    Role::new(
        "namespace-controller",
        &[
            R::Of("get list watch delete", CORE, "namespaces"),
            R::Of("update", CORE, "namespaces/finalize namespaces/status"),
            R::Of("get list watch delete deletecollection", "*", "*"),
        ],
    ),
    Role::new(
        "node-controller",
        &[
            R::Of("get list watch update delete patch", CORE, "nodes"),
            R::Of("patch update", CORE, "nodes/status"),
            R::Of("patch update", CORE, "pods/status"),
            R::Of("list watch get delete", CORE, "pods"),
            R::Events,
        ],
    ),
    Role::new(
        "persistent-volume-binder",
        &[
            R::Of("get list watch update create delete", CORE, "persistentvolumes"),
            R::Of("update", CORE, "persistentvolumes/status"),
            R::Of("get list watch update", CORE, "persistentvolumeclaims"),
            R::Of("update", CORE, "persistentvolumeclaims/status"),
            R::Of("list watch get create delete", CORE, "pods"),
            R::Of(READ, STORAGE, "storageclasses"),
            R::Of("list watch", CORE, "nodes"),
            R::Events,
            R::Of("watch", CORE, "events"),
            R::Of("get", CORE, "services"),
        ],
    ),
    Role::new(
        "pod-garbage-collector",
        &[R::Of("list watch delete", CORE, "pods"), R::Of(READ, CORE, "nodes"), R::Of("patch", CORE, "pods/status")],
    ),
    Role::new(
        "replicaset-controller",
        &[
            R::Of("get list watch update", APPS_BOTH, "replicasets"),
            R::Of("update", APPS_BOTH, "replicasets/status"),
            R::Of("update", APPS_BOTH, "replicasets/finalizers"),
            R::Of("list watch patch create delete", CORE, "pods"),
            R::Events,
        ],
    ),
    Role::new(
        "replication-controller",
        &[
            R::Of("get list watch update", CORE, "replicationcontrollers"),
            R::Of("update", CORE, "replicationcontrollers/status"),
            R::Of("update", CORE, "replicationcontrollers/finalizers"),
            R::Of("list watch patch create delete", CORE, "pods"),
            R::Events,
        ],
    ),
    Role::new(
        "resourcequota-controller",
        &[R::Of("list watch", "*", "*"), R::Of("update", CORE, "resourcequotas/status"), R::Events],
    ),
    Role::new(
        "route-controller",
        &[R::Of("list watch", CORE, "nodes"), R::Of("patch", CORE, "nodes/status"), R::Events],
    ),
    Role::new("service-account-controller", &[R::Of("create", CORE, "serviceaccounts"), R::Events]),
    Role::new(
        "service-controller",
        &[
            R::Of(READ, CORE, "services"),
            R::Of("patch update", CORE, "services/status"),
            R::Of("list watch", CORE, "nodes"),
            R::Events,
        ],
    ),
    Role::new(
        "service-cidrs-controller",
        &[
            R::Of("get list watch patch update", NETWORKING, "servicecidrs"),
            R::Of("patch update", NETWORKING, "servicecidrs/finalizers"),
            R::Of("patch update", NETWORKING, "servicecidrs/status"),
            R::Of(READ, NETWORKING, "ipaddresses"),
            R::Events,
        ],
    ),
    Role::new(
        "statefulset-controller",
        &[
            R::Of("list watch", CORE, "pods"),
            R::Of(READ, APPS, "statefulsets"),
            R::Of("update", APPS, "statefulsets/status"),
            R::Of("update", APPS, "statefulsets/finalizers"),
            R::Of("get create delete update patch", CORE, "pods"),
            R::Of("get create delete update patch list watch", APPS, "controllerrevisions"),
            R::Of("get create list watch", CORE, "persistentvolumeclaims"),
            R::Of("update delete", CORE, "persistentvolumeclaims"),
            R::Of("update", CORE, "pods/finalizers"),
            R::Events,
        ],
    ),
    Role::new("ttl-controller", &[R::Of("update patch list watch", CORE, "nodes"), R::Events]),
    Role::new(
        "certificate-controller",
        &[
            R::Of("get list watch delete", CERTIFICATES, "certificatesigningrequests"),
            R::Of("update", CERTIFICATES, "certificatesigningrequests/status certificatesigningrequests/approval"),
            R::Named("approve", CERTIFICATES, "signers", "kubernetes.io/kube-apiserver-client-kubelet"),
            R::Named(
                "sign",
                CERTIFICATES,
                "signers",
                "kubernetes.io/legacy-unknown kubernetes.io/kube-apiserver-client \
                 kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving",
            ),
            R::Of("create", "authorization.k8s.io", "subjectaccessreviews"),
            R::Events,
        ],
    ),
    Role::new(
        "pvc-protection-controller",
        &[
            R::Of("get list watch update", CORE, "persistentvolumeclaims"),
            R::Of("list watch get", CORE, "pods"),
            R::Events,
        ],
    ),
    Role::new("pv-protection-controller", &[R::Of("get list watch update", CORE, "persistentvolumes"), R::Events]),
    Role::new(
        "volumeattributesclass-protection-controller",
        &[
            R::Of(READ, CORE, "persistentvolumeclaims"),
            R::Of(READ, CORE, "persistentvolumes"),
            R::Of("get list watch update", STORAGE, "volumeattributesclasses"),
            R::Events,
        ],
    ),
    Role::new("ttl-after-finished-controller", &[R::Of("get list watch delete", BATCH, "jobs"), R::Events]),
    Role::new("root-ca-cert-publisher", &[R::Of("create update", CORE, "configmaps"), R::Events]),
    Role::new(
        "validatingadmissionpolicy-status-controller",
        &[
            R::Of(READ, "admissionregistration.k8s.io", "validatingadmissionpolicies"),
            R::Of("get patch update", "admissionregistration.k8s.io", "validatingadmissionpolicies/status"),
            R::Events,
        ],
    ),
    Role::new(
        "legacy-service-account-token-cleaner",
        &[
            R::Named("get", CORE, "configmaps", "kube-apiserver-legacy-service-account-token-tracking"),
            R::Of("patch delete", CORE, "secrets"),
        ],
    ),
    Role::new(
        "selinux-warning-controller",
        &[
            R::Events,
            R::Of(READ, CORE, "persistentvolumes"),
            R::Of(READ, CORE, "persistentvolumeclaims"),
            R::Of(READ, CORE, "pods"),
            R::Of(READ, STORAGE, "csidrivers"),
        ],
    ),
];
