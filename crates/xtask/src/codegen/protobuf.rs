//! The field numbers of Kubernetes' messages, from its `.proto` files, as one compact table.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::Context as _;

const HEADER: &str = "# Written by `cargo xtask codegen protobuf`. Do not edit.\n";
/// Groups whose requests come as protobuf from clients we serve. Betas are left out.
const PACKAGES: [&str; 3] = ["api", "apimachinery/pkg/apis/meta/v1", "apimachinery/pkg/runtime"];

/// A message: field numbers with name and, for messages, the type.
type Fields = BTreeMap<u32, (String, String)>;

pub(super) fn run(protos: &Path, output: &Path) -> anyhow::Result<()> {
    let mut messages = BTreeMap::new();
    for package in PACKAGES {
        visit(&protos.join(package), protos, &mut messages)?;
    }
    let mut text = HEADER.to_owned();
    for (message, fields) in &messages {
        writeln!(text, "{message}")?;
        for (number, (name, of)) in fields {
            let of = if messages.contains_key(of) { format!(" {of}") } else { String::new() };
            writeln!(text, "\t{number} {name}{of}")?;
        }
    }
    fs::write(output, text).with_context(|| format!("writing {}", output.display()))
}

fn visit(dir: &Path, root: &Path, messages: &mut BTreeMap<String, Fields>) -> anyhow::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(dir)
        .with_context(|| format!("reading {}", dir.display()))?
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            visit(&path, root, messages)?;
        } else if path.file_name().is_some_and(|name| name == "generated.proto") && is_stable(&path) {
            let text = fs::read_to_string(&path)?;
            let package = path.parent().and_then(|p| p.strip_prefix(root).ok()).context("a file outside its root")?;
            read(&text, &package.to_string_lossy().replace('/', "."), messages)?;
        }
    }
    Ok(())
}

fn is_stable(path: &Path) -> bool {
    !path.to_string_lossy().contains("alpha") && !path.to_string_lossy().contains("beta")
}

/// Upstream's generated files have one field or one brace a line and no nested messages.
fn read(text: &str, package: &str, messages: &mut BTreeMap<String, Fields>) -> anyhow::Result<()> {
    let mut current: Option<(String, Fields)> = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("message ") {
            let name = name.trim_end_matches('{').trim();
            current = Some((format!("{package}.{name}"), Fields::new()));
        } else if line == "}" {
            messages.extend(current.take());
        } else if let Some((_, fields)) = &mut current
            && let Some((declaration, number)) = line.split_once(" = ")
            && !line.starts_with("//")
        {
            let number = number.split([';', ' ']).next().unwrap_or_default();
            let number = number.parse().with_context(|| format!("field number in {line:?}"))?;
            let (of, name) = declaration.rsplit_once(' ').with_context(|| format!("field in {line:?}"))?;
            fields.insert(number, (name.to_owned(), type_name(of, package)));
        }
    }
    Ok(())
}

/// The full name of a field's type; of a map, that of its values.
fn type_name(of: &str, package: &str) -> String {
    let of = of.trim_start_matches("optional ").trim_start_matches("repeated ").trim_start_matches("required ");
    let of = match of.strip_prefix("map<") {
        Some(map) => map.trim_end_matches('>').split_once(',').map_or("", |(_, value)| value.trim()),
        None => of,
    };
    let of = of.trim_start_matches('.');
    let of = of.strip_prefix("k8s.io.").unwrap_or(of);
    if of.contains('.') { of.to_owned() } else { format!("{package}.{of}") }
}
