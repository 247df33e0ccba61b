//! The descriptions of the schema table's definitions and fields, compressed, as `schema::descriptions` reads them.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    path::Path,
};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde_json::Value;

pub(super) fn run(input: &Path, output: &Path) -> Result<()> {
    let document: Value = serde_json::from_slice(&fs::read(input).with_context(|| input.display().to_string())?)?;
    let definitions = super::schema::definitions(&document)?;
    let definitions: BTreeMap<_, _> = definitions.iter().collect();
    let describe = |value: &Value| schema::escaped(value["description"].as_str().unwrap_or_default());
    let mut text = String::new();
    for (name, definition) in definitions {
        writeln!(text, "{name}\t{}", describe(definition))?;
        let fields: BTreeMap<_, _> = definition["properties"].as_object().into_iter().flatten().collect();
        for (field, property) in fields {
            writeln!(text, "\t{field}\t{}", describe(property))?;
        }
    }
    let file = File::create(output).with_context(|| output.display().to_string())?;
    // No name and no time in it: the same input gives the same bytes.
    let mut compressed = GzBuilder::new().mtime(0).write(file, Compression::best());
    std::io::Write::write_all(&mut compressed, text.as_bytes())?;
    compressed.finish()?;
    Ok(())
}
