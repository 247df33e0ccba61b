//! Label selectors: parsed from query strings (`a=b,c in (d,e),!f`) and from `LabelSelector` objects.

use std::fmt;

use serde_json::Value;

use crate::{
    field::{Error, ErrorList, Path},
    validation,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    In,
    NotIn,
    Equals,
    NotEquals,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: Vec<String>,
}

/// All requirements must hold. Without requirements everything matches; [`LabelSelector::nothing`] matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError(pub String);

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SelectorError {}

impl Requirement {
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        let value = get(&self.key);
        match self.operator {
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::In | Operator::Equals => value.is_some_and(|v| self.values.iter().any(|w| w == v)),
            Operator::NotIn | Operator::NotEquals => value.is_none_or(|v| self.values.iter().all(|w| w != v)),
            Operator::GreaterThan | Operator::LessThan => {
                let Some(actual) = value.and_then(|v| v.parse::<i64>().ok()) else { return false };
                let Some(bound) = self.values.first().and_then(|v| v.parse::<i64>().ok()) else { return false };
                if self.operator == Operator::GreaterThan { actual > bound } else { actual < bound }
            }
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let mut values = self.values.clone();
        values.sort();
        match self.operator {
            Operator::Exists => write!(f, "{key}"),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Equals => write!(f, "{key}={}", values.join(",")),
            Operator::NotEquals => write!(f, "{key}!={}", values.join(",")),
            Operator::In => write!(f, "{key} in ({})", values.join(",")),
            Operator::NotIn => write!(f, "{key} notin ({})", values.join(",")),
            Operator::GreaterThan => write!(f, "{key}>{}", values.join(",")),
            Operator::LessThan => write!(f, "{key}<{}", values.join(",")),
        }
    }
}

impl LabelSelector {
    pub fn everything() -> Self {
        Self::default()
    }

    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    pub fn new(requirements: Vec<Requirement>) -> Self {
        Self { requirements, nothing: false }
    }

    /// Every given label must have the given value.
    pub fn from_map<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let requirement = |(key, value): (&str, &str)| Requirement {
            key: key.to_owned(),
            operator: Operator::In,
            values: vec![value.to_owned()],
        };
        Self::new(labels.into_iter().map(requirement).collect())
    }

    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// `get` looks a label up.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(&get))
    }

    /// Reads the query form. An empty text selects everything.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        Parser { tokens: tokens(text), at: 0 }.selector().map(Self::new)
    }

    /// Reads a `LabelSelector` object: absent selects nothing, empty selects everything.
    pub fn from_object(selector: Option<&Value>) -> Result<Self, ErrorList> {
        let Some(selector) = selector.filter(|s| !s.is_null()) else { return Ok(Self::nothing()) };
        let mut requirements = Vec::new();
        let mut errors = ErrorList::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            requirements.push(Requirement {
                key: key.clone(),
                operator: Operator::Equals,
                values: vec![value.as_str().unwrap_or_default().to_owned()],
            });
        }
        let path = Path::new("matchExpressions");
        let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
        for (index, expression) in expressions.enumerate() {
            match requirement_from_expression(expression, &path.index(index)) {
                Ok(requirement) => requirements.push(requirement),
                Err(error) => errors.push(error),
            }
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        if errors.is_empty() { Ok(Self::new(requirements)) } else { Err(errors) }
    }
}

fn requirement_from_expression(expression: &Value, path: &Path) -> Result<Requirement, Error> {
    let text = |name: &str| expression.get(name).and_then(Value::as_str).unwrap_or_default();
    let values: Vec<String> = expression
        .get("values")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect();
    let operator = match text("operator") {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => return Err(Error::invalid(&path.child("operator"), other, "not a valid selector operator")),
    };
    Ok(Requirement { key: text("key").to_owned(), operator, values })
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.requirements.iter().map(Requirement::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Symbol(&'static str),
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Symbol(symbol) => symbol,
        }
    }
}

