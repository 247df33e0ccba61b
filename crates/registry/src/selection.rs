//! Which objects a list or a watch is about: by label, by field, by name. Asked of encoded bytes, which are parsed
//! only for fields that no plain text can answer.

use std::borrow::Cow;

use apimachinery::{FieldSelector, LabelSelector, Object, Status};

use crate::{Facts, ListOptions, RequestContext, Resource, form, header::Header, header::text_at};

const NAME: &str = "metadata.name";
const NAMESPACE: &str = "metadata.namespace";

/// Parsed selectors of a request.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
    /// The one name asked for, in the URL or by a field selector.
    pub(crate) name: Option<String>,
}

impl Selection {
    pub(crate) fn parse(facts: &Facts, cx: &RequestContext, options: &ListOptions) -> Result<Self, Status> {
        let labels = LabelSelector::parse(&options.label_selector).map_err(|e| Status::bad_request(e.to_string()))?;
        let fields = FieldSelector::parse(&options.field_selector).map_err(|e| Status::bad_request(e.to_string()))?;
        for requirement in fields.requirements() {
            check_field(facts, &requirement.field)?;
        }
        let name = match cx.name.as_str() {
            "" => fields.exact(NAME).map(str::to_owned),
            name => Some(name.to_owned()),
        };
        Ok(Self { labels, fields, name })
    }

    /// Whether it is about every object of the collection.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything() && self.name.is_none()
    }

    pub(crate) fn matches(&self, resource: &dyn Resource, bytes: &[u8]) -> bool {
        // A failed read is no empty one: whoever might have met the object is told.
        if self.is_everything() || form::why_unreadable(bytes).is_some() {
            return true;
        }
        let header = Header::read(bytes);
        if self.name.as_ref().is_some_and(|name| *name != header.name) || !self.labels.matches(|key| header.label(key))
        {
            return false;
        }
        let mut tree: Option<Object> = None;
        self.fields.requirements().iter().all(|requirement| {
            let value = match requirement.field.as_str() {
                NAME => header.name.clone(),
                NAMESPACE => header.namespace.clone(),
                field => match plain(resource, bytes, field) {
                    Some(text) => text,
                    None => {
                        let tree = tree.get_or_insert_with(|| parse(resource, bytes));
                        Cow::Owned(resource.field(tree, field).unwrap_or_default())
                    }
                },
            };
            (value == requirement.value.as_str()) == requirement.equals
        })
    }
}

/// A field that stands in the bytes as the text that it means.
fn plain<'a>(resource: &dyn Resource, bytes: &'a [u8], field: &str) -> Option<Cow<'a, str>> {
    if resource.facts().converts() { None } else { text_at(bytes, field) }
}

fn parse(resource: &dyn Resource, bytes: &[u8]) -> Object {
    crate::decode::stored(resource, bytes).unwrap_or_default()
}

fn check_field(facts: &Facts, field: &str) -> Result<(), Status> {
    if matches!(field, NAME | NAMESPACE) || facts.selectable.iter().any(|known| known == field) {
        return Ok(());
    }
    Err(Status::bad_request(if facts.selectable.is_empty() {
        let quoted = apimachinery::field::quote(field);
        format!("{quoted} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {field}")
    }))
}
