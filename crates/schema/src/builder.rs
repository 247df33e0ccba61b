//! Builds a [`Table`]: the one from the generated text, and those of custom resources at run time.

use crate::{
    shape::{ListType, MapType, PatchStrategy, Shape},
    table::{DefinitionData, FieldData, KindData, NONE, NodeData, Range, Span, Table},
    word_map::{WordMap, hash},
};

/// A node of the table under construction; [`Table::at`] finds it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId(pub(crate) u32);

/// A definition of the table under construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefinitionId(u32);

/// How a type is used in one place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'s> {
    pub list_type: ListType,
    pub list_map_keys: &'s [&'s str],
    pub map_type: MapType,
    pub patch: PatchStrategy,
    pub patch_merge_key: &'s str,
    pub enumeration: &'s [&'s str],
}

/// Whether a field can be absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    pub required: bool,
    /// An object that upstream writes even when it is empty.
    pub value: bool,
    /// Upstream leaves the field out when it is empty or zero.
    pub omit: bool,
}

#[derive(Default)]
struct Pending {
    name: Span,
    node: Option<NodeId>,
    fields: Vec<FieldData>,
    kinds: Vec<(Span, Span, Span)>,
}

/// Definitions may be referred to before they are described; those never described are objects without fields.
#[derive(Default)]
pub struct TableBuilder {
    text: String,
    /// By hash; words of one hash take the next free number.
    spans: WordMap<u64, Span>,
    nodes: Vec<NodeData>,
    known: WordMap<NodeData, NodeId>,
    words: Vec<Span>,
    lists: WordMap<Vec<Span>, Range>,
    definitions: Vec<Pending>,
    by_name: WordMap<Span, DefinitionId>,
    zero_key_defaults: bool,
}