/// Longer symbols first: `==` before `=`.
const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) {
            tokens.push(Token::Symbol(symbol));
            rest = rest[symbol.len()..].trim_start();
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "=!(),><".contains(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = rest[end..].trim_start();
        }
    }
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn found(token: Option<&Token>) -> &str {
        token.map(Token::text).unwrap_or_default()
    }

    fn selector(&mut self) -> Result<Vec<Requirement>, SelectorError> {
        let mut requirements = Vec::new();
        if self.peek().is_none() {
            return Ok(requirements);
        }
        loop {
            requirements.push(self.requirement()?);
            match self.next() {
                None => return Ok(requirements),
                Some(Token::Symbol(",")) => match self.peek() {
                    Some(Token::Word(_) | Token::Symbol("!")) => {}
                    other => {
                        let found = Self::found(other);
                        return Err(SelectorError(format!("found '{found}', expected: identifier after ','")));
                    }
                },
                Some(other) => {
                    return Err(SelectorError(format!("found '{}', expected: ',' or 'end of string'", other.text())));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let unparsed = |why: String| SelectorError(format!("unable to parse requirement: {why}"));
        let negated = self.peek() == Some(&Token::Symbol("!"));
        if negated {
            self.at += 1;
        }
        let key = match self.next() {
            Some(Token::Word(key)) => key,
            other => return Err(unparsed(format!("found '{}', expected: identifier", Self::found(other.as_ref())))),
        };
        let errors = validation::qualified_name(&key);
        if !errors.is_empty() {
            let detail = errors.join("; ");
            // Upstream names no path here, and prints that as Go prints nothing.
            return Err(unparsed(Error::invalid(&Path::new("<nil>"), key, detail).to_string()));
        }
        if negated {
            return Ok(Requirement { key, operator: Operator::DoesNotExist, values: Vec::new() });
        }
        let operator = match self.peek() {
            None | Some(Token::Symbol(",")) => {
                return Ok(Requirement { key, operator: Operator::Exists, values: Vec::new() });
            }
            Some(Token::Symbol("=" | "==")) => Operator::Equals,
            Some(Token::Symbol("!=")) => Operator::NotEquals,
            Some(Token::Symbol(">")) => Operator::GreaterThan,
            Some(Token::Symbol("<")) => Operator::LessThan,
            Some(Token::Word(word)) if word == "in" => Operator::In,
            Some(Token::Word(word)) if word == "notin" => Operator::NotIn,
            other => {
                let found = Self::found(other);
                return Err(unparsed(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt")));
            }
        };
        self.at += 1;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values().map_err(unparsed)?,
            _ => vec![self.exact_value().map_err(unparsed)?],
        };
        check_values(&key, operator, &values).map_err(unparsed)?;
        Ok(Requirement { key, operator, values })
    }

    fn exact_value(&mut self) -> Result<String, String> {
        match self.peek() {
            None | Some(Token::Symbol(",")) => Ok(String::new()),
            Some(Token::Word(_)) => match self.next() {
                Some(Token::Word(word)) => Ok(word),
                _ => unreachable!("a word was just seen"),
            },
            other => Err(format!("found '{}', expected: identifier", Self::found(other))),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.next() {
            Some(Token::Symbol("(")) => {}
            other => return Err(format!("found '{}' expected: '('", Self::found(other.as_ref()))),
        }
        let mut values = Vec::new();
        loop {
            values.push(match self.peek() {
                Some(Token::Symbol("," | ")")) => String::new(),
                Some(Token::Word(_)) => self.exact_value()?,
                other => return Err(format!("found '{}', expected: ',', ')' or identifier", Self::found(other))),
            });
            match self.next() {
                Some(Token::Symbol(",")) => {}
                Some(Token::Symbol(")")) => return Ok(values),
                other => return Err(format!("found '{}', expected: ',' or ')'", Self::found(other.as_ref()))),
            }
        }
    }
}

fn check_values(key: &str, operator: Operator, values: &[String]) -> Result<(), String> {
    let path = Path::new("values");
    for (index, value) in values.iter().enumerate() {
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            if value.parse::<i64>().is_err() {
                const WHY: &str = "for 'Gt', 'Lt' operators, the value must be an integer";
                return Err(Error::invalid(&path.index(index), value.as_str(), WHY).to_string());
            }
            continue;
        }
        let errors = validation::label_value(value);
        if !errors.is_empty() {
            let at = path.index(index).key(key);
            return Err(Error::invalid(&at, value.as_str(), errors.join("; ")).to_string());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(selector: &str, labels: &[(&str, &str)], expect: bool) {
        let selector = LabelSelector::parse(selector).expect(selector);
        let get = |key: &str| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        assert_eq!(selector.matches(get), expect, "{selector} on {labels:?}");
    }

    #[test]
    fn matches_as_upstream() {
        check("", &[], true);
        check("a=b", &[("a", "b")], true);
        check("a==b,c!=d", &[("a", "b")], true);
        check("a in (x, y),!z", &[("a", "y")], true);
        check("a notin (x)", &[("a", "x")], false);
        check("a notin (x)", &[], true);
        check("a", &[], false);
        check("a>3", &[("a", "4")], true);
        check("a<3", &[("a", "x")], false);
        check("a in ()", &[("a", "")], true);
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for text in ["a in x", "a in (x", ",a", "a,,b", "=b", "a=b=c", "a x", "-a=b", "a>x", "a=b,"] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn objects_select_nothing_when_absent_and_everything_when_empty() {
        let matches = |s: &LabelSelector| s.matches(|_| None);
        assert!(!matches(&LabelSelector::from_object(None).expect("absent")));
        assert!(matches(&LabelSelector::from_object(Some(&serde_json::json!({}))).expect("empty")));
    }
}
