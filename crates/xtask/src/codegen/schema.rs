//! Turns JSON-schema definitions into the text form that `schema::parse` reads. Facts only: names, types, merge
//! rules, enumerations; no descriptions.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// Definitions that are one value on the wire, which the JSON-schema form does not tell.
const SCALARS: &[(&str, &str)] = &[
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", "any"),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray", "any"),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool", "any"),
    ("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray", "any"),
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", "q"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "any"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", "mt"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Patch", "any"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "t"),
    ("io.k8s.apimachinery.pkg.runtime.RawExtension", "any"),
    ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "ios"),
];

/// Fields that Go holds by value, so that upstream writes them even when empty, though the definitions call them
/// optional. `metadata`, `spec`, `status` and required objects are so everywhere but for what [`POINTERS`] lists.
const VALUES: &[&str] = &[
    "apiextensions.v1.CustomResourceDefinitionStatus.acceptedNames",
    "apps.v1.DaemonSetSpec.updateStrategy",
    "apps.v1.DeploymentSpec.strategy",
    "apps.v1.ReplicaSetSpec.template",
    "apps.v1.StatefulSetSpec.updateStrategy",
    "authentication.v1.SelfSubjectReviewStatus.userInfo",
    "authentication.v1.TokenReviewStatus.user",
    "core.v1.Container.resources",
    "core.v1.ContainerStatus.lastState",
    "core.v1.ContainerStatus.state",
    "core.v1.EphemeralContainer.resources",
    "core.v1.Event.source",
    "core.v1.NodeDaemonEndpoints.kubeletEndpoint",
    "core.v1.NodeStatus.daemonEndpoints",
    "core.v1.NodeStatus.nodeInfo",
    "core.v1.PersistentVolumeClaimSpec.resources",
    "core.v1.PodTemplate.template",
    "core.v1.ServiceStatus.loadBalancer",
    "discovery.v1.Endpoint.conditions",
    "events.v1.Event.deprecatedSource",
    "events.v1.Event.regarding",
    "meta.v1.APIGroup.preferredVersion",
    "networking.v1.IngressServiceBackend.port",
    "networking.v1.IngressStatus.loadBalancer",
    "networking.v1.NetworkPolicySpec.podSelector",
    "resource.v1.AllocationResult.devices",
    "resource.v1.ResourceClaimSpec.devices",
];

/// Required objects that Go holds by pointer.
const POINTERS: &[&str] = &[
    "apps.v1.DaemonSetSpec.selector",
    "apps.v1.DeploymentSpec.selector",
    "apps.v1.ReplicaSetSpec.selector",
    "apps.v1.StatefulSetSpec.selector",
    "core.v1.ScaleIOPersistentVolumeSource.secretRef",
    "core.v1.ScaleIOVolumeSource.secretRef",
];