impl TableBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// The definition of this name, new if it was not named before.
    pub fn define(&mut self, name: &str) -> DefinitionId {
        let name = self.intern(name);
        if let Some(&id) = self.by_name.get(&name) {
            return id;
        }
        let id = DefinitionId(self.definitions.len() as u32);
        self.definitions.push(Pending { name, ..Pending::default() });
        self.by_name.insert(name, id);
        id
    }

    /// Makes the definition a named scalar (or any JSON) instead of an object.
    pub fn define_as(&mut self, definition: DefinitionId, shape: Shape) {
        let node = self.named(shape, definition, Attributes::default());
        self.definitions[definition.0 as usize].node = Some(node);
    }

    /// How the definition merges where a use of it does not say.
    pub fn define_map_type(&mut self, definition: DefinitionId, map_type: MapType) {
        let node = self.named(Shape::Object, definition, Attributes { map_type, ..Attributes::default() });
        self.definitions[definition.0 as usize].node = Some(node);
    }

    pub fn kind(&mut self, definition: DefinitionId, group: &str, version: &str, kind: &str) {
        let spans = (self.intern(group), self.intern(version), self.intern(kind));
        self.definitions[definition.0 as usize].kinds.push(spans);
    }

    pub fn field(&mut self, definition: DefinitionId, name: &str, node: NodeId, presence: Presence) {
        let name = self.intern(name);
        self.definitions[definition.0 as usize].fields.push(FieldData { name, node: node.0, presence });
    }

    /// Required keys of associative lists are empty or zero when left out, as in upstream's types.
    pub fn zero_key_defaults(&mut self) {
        self.zero_key_defaults = true;
    }

    pub fn scalar(&mut self, shape: Shape, attributes: Attributes<'_>) -> NodeId {
        self.node(shape, NONE, attributes)
    }

    pub fn list(&mut self, items: NodeId, attributes: Attributes<'_>) -> NodeId {
        self.node(Shape::List, items.0, attributes)
    }

    pub fn map(&mut self, values: NodeId, attributes: Attributes<'_>) -> NodeId {
        self.node(Shape::Map, values.0, attributes)
    }

    /// A use of a definition. `shape` is `Object` unless the definition is a named scalar.
    pub fn named(&mut self, shape: Shape, definition: DefinitionId, attributes: Attributes<'_>) -> NodeId {
        self.node(shape, definition.0, attributes)
    }

    /// Sorts everything for lookup. Ids of nodes stay valid.
    pub fn build(mut self) -> Table {
        for index in 0..self.definitions.len() {
            if self.definitions[index].node.is_none() {
                let node = self.named(Shape::Object, DefinitionId(index as u32), Attributes::default());
                self.definitions[index].node = Some(node);
            }
        }
        let order = self.sorted_definitions();
        let mut place = vec![0; order.len()];
        for (new, &old) in order.iter().enumerate() {
            place[old] = new as u32;
        }
        for node in &mut self.nodes {
            if !matches!(node.shape, Shape::List | Shape::Map) && node.target != NONE {
                node.target = place[node.target as usize];
            }
        }
        self.laid_out(&order)
    }

    fn sorted_definitions(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.definitions.len()).collect();
        order.sort_by_key(|&index| self.str(self.definitions[index].name));
        order
    }

    fn laid_out(mut self, order: &[usize]) -> Table {
        let mut definitions = Vec::with_capacity(order.len());
        let mut fields = Vec::new();
        let mut kinds = Vec::new();
        for (index, &old) in order.iter().enumerate() {
            let mut pending = std::mem::take(&mut self.definitions[old]);
            pending.fields.sort_by_key(|f| self.str(f.name));
            let (first_field, first_kind) = (fields.len() as u32, kinds.len() as u32);
            fields.append(&mut pending.fields);
            let definition = index as u32;
            kinds.extend(pending.kinds.iter().map(|&(group, version, kind)| KindData {
                group,
                version,
                kind,
                definition,
            }));
            definitions.push(DefinitionData {
                name: pending.name,
                fields: Range { start: first_field, end: fields.len() as u32 },
                node: pending.node.map_or(NONE, |n| n.0),
                kinds: Range { start: first_kind, end: kinds.len() as u32 },
            });
        }
        let mut kinds_sorted: Vec<u32> = (0..kinds.len() as u32).collect();
        kinds_sorted.sort_by_key(|&index| {
            let k: &KindData = &kinds[index as usize];
            (self.str(k.group), self.str(k.version), self.str(k.kind))
        });
        Table {
            text: self.text.into(),
            nodes: self.nodes.into(),
            fields: fields.into(),
            definitions: definitions.into(),
            words: self.words.into(),
            kinds: kinds.into(),
            kinds_sorted: kinds_sorted.into(),
            zero_key_defaults: self.zero_key_defaults,
        }
    }

    fn node(&mut self, shape: Shape, target: u32, attributes: Attributes<'_>) -> NodeId {
        let data = NodeData {
            shape,
            list_type: attributes.list_type,
            map_type: attributes.map_type,
            patch: attributes.patch,
            merge_key: self.intern(attributes.patch_merge_key),
            list_map_keys: self.words_of(attributes.list_map_keys),
            values: self.words_of(attributes.enumeration),
            target,
        };
        if let Some(&known) = self.known.get(&data) {
            return known;
        }
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(data);
        self.known.insert(data, id);
        id
    }

    fn words_of(&mut self, words: &[&str]) -> Range {
        if words.is_empty() {
            return Range::default();
        }
        let spans: Vec<Span> = words.iter().map(|word| self.intern(word)).collect();
        if let Some(&range) = self.lists.get(&spans) {
            return range;
        }
        let start = self.words.len() as u32;
        self.words.extend(&spans);
        let range = Range { start, end: self.words.len() as u32 };
        self.lists.insert(spans, range);
        range
    }

    fn intern(&mut self, word: &str) -> Span {
        if word.is_empty() {
            return Span::default();
        }
        let mut number = hash(word);
        while let Some(&span) = self.spans.get(&number) {
            if self.str(span) == word {
                return span;
            }
            number = number.wrapping_add(1);
        }
        let span = Span { start: self.text.len() as u32, length: word.len() as u32 };
        self.text.push_str(word);
        self.spans.insert(number, span);
        span
    }

    fn str(&self, span: Span) -> &str {
        &self.text[span.start as usize..(span.start + span.length) as usize]
    }
}
