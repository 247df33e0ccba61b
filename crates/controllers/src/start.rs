//! Which controllers run, and with what.

use std::time::Duration;

use apimachinery::UserInfo;
use client::Client;
use controller_runtime::{Informers, Tasks, run};

use crate::{
    NodeSubnets, Signers, certificates::CertificateController, clusterroleaggregation::ClusterRoleAggregator,
    context::Contexts, deployment::DeploymentController, endpoints::EndpointsController,
    endpointslice::EndpointSliceController, endpointslicemirroring::EndpointSliceMirroringController, garbagecollector,
    namespace::NamespaceController, nodeipam::NodeIpamController, nodelifecycle::NodeLifecycleController,
    podgc::PodGarbageCollector, replicaset::ReplicaSetController, root_ca_publisher::RootCaPublisher,
    serviceaccount::ServiceAccountController, tainteviction::TaintEvictionController,
};

/// What controllers cannot read from the API.
#[derive(Clone, Debug)]
pub struct Config {
    /// The certificate authority clients trust, in PEM; published to every namespace.
    pub root_ca_pem: String,
    /// Workers of each controller.
    pub workers: usize,
    /// A node that has been silent for so long is not known to be ready.
    pub node_monitor_grace: Duration,
    /// Who signs the certificates of nodes; without, no node can join.
    pub signers: Option<Signers>,
    /// What nodes that join get for their pods.
    pub subnets: Option<NodeSubnets>,
}

/// Starts every controller. `clients` makes a client that acts as the given user: reads that all share are made as
/// `system:kube-controller-manager`, writes by each controller's own service account. They end with `tasks`.
pub fn start(clients: impl Fn(UserInfo) -> Client, tasks: &Tasks, config: Config) {
    let reader = clients(UserInfo::new("system:kube-controller-manager", &[]));
    let informers = Informers::new(reader, tasks.clone());
    let contexts = Contexts { clients: &clients, informers, tasks: tasks.clone() };

    run(tasks, ReplicaSetController::new(contexts.of("replicaset-controller")), config.workers);
    run(tasks, DeploymentController::new(contexts.of("deployment-controller")), config.workers);
    run(tasks, EndpointsController::new(contexts.of("endpoint-controller")), config.workers);
    run(tasks, EndpointSliceController::new(contexts.of("endpointslice-controller")), config.workers);
    let mirroring = EndpointSliceMirroringController::new(contexts.of("endpointslicemirroring-controller"));
    run(tasks, mirroring, config.workers);
    run(tasks, ClusterRoleAggregator::new(contexts.of("clusterrole-aggregation-controller")), config.workers);
    run(tasks, NamespaceController::new(contexts.of("namespace-controller")), config.workers);
    run(tasks, ServiceAccountController::new(contexts.of("service-account-controller")), config.workers);
    let publisher = RootCaPublisher::new(contexts.of("root-ca-cert-publisher"), config.root_ca_pem);
    run(tasks, publisher, config.workers);
    run(tasks, NodeLifecycleController::new(contexts.of("node-controller"), config.node_monitor_grace), config.workers);
    // Upstream's node controller did this once, and its account still may.
    run(tasks, TaintEvictionController::new(contexts.of("node-controller")), config.workers);
    run(tasks, PodGarbageCollector::new(contexts.of("pod-garbage-collector")), config.workers);
    if let Some(signers) = config.signers {
        run(tasks, CertificateController::new(contexts.of("certificate-controller"), signers), config.workers);
    }
    if let Some(subnets) = config.subnets {
        // One worker: subnets are given one after the other.
        run(tasks, NodeIpamController::new(contexts.of("node-controller"), subnets), 1);
    }
    garbagecollector::start(tasks, contexts.of("generic-garbage-collector"));
}
