//! From flags and kubeconfig files to a client.

use std::path::{Path, PathBuf};

use client::{
    Client,
    kubeconfig::{self, Kubeconfig, NamedAuthInfo, NamedCluster},
};

use crate::{
    failure::{Failure, Result, refuse},
    flags::Flags,
};

const ADMIN_KUBECONFIG: &str = "admin.kubeconfig";
/// Where kubectl looks when nothing tells it of a cluster.
const NOWHERE: &str = "localhost:8080";
const OVERRIDE: &str = "given by flags";

pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) host: String,
    /// The namespace of the flags, else of the context, else `default`.
    pub(crate) namespace: String,
    pub(crate) explicit_namespace: bool,
}

pub(crate) async fn connect(flags: &Flags) -> Result<Connection> {
    let mut config = load(flags)?;
    override_by(flags, &mut config)?;
    let context = config
        .contexts
        .iter()
        .find(|c| Some(&c.name) == config.current_context.as_ref())
        .and_then(|c| c.context.clone())
        .unwrap_or_default();
    let cluster = config.clusters.iter().find(|c| c.name == context.cluster).and_then(|c| c.cluster.as_ref());
    let Some(server) = cluster.and_then(|c| c.server.as_deref()) else {
        return Err(Failure::ConnectionRefused { host: NOWHERE.to_owned() });
    };
    let host = server.split("://").last().unwrap_or(server).trim_end_matches('/').to_owned();
    let explicit_namespace = flags.namespace.is_some();
    let from_context = context.namespace.clone().filter(|n| !n.is_empty());
    let namespace = flags.namespace.clone().or(from_context).unwrap_or_else(|| "default".to_owned());
    let client = Client::from_kubeconfig_value(config).await.map_err(|e| Failure::from_client(e, &host))?;
    Ok(Connection { client, host, namespace, explicit_namespace })
}

/// The files in force, merged: earlier ones win.
pub(crate) fn load(flags: &Flags) -> Result<Kubeconfig> {
    let mut merged: Option<Kubeconfig> = None;
    for path in files(flags) {
        let invalid = |cause: &dyn std::fmt::Display| Failure::Request { reason: cause.to_string() };
        let next = kubeconfig::read(&path).map_err(|e| invalid(&e))?;
        merged = Some(match merged {
            Some(first) => first.merge(next).map_err(|e| invalid(&e))?,
            None => next,
        });
    }
    Ok(merged.unwrap_or_default())
}

/// A file that was named by a flag must be there; others are left out when they are not.
pub(crate) fn files(flags: &Flags) -> Vec<PathBuf> {
    if let Some(path) = &flags.kubeconfig {
        return vec![path.clone()];
    }
    let there = |path: &PathBuf| path.is_file();
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        return std::env::split_paths(&list).filter(there).collect();
    }
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".kube").join("config"));
    let admin = flags.data_dir.join(ADMIN_KUBECONFIG);
    [Some(admin), home].into_iter().flatten().find(there).into_iter().collect()
}

fn override_by(flags: &Flags, config: &mut Kubeconfig) -> Result {
    if let Some(name) = &flags.context {
        if !config.contexts.iter().any(|c| c.name == *name) {
            return refuse(format!("context {name:?} does not exist"));
        }
        config.current_context = Some(name.clone());
    }
    let mut context = config
        .contexts
        .iter()
        .find(|c| Some(&c.name) == config.current_context.as_ref())
        .and_then(|c| c.context.clone())
        .unwrap_or_default();
    if let Some(name) = &flags.cluster {
        if !config.clusters.iter().any(|c| c.name == *name) {
            return refuse(format!("cluster {name:?} does not exist"));
        }
        context.cluster.clone_from(name);
    }
    if let Some(name) = &flags.user {
        if !config.auth_infos.iter().any(|a| a.name == *name) {
            return refuse(format!("auth info {name:?} does not exist"));
        }
        context.user = Some(name.clone());
    }
    let mut cluster = config.clusters.iter().find(|c| c.name == context.cluster).and_then(|c| c.cluster.clone());
    if let Some(server) = &flags.server {
        let server = if server.contains("://") { server.clone() } else { format!("http://{server}") };
        cluster.get_or_insert_default().server = Some(server);
    }
    if let Some(cluster) = &mut cluster {
        if let Some(path) = &flags.certificate_authority {
            cluster.certificate_authority = Some(path.display().to_string());
            cluster.certificate_authority_data = None;
        }
        if flags.insecure_skip_tls_verify {
            cluster.insecure_skip_tls_verify = Some(true);
            cluster.certificate_authority = None;
            cluster.certificate_authority_data = None;
        }
    }
    let user = context.user.clone().unwrap_or_default();
    let mut auth = config.auth_infos.iter().find(|a| a.name == user).and_then(|a| a.auth_info.clone());
    if let Some(token) = &flags.token {
        let auth = auth.get_or_insert_default();
        auth.token = Some(token.clone().into());
        auth.token_file = None;
    }
    if let Some(user) = &flags.impersonate {
        let auth = auth.get_or_insert_default();
        auth.impersonate = Some(user.clone());
        auth.impersonate_groups = Some(flags.impersonate_groups.clone()).filter(|g| !g.is_empty());
    }
    context.cluster = OVERRIDE.to_owned();
    context.user = Some(OVERRIDE.to_owned());
    config.clusters.push(NamedCluster { name: OVERRIDE.to_owned(), cluster, ..NamedCluster::default() });
    let auth_info = Some(auth.unwrap_or_default());
    config.auth_infos.push(NamedAuthInfo { name: OVERRIDE.to_owned(), auth_info, ..NamedAuthInfo::default() });
    let named = kubeconfig::NamedContext {
        name: OVERRIDE.to_owned(),
        context: Some(context),
        ..kubeconfig::NamedContext::default()
    };
    config.contexts.push(named);
    config.current_context = Some(OVERRIDE.to_owned());
    Ok(())
}