/// Optional strings that Go holds by pointer, or writes even when empty: empty is not absent. All other optional strings, and all optional lists
/// and maps, are left out when empty.
const POINTER_STRINGS: &[&str] = &[
    "$ref",
    "apiGroup",
    "appProtocol",
    "cachingMode",
    "completionMode",
    "currentVolumeAttributesClassName",
    "failurePolicy",
    "fsGroupChangePolicy",
    "fsGroupPolicy",
    "gmsaCredentialSpec",
    "gmsaCredentialSpecName",
    "holderIdentity",
    "ingressClassName",
    "initiatorName",
    "internalTrafficPolicy",
    "ipFamilyPolicy",
    "ipMode",
    "loadBalancerClass",
    "localhostProfile",
    "managedBy",
    "matchPolicy",
    "mountPropagation",
    "nodeAffinityPolicy",
    "nodeTaintsPolicy",
    "pathType",
    "persistentVolumeName",
    "podReplacementPolicy",
    "preemptionPolicy",
    "preferredHolder",
    "procMount",
    "recursiveReadOnly",
    "core.v1.Event.reportingComponent",
    "core.v1.Event.reportingInstance",
    "reinvocationPolicy",
    "resourceClaimName",
    "resourceClaimTemplateName",
    "runAsUserName",
    "runtimeClassName",
    "scope",
    "seLinuxChangePolicy",
    "secretNamespace",
    "selectPolicy",
    "shareID",
    "sideEffects",
    "stopSignal",
    "storageClassName",
    "supplementalGroupsPolicy",
    "trafficDistribution",
    "unhealthyPodEvictionPolicy",
    "volumeAttributesClassName",
    "volumeBindingMode",
    "volumeMode",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "zone",
    "AzureDiskVolumeSource.fsType",
    "AzureDiskVolumeSource.kind",
    "CSIVolumeSource.fsType",
    "ClusterTrustBundleProjection.name",
    "ClusterTrustBundleProjection.signerName",
    "Container.restartPolicy",
    "core.v1.EndpointAddress.nodeName",
    "discovery.v1.Endpoint.hostname",
    "discovery.v1.Endpoint.nodeName",
    "discovery.v1.EndpointPort.name",
    "discovery.v1.EndpointPort.protocol",
    "EphemeralContainer.restartPolicy",
    "GRPCAction.service",
    "HostPathVolumeSource.type",
    "IngressClassParametersReference.namespace",
    "LeaseSpec.strategy",
    "NetworkPolicyPort.protocol",
    "PodDNSConfigOption.value",
    "PortStatus.error",
    "ServiceReference.path",
    "StorageClass.reclaimPolicy",
    "TypedObjectReference.namespace",
    "WebhookClientConfig.url",
    "admissionregistration.v1.ParamRef.parameterNotFoundAction",
    "admissionregistration.v1alpha1.ParamRef.parameterNotFoundAction",
    "admissionregistration.v1beta1.ParamRef.parameterNotFoundAction",
    "apiserverinternal.v1alpha1.StorageVersionStatus.commonEncodingVersion",
    "apps.v1.DaemonSetCondition.type",
    "apps.v1.DeploymentCondition.type",
    "apps.v1.ReplicaSetCondition.type",
    "apps.v1.StatefulSetCondition.type",
    "apps.v1.StatefulSetSpec.serviceName",
    "authentication.v1.TokenRequestStatus.token",
    "batch.v1.CronJobSpec.timeZone",
    "batch.v1.JobStatus.failedIndexes",
    "batch.v1.PodFailurePolicyOnExitCodesRequirement.containerName",
    "batch.v1.SuccessPolicyRule.succeededIndexes",
    "core.v1.GlusterfsPersistentVolumeSource.endpointsNamespace",
    "core.v1.LocalVolumeSource.fsType",
    "core.v1.NodeRuntimeHandler.name",
    "core.v1.PodSchedulingGroup.podGroupName",
    "core.v1.PodSpec.hostnameOverride",
    "core.v1.ResourceHealth.message",
    "meta.v1.DeleteOptions.propagationPolicy",
    "meta.v1.Preconditions.resourceVersion",
    "networking.v1.IngressPortStatus.error",
    "resource.v1.Device.nodeName",
    "resource.v1.DeviceAttribute.string",
    "resource.v1.DeviceAttribute.version",
    "resource.v1.DeviceClassSpec.extendedResourceName",
    "resource.v1.DeviceConstraint.distinctAttribute",
    "resource.v1.DeviceConstraint.matchAttribute",
    "resource.v1.ResourceSliceSpec.nodeName",
    "resource.v1alpha3.DeviceTaintSelector.device",
    "resource.v1alpha3.DeviceTaintSelector.driver",
    "resource.v1alpha3.DeviceTaintSelector.pool",
    "resource.v1alpha3.PoolStatus.nodeName",
    "resource.v1alpha3.PoolStatus.validationError",
    "resource.v1alpha3.ResourcePoolStatusRequestSpec.poolName",
    "resource.v1beta1.BasicDevice.nodeName",
    "resource.v1beta1.DeviceAttribute.string",
    "resource.v1beta1.DeviceAttribute.version",
    "resource.v1beta1.DeviceClassSpec.extendedResourceName",
    "resource.v1beta1.DeviceConstraint.distinctAttribute",
    "resource.v1beta1.DeviceConstraint.matchAttribute",
    "resource.v1beta1.DeviceRequest.deviceClassName",
    "resource.v1beta2.Device.nodeName",
    "resource.v1beta2.DeviceAttribute.string",
    "resource.v1beta2.DeviceAttribute.version",
    "resource.v1beta2.DeviceClassSpec.extendedResourceName",
    "resource.v1beta2.DeviceConstraint.distinctAttribute",
    "resource.v1beta2.DeviceConstraint.matchAttribute",
    "resource.v1beta2.DeviceTaintSelector.device",
    "resource.v1beta2.DeviceTaintSelector.driver",
    "resource.v1beta2.DeviceTaintSelector.pool",
    "resource.v1beta2.ResourceSliceSpec.nodeName",
];

