//! A set of paths, as the tree that `FieldsV1` writes: `{"f:spec":{"f:ports":{"k:{\"port\":80}":{".":{}}}}}`.
//!
//! A step with nothing below is a member; one with something below is a member too if it has the key `.`. The set is
//! that JSON itself, so reading and writing managed fields costs nothing.

use schema::{Node, Shape};
use serde_json::{Map, Value};
use thiserror::Error;

use super::path::{Element, Path};

const SELF: &str = ".";

/// Holds no step that leads to no member.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set(Map<String, Value>);

#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{key:?} is no path element")]
pub struct FieldsError {
    pub key: String,
}

/// Whether the step over these steps is a member itself.
fn is_member(below: &Map<String, Value>) -> bool {
    below.is_empty() || below.contains_key(SELF)
}

fn steps(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Map<String, Value>)> {
    map.iter().filter(|(step, _)| *step != SELF).filter_map(|(step, below)| Some((step, below.as_object()?)))
}

impl Set {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a step with what lies below it; a step that is no member and leads to none is not added.
    pub(super) fn put(&mut self, step: String, member: bool, below: Self) {
        if !member && below.is_empty() {
            return;
        }
        let mut below = below.0;
        if member && !below.is_empty() {
            below.insert(SELF.to_owned(), Value::Object(Map::new()));
        }
        self.0.insert(step, Value::Object(below));
    }

    pub fn insert(&mut self, path: &[Element]) {
        let Some((first, rest)) = path.split_first() else { return };
        let step = first.step();
        let (mut member, mut below) = self.take(&step);
        if rest.is_empty() {
            member = true;
        } else {
            below.insert(rest);
        }
        self.put(step, member, below);
    }

    pub fn contains(&self, path: &[Element]) -> bool {
        let mut map = &self.0;
        for element in path {
            match map.get(&element.step()).and_then(Value::as_object) {
                Some(below) => map = below,
                None => return false,
            }
        }
        !path.is_empty() && is_member(map)
    }

    pub(super) fn has(&self, step: &str) -> bool {
        self.0.get(step).and_then(Value::as_object).is_some_and(is_member)
    }

    /// What lies below a step, if anything does.
    pub(super) fn below(&self, step: &str) -> Option<Self> {
        let below = self.0.get(step)?.as_object()?;
        let set: Map<String, Value> =
            below.iter().filter(|(step, _)| *step != SELF).map(|(s, b)| (s.clone(), b.clone())).collect();
        (!set.is_empty()).then_some(Self(set))
    }

    /// Removes a step and gives it back in its parts.
    fn take(&mut self, step: &str) -> (bool, Self) {
        match self.0.remove(step) {
            Some(Value::Object(mut below)) => {
                let member = is_member(&below);
                below.remove(SELF);
                (member, Self(below))
            }
            _ => (false, Self::new()),
        }
    }

    /// Adds everything in the other set.
    pub(super) fn extend(&mut self, other: Self) {
        for (step, below) in other.0 {
            let Value::Object(mut below) = below else { continue };
            if !self.0.contains_key(&step) {
                self.0.insert(step, Value::Object(below));
                continue;
            }
            let member = is_member(&below);
            below.remove(SELF);
            let (ours, mut joined) = self.take(&step);
            joined.extend(Self(below));
            self.put(step, ours || member, joined);
        }
    }

    /// Takes out the paths of the other set; what lies below such a path stays. True if anything was taken.
    pub(super) fn subtract(&mut self, other: &Self) -> bool {
        subtract(&mut self.0, &other.0, false)
    }

    /// Takes out the paths of the other set and everything below them.
    pub(super) fn subtract_below(&mut self, other: &Self) {
        subtract(&mut self.0, &other.0, true);
    }

    pub fn union(mut self, other: Self) -> Self {
        self.extend(other);
        self
    }

    pub fn difference(mut self, other: &Self) -> Self {
        self.subtract(other);
        self
    }

