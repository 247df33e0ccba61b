//! Field selectors: `metadata.name=x,spec.nodeName!=y`. Which fields a resource offers is the resource's matter.

use std::fmt;

use crate::SelectorError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    pub field: String,
    pub equals: bool,
    pub value: String,
}

/// All requirements must hold; a field an object lacks reads as empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<FieldRequirement>);

impl FieldSelector {
    /// Reads the query form, in which `\`, `,` and `=` within values are escaped with a backslash.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for term in split_terms(text) {
            if term.is_empty() {
                continue;
            }
            let (field, equals, value) = split_operator(term)
                .ok_or_else(|| SelectorError(format!("invalid selector: '{text}'; can't understand '{term}'")))?;
            requirements.push(FieldRequirement { field: field.to_owned(), equals, value: unescape(value)? });
        }
        Ok(Self(requirements))
    }

    pub fn new(requirements: Vec<FieldRequirement>) -> Self {
        Self(requirements)
    }

    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.0
    }

    /// The value a field must have, where the selector asks for exactly one.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|r| r.equals && r.field == field).map(|r| r.value.as_str())
    }

    /// `get` looks a field up.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<std::borrow::Cow<'a, str>>) -> bool {
        self.0.iter().all(|r| (get(&r.field).unwrap_or_default() == r.value.as_str()) == r.equals)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms: Vec<String> = self
            .0
            .iter()
            .map(|r| {
                let operator = if r.equals { "=" } else { "!=" };
                let value = r.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
                format!("{}{operator}{value}", r.field)
            })
            .collect();
        f.write_str(&terms.join(","))
    }
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_operator(term: &str) -> Option<(&str, bool, &str)> {
    for (at, _) in term.char_indices() {
        let rest = &term[at..];
        for (operator, equals) in [("!=", false), ("==", true), ("=", true)] {
            if let Some(value) = rest.strip_prefix(operator) {
                return Some((&term[..at], equals, value));
            }
        }
    }
    None
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => text.push(c),
                Some(c) => {
                    return Err(SelectorError(format!("invalid field selector: invalid escape sequence: \\{c}")));
                }
                None => return Err(SelectorError("invalid field selector: invalid escape sequence: \\".to_owned())),
            },
            ',' | '=' => {
                return Err(SelectorError(format!("invalid field selector: unescaped character in value: {c}")));
            }
            c => text.push(c),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_and_prints() {
        let selector = FieldSelector::parse("metadata.name=a\\,b,spec.nodeName!=").expect("it is valid");
        assert_eq!(selector.exact("metadata.name"), Some("a,b"));
        assert_eq!(selector.to_string(), "metadata.name=a\\,b,spec.nodeName!=");
        let get = |field: &str| Some(if field == "metadata.name" { "a,b".into() } else { "n1".into() });
        assert!(selector.matches(get));
        assert!(!selector.matches(|_| None));
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for text in ["a", "a=b=c", "a=b\\c"] {
            assert!(FieldSelector::parse(text).is_err(), "{text}");
        }
    }
}