/// Optional strings that Go holds by value although others of their name are pointers.
const VALUE_STRINGS: &[&str] = &[
    "admissionregistration.v1.MutatingAdmissionPolicySpec.reinvocationPolicy",
    "admissionregistration.v1alpha1.MutatingAdmissionPolicySpec.reinvocationPolicy",
    "admissionregistration.v1beta1.MutatingAdmissionPolicySpec.reinvocationPolicy",
    "core.v1.PersistentVolumeSpec.storageClassName",
    "rbac.v1.Subject.apiGroup",
    "resource.v1.ResourceClaimConsumerReference.apiGroup",
    "resource.v1beta1.ResourceClaimConsumerReference.apiGroup",
    "resource.v1beta2.ResourceClaimConsumerReference.apiGroup",
];

/// Optional numbers and booleans that Go holds by value: zero is absent. The others are pointers.
const ZERO_IS_ABSENT: &[&str] = &[
    "ContainerPort.hostPort",
    "ContainerPort.containerPort",
    "Container.stdin",
    "Container.stdinOnce",
    "Container.tty",
    "DaemonSetSpec.minReadySeconds",
    "DaemonSetStatus.numberAvailable",
    "DaemonSetStatus.numberUnavailable",
    "DaemonSetStatus.observedGeneration",
    "DaemonSetStatus.updatedNumberScheduled",
    "DeploymentSpec.minReadySeconds",
    "DeploymentSpec.paused",
    "DeploymentStatus.availableReplicas",
    "DeploymentStatus.observedGeneration",
    "DeploymentStatus.readyReplicas",
    "DeploymentStatus.replicas",
    "DeploymentStatus.unavailableReplicas",
    "DeploymentStatus.updatedReplicas",
    "EphemeralContainer.stdin",
    "EphemeralContainer.stdinOnce",
    "EphemeralContainer.tty",
    "core.v1.Event.count",
    "JobStatus.active",
    "JobStatus.failed",
    "JobStatus.succeeded",
    "NodeSpec.unschedulable",
    "ObjectMeta.generation",
    "PodSpec.hostIPC",
    "PodSpec.hostNetwork",
    "PodSpec.hostPID",
    "PodStatus.observedGeneration",
    "PriorityClass.globalDefault",
    "Probe.failureThreshold",
    "Probe.initialDelaySeconds",
    "Probe.periodSeconds",
    "Probe.successThreshold",
    "Probe.timeoutSeconds",
    "ReplicaSetSpec.minReadySeconds",
    "ReplicaSetStatus.availableReplicas",
    "ReplicaSetStatus.fullyLabeledReplicas",
    "ReplicaSetStatus.observedGeneration",
    "ReplicaSetStatus.readyReplicas",
    "ReplicationControllerSpec.minReadySeconds",
    "ScaleSpec.replicas",
    "ServicePort.nodePort",
    "ServiceSpec.healthCheckNodePort",
    "ServiceSpec.publishNotReadyAddresses",
    "StatefulSetSpec.minReadySeconds",
    "VolumeMount.readOnly",
    "PersistentVolumeClaimVolumeSource.readOnly",
    "admissionregistration.v1.ValidatingAdmissionPolicyStatus.observedGeneration",
    "apiserverinternal.v1alpha1.StorageVersionCondition.observedGeneration",
    "apps.v1.StatefulSetStatus.currentReplicas",
    "apps.v1.StatefulSetStatus.observedGeneration",
    "apps.v1.StatefulSetStatus.readyReplicas",
    "apps.v1.StatefulSetStatus.updatedReplicas",
    "authentication.v1.TokenReviewStatus.authenticated",
    "authorization.v1.SubjectAccessReviewStatus.denied",
    "autoscaling.v2.HorizontalPodAutoscalerStatus.currentReplicas",
    "core.v1.AWSElasticBlockStoreVolumeSource.partition",
    "core.v1.AWSElasticBlockStoreVolumeSource.readOnly",
    "core.v1.AzureFilePersistentVolumeSource.readOnly",
    "core.v1.AzureFileVolumeSource.readOnly",
    "core.v1.CSIPersistentVolumeSource.readOnly",
    "core.v1.CephFSPersistentVolumeSource.readOnly",
    "core.v1.CephFSVolumeSource.readOnly",
    "core.v1.CinderPersistentVolumeSource.readOnly",
    "core.v1.CinderVolumeSource.readOnly",
    "core.v1.ContainerImage.sizeBytes",
    "core.v1.ContainerStateTerminated.signal",
    "core.v1.EventSeries.count",
    "core.v1.FCVolumeSource.readOnly",
    "core.v1.FlexPersistentVolumeSource.readOnly",
    "core.v1.FlexVolumeSource.readOnly",
    "core.v1.GCEPersistentDiskVolumeSource.partition",
    "core.v1.GCEPersistentDiskVolumeSource.readOnly",
    "core.v1.GlusterfsPersistentVolumeSource.readOnly",
    "core.v1.GlusterfsVolumeSource.readOnly",
    "core.v1.ISCSIPersistentVolumeSource.chapAuthDiscovery",
    "core.v1.ISCSIPersistentVolumeSource.chapAuthSession",
    "core.v1.ISCSIPersistentVolumeSource.readOnly",
    "core.v1.ISCSIVolumeSource.chapAuthDiscovery",
    "core.v1.ISCSIVolumeSource.chapAuthSession",
    "core.v1.ISCSIVolumeSource.readOnly",
    "core.v1.NFSVolumeSource.readOnly",
    "core.v1.PodCondition.observedGeneration",
    "core.v1.PortworxVolumeSource.readOnly",
    "core.v1.QuobyteVolumeSource.readOnly",
    "core.v1.RBDPersistentVolumeSource.readOnly",
    "core.v1.RBDVolumeSource.readOnly",
    "core.v1.ReplicationControllerStatus.availableReplicas",
    "core.v1.ReplicationControllerStatus.fullyLabeledReplicas",
    "core.v1.ReplicationControllerStatus.observedGeneration",
    "core.v1.ReplicationControllerStatus.readyReplicas",
    "core.v1.ScaleIOPersistentVolumeSource.readOnly",
    "core.v1.ScaleIOPersistentVolumeSource.sslEnabled",
    "core.v1.ScaleIOVolumeSource.readOnly",
    "core.v1.ScaleIOVolumeSource.sslEnabled",
    "core.v1.StorageOSPersistentVolumeSource.readOnly",
    "core.v1.StorageOSVolumeSource.readOnly",
    "core.v1.VolumeMountStatus.readOnly",
    "events.v1.Event.deprecatedCount",
    "flowcontrol.v1.ResourcePolicyRule.clusterScope",
    "meta.v1.Condition.observedGeneration",
    "meta.v1.Status.code",
    "meta.v1.StatusDetails.retryAfterSeconds",
    "networking.v1.ServiceBackendPort.number",
    "policy.v1.PodDisruptionBudgetStatus.observedGeneration",
    "resource.v1.DeviceSubRequest.count",
    "resource.v1.ExactDeviceRequest.count",
    "resource.v1beta1.DeviceRequest.count",
    "resource.v1beta1.DeviceSubRequest.count",
    "resource.v1beta1.ResourceSliceSpec.allNodes",
    "resource.v1beta2.DeviceSubRequest.count",
    "resource.v1beta2.ExactDeviceRequest.count",
];

