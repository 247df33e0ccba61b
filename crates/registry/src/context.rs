//! Who asks for what, and the few switches every write has.

use apimachinery::UserInfo;
use parking_lot::Mutex;

/// What to do with unknown and duplicate fields in a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// How often a sentence may be warned about in one answer.
const MAX_WARNINGS: usize = 64;

/// Sentences for `Warning` headers, gathered while a request is served. The same sentence is kept once.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    pub fn push(&self, sentence: impl Into<String>) {
        let sentence = sentence.into();
        let mut all = self.0.lock();
        if all.len() < MAX_WARNINGS && !all.contains(&sentence) {
            all.push(sentence);
        }
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

/// One request, as the pipeline needs to know it. `RequestContext::new` has the defaults.
#[derive(Debug)]
pub struct RequestContext {
    pub user: UserInfo,
    /// From the URL; `None` for cluster-wide requests.
    pub namespace: Option<String>,
    /// From the URL; empty for collections.
    pub name: String,
    pub dry_run: bool,
    /// What the client asked for; empty if it did not.
    pub field_manager: String,
    /// Names the field manager when the client named none.
    pub user_agent: String,
    pub field_validation: FieldValidation,
    /// The moment of the request, the same for all its timestamps.
    pub now: jiff::Timestamp,
    pub warnings: Warnings,
}

/// The longest name of a field manager.
const MAX_MANAGER_BYTES: usize = 128;

impl RequestContext {
    pub fn new(user: UserInfo, namespace: Option<&str>, name: &str) -> Self {
        Self {
            user,
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
            dry_run: false,
            field_manager: String::new(),
            user_agent: String::new(),
            field_validation: FieldValidation::default(),
            now: jiff::Timestamp::now(),
            warnings: Warnings::default(),
        }
    }

    /// The manager the changes of this request belong to: the one asked for, else the first word of the user agent.
    pub fn manager(&self) -> &str {
        if !self.field_manager.is_empty() {
            return &self.field_manager;
        }
        let word = self.user_agent.split('/').next().unwrap_or_default();
        let mut end = word.len().min(MAX_MANAGER_BYTES);
        while !word.is_char_boundary(end) {
            end -= 1;
        }
        if end == 0 { "unknown" } else { &word[..end] }
    }

    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// The moment of the request as metadata writes it.
    pub fn timestamp(&self) -> String {
        self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}
