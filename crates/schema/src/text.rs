//! The text form of a table, as `cargo xtask codegen schema` writes it: reviewable in a diff, read in a millisecond.
//!
//! ```text
//! io.k8s.api.core.v1.Container                    a definition, then its words
//! <tab>ports []&io.k8s.api.core.v1.ContainerPort list=map:containerPort,protocol patch=merge key=containerPort
//! ```
//!
//! Types: `s i32 i64 f b bytes q ios t mt any`, `[]T`, `{}T`, `&definition`. Words: `required`, `value`, `omit`, `list=`, `map=`,
//! `patch=`, `key=`, `enum=` on fields; `kind=group/version/Kind`, `map=`, `as=TYPE` on definitions.

use thiserror::Error;

use crate::{
    builder::{Attributes, DefinitionId, NodeId, Presence, TableBuilder},
    shape::{ListType, MapType, PatchStrategy, Shape},
    table::Table,
    word_map::WordMap,
};

#[derive(Debug, Error)]
#[error("line {line}: unknown word {word:?}")]
pub struct TextError {
    pub line: usize,
    pub word: String,
}

/// Reads the text form. Scalars must be defined (`as=`) before they are used; objects may come later.
pub fn parse(text: &str) -> Result<Table, TextError> {
    let mut reader = Reader::default();
    reader.builder.zero_key_defaults();
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        reader.line(line).map_err(|word| TextError { line: index + 1, word: word.to_owned() })?;
    }
    Ok(reader.builder.build())
}

#[derive(Default)]
struct Reader<'t> {
    builder: TableBuilder,
    current: Option<DefinitionId>,
    scalars: WordMap<&'t str, Shape>,
    map_types: WordMap<&'t str, MapType>,
}

impl<'t> Reader<'t> {
    fn line(&mut self, line: &'t str) -> Result<(), &'t str> {
        match line.strip_prefix('\t') {
            Some(field) => self.field(field),
            None => self.definition(line),
        }
    }

    fn definition(&mut self, line: &'t str) -> Result<(), &'t str> {
        let mut words = line.split(' ');
        let name = words.next().ok_or(line)?;
        let id = self.builder.define(name);
        self.current = Some(id);
        for word in words {
            match word.split_once('=') {
                Some(("kind", kind)) => {
                    let mut parts = kind.splitn(3, '/');
                    let (Some(group), Some(version), Some(kind)) = (parts.next(), parts.next(), parts.next()) else {
                        return Err(word);
                    };
                    self.builder.kind(id, group, version, kind);
                }
                Some(("map", _)) => {
                    let map_type = map_type(word)?;
                    self.map_types.insert(name, map_type);
                    self.builder.define_map_type(id, map_type);
                }
                Some(("as", shape)) => {
                    let shape = scalar(shape).ok_or(word)?;
                    self.scalars.insert(name, shape);
                    self.builder.define_as(id, shape);
                }
                _ => return Err(word),
            }
        }
        Ok(())
    }

    fn field(&mut self, line: &'t str) -> Result<(), &'t str> {
        let definition = self.current.ok_or(line)?;
        let mut words = line.split(' ');
        let (Some(name), Some(of)) = (words.next(), words.next()) else { return Err(line) };
        let mut keys = Vec::new();
        let mut values = Vec::new();
        let mut attributes = Attributes::default();
        let mut presence = Presence::default();
        if let Some(map_type) = of.strip_prefix('&').and_then(|name| self.map_types.get(name)) {
            attributes.map_type = *map_type;
        }
        for word in words {
            match word.split_once('=') {
                None if word == "required" => presence.required = true,
                None if word == "value" => presence.value = true,
                None if word == "omit" => presence.omit = true,
                Some(("list", "set")) => attributes.list_type = ListType::Set,
                Some(("list", "atomic")) => attributes.list_type = ListType::Atomic,
                Some(("list", map)) => {
                    attributes.list_type = ListType::Map;
                    keys = map.strip_prefix("map:").ok_or(word)?.split(',').collect();
                }
                Some(("map", _)) => attributes.map_type = map_type(word)?,
                Some(("patch", strategies)) => attributes.patch = patch_strategy(strategies).ok_or(word)?,
                Some(("key", key)) => attributes.patch_merge_key = key,
                Some(("enum", all)) => values = all.split('|').collect(),
                _ => return Err(word),
            }
        }
        attributes.list_map_keys = &keys;
        attributes.enumeration = &values;
        let node = self.node(of, attributes)?;
        self.builder.field(definition, name, node, presence);
        Ok(())
    }

    fn node(&mut self, of: &'t str, attributes: Attributes<'_>) -> Result<NodeId, &'t str> {
        let inner = |reader: &Self, of: &'t str| Attributes {
            map_type: of.strip_prefix('&').and_then(|name| reader.map_types.get(name).copied()).unwrap_or_default(),
            ..Attributes::default()
        };
        if let Some(items) = of.strip_prefix("[]") {
            let items = self.node(items, inner(self, items))?;
            return Ok(self.builder.list(items, attributes));
        }
        if let Some(values) = of.strip_prefix("{}") {
            let values = self.node(values, inner(self, values))?;
            return Ok(self.builder.map(values, attributes));
        }
        if let Some(name) = of.strip_prefix('&') {
            let shape = self.scalars.get(name).copied().unwrap_or(Shape::Object);
            let definition = self.builder.define(name);
            return Ok(self.builder.named(shape, definition, attributes));
        }
        let shape = scalar(of).ok_or(of)?;
        Ok(self.builder.scalar(shape, attributes))
    }
}

fn scalar(word: &str) -> Option<Shape> {
    Some(match word {
        "s" => Shape::String,
        "i32" => Shape::Integer32,
        "i64" => Shape::Integer64,
        "f" => Shape::Number,
        "b" => Shape::Boolean,
        "bytes" => Shape::Bytes,
        "q" => Shape::Quantity,
        "ios" => Shape::IntOrString,
        "t" => Shape::Time,
        "mt" => Shape::MicroTime,
        "any" => Shape::Any,
        _ => return None,
    })
}

fn map_type(word: &str) -> Result<MapType, &str> {
    match word {
        "map=atomic" => Ok(MapType::Atomic),
        "map=granular" => Ok(MapType::Granular),
        _ => Err(word),
    }
}

fn patch_strategy(words: &str) -> Option<PatchStrategy> {
    let mut strategy = PatchStrategy::default();
    for word in words.split(',') {
        match word {
            "merge" => strategy.merge = true,
            "replace" => strategy.replace = true,
            "retainKeys" => strategy.retain_keys = true,
            _ => return None,
        }
    }
    Some(strategy)
}