pub(super) fn run(input: &Path, output: &Path) -> Result<()> {
    let document: Value = serde_json::from_slice(&fs::read(input).with_context(|| input.display().to_string())?)?;
    let definitions = definitions(&document)?;
    let mut text = String::from("# Written by `cargo xtask codegen schema`. Do not edit.\n");
    for (name, shape) in SCALARS {
        if !definitions.contains_key(*name) {
            bail!("{name} is gone: the input is not what this generator knows");
        }
        writeln!(text, "{name} as={shape}")?;
    }
    // What merges atomically is said before it is used.
    let (atomic, rest): (Vec<_>, Vec<_>) = definitions
        .iter()
        .filter(|(name, _)| SCALARS.iter().all(|(scalar, _)| scalar != name))
        .partition(|(_, definition)| definition.get("x-kubernetes-map-type").is_some());
    for (name, definition) in atomic.into_iter().chain(rest) {
        write_definition(&mut text, name, definition).with_context(|| name.clone())?;
    }
    schema_reads(&text)?;
    fs::write(output, text).with_context(|| output.display().to_string())
}

pub(super) fn definitions(document: &Value) -> Result<&Map<String, Value>> {
    let found = ["$defs", "definitions"].iter().find_map(|key| document[key].as_object());
    found.context("no definitions in the document")
}

/// The reader must take what was written; checked here so that a broken text is never committed.
fn schema_reads(text: &str) -> Result<()> {
    schema::parse(text)?;
    Ok(())
}

