//! A set of paths, as a tree. A path that leads on to others may itself be a member or not.

use std::collections::{BTreeMap, BTreeSet};

use schema::{Node, Shape};

use super::path::{Element, Path};

#[derive(Clone, Debug, Default)]
pub struct Set {
    pub(super) members: BTreeSet<Element>,
    pub(super) children: BTreeMap<Element, Set>,
}

/// Subtrees without members do not count.
impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.difference(other).is_empty() && other.difference(self).is_empty()
    }
}

impl Set {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn insert(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    pub fn contains(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self.children.get(first).is_some_and(|child| child.contains(rest)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    /// What lies below a step.
    pub fn below(&self, step: &Element) -> Option<&Self> {
        self.children.get(step).filter(|child| !child.is_empty())
    }

    pub fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.members.extend(other.members.iter().cloned());
        for (step, child) in &other.children {
            let joined = match union.children.get(step) {
                Some(ours) => ours.union(child),
                None => child.clone(),
            };
            union.children.insert(step.clone(), joined);
        }
        union
    }

    pub fn intersection(&self, other: &Self) -> Self {
        let children = self.children.iter().filter_map(|(step, child)| {
            let both = child.intersection(other.children.get(step)?);
            (!both.is_empty()).then(|| (step.clone(), both))
        });
        Self { members: self.members.intersection(&other.members).cloned().collect(), children: children.collect() }
    }

    /// Without the paths of the other set; what lies below such a path stays.
    pub fn difference(&self, other: &Self) -> Self {
        self.without(other, false)
    }

    /// Without the paths of the other set and everything below them.
    pub fn difference_below(&self, other: &Self) -> Self {
        self.without(other, true)
    }

    fn without(&self, other: &Self, below: bool) -> Self {
        let children = self.children.iter().filter_map(|(step, child)| {
            if below && other.members.contains(step) {
                return None;
            }
            let left = match other.children.get(step) {
                Some(theirs) => child.without(theirs, below),
                None => child.clone(),
            };
            (!left.is_empty()).then(|| (step.clone(), left))
        });
        Self { members: self.members.difference(&other.members).cloned().collect(), children: children.collect() }
    }

    /// Every path, members of a level before what lies below it.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, prefix: &mut Path, paths: &mut Vec<Path>) {
        for member in &self.members {
            let mut path = prefix.clone();
            path.push(member.clone());
            paths.push(path);
        }
        for (step, child) in &self.children {
            prefix.push(step.clone());
            child.collect(prefix, paths);
            prefix.pop();
        }
    }

    /// The same set with the objects' fields that lead to members as members too: owning `spec.a.b` comes to include
    /// `spec`, which is usually left out. Keys of maps are not added.
    pub(super) fn with_named_fields(&self, node: Option<Node<'_>>) -> Self {
        let mut members = self.members.clone();
        let mut children = BTreeMap::new();
        for (step, child) in &self.children {
            let below = node.and_then(|n| match step {
                Element::Field(name) if n.shape() == Shape::Object => n.field(name),
                Element::Field(_) => n.values(),
                _ => n.items(),
            });
            if let (Element::Field(name), Some(node)) = (step, node)
                && node.field(name).is_some()
            {
                members.insert(step.clone());
            }
            children.insert(step.clone(), child.with_named_fields(below));
        }
        Self { members, children }
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