    pub fn intersection(&self, other: &Self) -> Self {
        Self(intersection(&self.0, &other.0))
    }

    /// Every path, parents before what lies below them.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        collect(&self.0, &mut Vec::new(), &mut paths);
        paths
    }

    /// The same set with the objects' fields that lead to members as members too: owning `spec.a.b` comes to include
    /// `spec`, which is usually left out. Keys of maps are not added.
    pub(super) fn with_named_fields(mut self, node: Option<Node<'_>>) -> Self {
        add_named_fields(&mut self.0, node);
        self
    }

    pub(super) fn decode(fields: Value) -> Result<Self, FieldsError> {
        match fields {
            Value::Null => Ok(Self::new()),
            Value::Object(mut map) => {
                map.remove(SELF);
                check(&map)?;
                Ok(Self(map))
            }
            other => Err(FieldsError { key: other.to_string() }),
        }
    }

    pub(super) fn encode(self) -> Value {
        Value::Object(self.0)
    }
}

fn check(map: &Map<String, Value>) -> Result<(), FieldsError> {
    for (step, below) in map {
        let known = step == SELF || Element::parse(step).is_some();
        match below {
            Value::Object(below) if known => check(below)?,
            _ => return Err(FieldsError { key: step.clone() }),
        }
    }
    Ok(())
}

fn subtract(ours: &mut Map<String, Value>, theirs: &Map<String, Value>, all_below: bool) -> bool {
    let mut taken = false;
    for (step, their_below) in steps(theirs) {
        let Some(Value::Object(below)) = ours.get_mut(step) else { continue };
        let their_member = is_member(their_below);
        if their_member && (all_below || below.is_empty()) {
            ours.remove(step);
            taken = true;
            continue;
        }
        let mut member = is_member(below);
        if below.is_empty() {
            continue;
        }
        below.remove(SELF);
        if member && their_member {
            member = false;
            taken = true;
        }
        taken |= subtract(below, their_below, all_below);
        match (member, below.is_empty()) {
            (false, true) => drop(ours.remove(step)),
            (true, false) => drop(below.insert(SELF.to_owned(), Value::Object(Map::new()))),
            _ => {}
        }
    }
    taken
}

fn intersection(a: &Map<String, Value>, b: &Map<String, Value>) -> Map<String, Value> {
    let mut both = Set::new();
    for (step, below) in steps(a) {
        if let Some(Value::Object(other)) = b.get(step) {
            let member = is_member(below) && is_member(other);
            both.put(step.clone(), member, Set(intersection(below, other)));
        }
    }
    both.0
}

fn collect(map: &Map<String, Value>, prefix: &mut Path, paths: &mut Vec<Path>) {
    for (step, below) in steps(map) {
        let Some(element) = Element::parse(step) else { continue };
        prefix.push(element);
        if is_member(below) {
            paths.push(prefix.clone());
        }
        collect(below, prefix, paths);
        prefix.pop();
    }
}

fn add_named_fields(map: &mut Map<String, Value>, node: Option<Node<'_>>) {
    for (step, below) in map {
        let Value::Object(below) = below else { continue };
        if below.is_empty() || step == SELF {
            continue;
        }
        let name = step.strip_prefix("f:");
        let declared = name.and_then(|name| node?.field(name));
        let child = match (declared, name) {
            (Some(field), _) => Some(field),
            (None, Some(_)) => node.filter(|n| n.shape() == Shape::Map).and_then(Node::values),
            (None, None) => node.and_then(Node::items),
        };
        add_named_fields(below, child);
        if declared.is_some() {
            below.entry(SELF).or_insert_with(|| Value::Object(Map::new()));
        }
    }
}

impl FromIterator<Path> for Set {
    fn from_iter<I: IntoIterator<Item = Path>>(paths: I) -> Self {
        let mut set = Self::new();
        for path in paths {
            set.insert(&path);
        }
        set
    }
}
