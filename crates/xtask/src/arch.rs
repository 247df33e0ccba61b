//! The arrows between crates: `architecture.toml` says who may use whom, `cargo metadata` who does.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use cargo_metadata::{DependencyKind, MetadataCommand, Package, PackageId};
use serde::Deserialize;

/// Crates that bring a clock, sockets or threads; no pure crate may have one in its tree.
const IMPURE: [&str; 4] = ["tokio", "mio", "hyper", "socket2"];

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Architecture {
    /// Crate to the workspace crates it may use.
    may_use: BTreeMap<String, BTreeSet<String>>,
    /// Crates that compute and do nothing else.
    pure: BTreeSet<String>,
}

pub(crate) fn check() -> anyhow::Result<()> {
    let text = std::fs::read_to_string("architecture.toml").context("read architecture.toml")?;
    let architecture: Architecture = toml::from_str(&text).context("read architecture.toml")?;
    let metadata = MetadataCommand::new().exec().context("run cargo metadata")?;
    let members: BTreeMap<&str, &Package> =
        metadata.workspace_packages().into_iter().map(|p| (p.name.as_str(), p)).collect();

    let mut wrong = Vec::new();
    for (name, package) in &members {
        let Some(allowed) = architecture.may_use.get(*name) else {
            wrong.push(format!("{name} does not stand in architecture.toml"));
            continue;
        };
        let used = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
        for dependency in used.filter(|d| members.contains_key(d.name.as_str())) {
            if !allowed.contains(&dependency.name) {
                wrong.push(format!("{name} uses {}, which architecture.toml does not allow", dependency.name));
            }
        }
    }
    wrong.extend(
        architecture.may_use.keys().filter(|n| !members.contains_key(n.as_str())).map(|n| format!("{n} is no crate")),
    );
    wrong.extend(impurities(&metadata, &architecture.pure));
    if !wrong.is_empty() {
        bail!("the architecture does not hold:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

fn impurities(metadata: &cargo_metadata::Metadata, pure: &BTreeSet<String>) -> Vec<String> {
    let Some(resolve) = &metadata.resolve else { return vec!["cargo metadata resolved nothing".to_owned()] };
    let names: BTreeMap<&PackageId, &str> = metadata.packages.iter().map(|p| (&p.id, p.name.as_str())).collect();
    let uses: BTreeMap<&PackageId, Vec<&PackageId>> = resolve
        .nodes
        .iter()
        .map(|node| {
            let normal = node
                .deps
                .iter()
                .filter(|d| d.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal))
                .map(|d| &d.pkg)
                .collect();
            (&node.id, normal)
        })
        .collect();
    let mut wrong = Vec::new();
    for root in metadata.workspace_packages().into_iter().filter(|p| pure.contains(p.name.as_str())) {
        let (mut open, mut seen) = (vec![&root.id], BTreeSet::new());
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(uses.get(id).into_iter().flatten());
            }
        }
        for name in seen.iter().filter_map(|id| names.get(*id)).filter(|n| IMPURE.contains(*n)) {
            wrong.push(format!("{} must be pure and has {name} in its tree", root.name));
        }
    }
    wrong
}