fn write_definition(text: &mut String, name: &str, definition: &Value) -> Result<()> {
    write!(text, "{name}")?;
    if let Some(map_type) = definition["x-kubernetes-map-type"].as_str() {
        write!(text, " map={map_type}")?;
    }
    let kinds = definition["x-kubernetes-group-version-kind"].as_array();
    // The options of requests are listed under every group; the reader finds them in all by itself.
    let everywhere = kinds.is_some_and(|k| k.len() > 1);
    for kind in kinds.into_iter().flatten() {
        let word = |key: &str| kind[key].as_str().with_context(|| format!("a kind without {key}"));
        let (group, version) = (word("group")?, word("version")?);
        if !everywhere || (group.is_empty() && version == "v1") {
            write!(text, " kind={group}/{version}/{}", word("kind")?)?;
        }
    }
    text.push('\n');
    let empty = Map::new();
    let required = definition["required"].as_array();
    for (field, property) in definition["properties"].as_object().unwrap_or(&empty) {
        write!(text, "\t{field} {}", type_of(property).with_context(|| field.clone())?)?;
        let required = required.is_some_and(|r| r.iter().any(|name| name == field.as_str()));
        if required {
            text.push_str(" required");
        }
        if is_value(name, field, property, required) {
            text.push_str(" value");
        }
        if !required && is_omitted(name, field, property)? {
            text.push_str(" omit");
        }
        write_words(text, field, property)?;
        text.push('\n');
    }
    Ok(())
}

fn is_value(definition: &str, field: &str, property: &Value, required: bool) -> bool {
    let Some(reference) = property["$ref"].as_str() else { return false };
    if SCALARS.iter().any(|(name, _)| reference.ends_with(name)) {
        return false;
    }
    let path = format!("{definition}.{field}");
    let listed = |list: &[&str]| list.iter().any(|end| path.ends_with(&format!(".{end}")));
    let usual = required || matches!(field, "metadata" | "spec" | "status");
    (usual && !listed(POINTERS)) || listed(VALUES)
}

/// Whether upstream leaves the field out when it is empty or zero.
fn is_omitted(definition: &str, field: &str, property: &Value) -> Result<bool> {
    let path = format!("{definition}.{field}");
    let listed = |list: &[&str]| list.iter().any(|end| path.ends_with(&format!(".{end}")));
    Ok(match type_of(property)?.as_str() {
        "s" => !listed(POINTER_STRINGS) || listed(VALUE_STRINGS),
        "bytes" => true,
        "i32" | "i64" | "b" => listed(ZERO_IS_ABSENT),
        of => of.starts_with(['[', '{']),
    })
}

fn write_words(text: &mut String, field: &str, property: &Value) -> Result<()> {
    let word = |key: &str| property[key].as_str();
    let list = |key: &str| property[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    match word("x-kubernetes-list-type") {
        Some("map") => {
            write!(text, " list=map:{}", list("x-kubernetes-list-map-keys").collect::<Vec<_>>().join(","))?;
        }
        Some(list_type) => write!(text, " list={list_type}")?,
        None => {}
    }
    if let Some(map_type) = word("x-kubernetes-map-type") {
        write!(text, " map={map_type}")?;
    }
    if let Some(strategy) = word("x-kubernetes-patch-strategy") {
        write!(text, " patch={strategy}")?;
    }
    if let Some(key) = word("x-kubernetes-patch-merge-key") {
        write!(text, " key={key}")?;
    }
    // The package adds an enumeration of one to these two; they are not upstream's.
    let values: Vec<_> = list("enum").collect();
    if !values.is_empty() && !matches!(field, "apiVersion" | "kind") {
        if values.iter().any(|v| v.contains([' ', '|'])) {
            bail!("{values:?} cannot be written");
        }
        write!(text, " enum={}", values.join("|"))?;
    }
    Ok(())
}

fn type_of(property: &Value) -> Result<String> {
    if let Some(reference) = property["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return Ok(format!("&{name}"));
    }
    let one = property["type"].as_str();
    let many = property["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let kind = one.into_iter().chain(many).find(|t| *t != "null").context("no type")?;
    Ok(match (kind, property["format"].as_str()) {
        ("array", _) => format!("[]{}", type_of(&property["items"])?),
        ("object", _) => format!("{{}}{}", type_of(&property["additionalProperties"])?),
        ("string", Some("byte")) => "bytes".into(),
        ("string", None) => "s".into(),
        ("boolean", _) => "b".into(),
        ("integer", Some("int32")) => "i32".into(),
        ("integer", Some("int64")) => "i64".into(),
        ("number", _) => "f".into(),
        (kind, format) => bail!("unknown type {kind} {format:?}"),
    })
}
