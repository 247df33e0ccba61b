//! The notation of the default policy, and its reading into rules.

use auth::Rule;

/// The core group in the notation, whose name is empty.
pub(super) const CORE: &str = "core";
pub(super) const READ: &str = "get list watch";
pub(super) const WRITE: &str = "create delete deletecollection patch update";
pub(super) const READ_WRITE: &str = "create delete deletecollection get list patch update watch";

/// A rule written as words. Sorted when read, as upstream serves them.
#[derive(Clone, Copy, Debug)]
pub(super) enum R {
    /// Verbs, groups, resources.
    Of(&'static str, &'static str, &'static str),
    /// Verbs, groups, resources, names.
    Named(&'static str, &'static str, &'static str, &'static str),
    /// Verbs, paths.
    Urls(&'static str, &'static str),
    /// To record events.
    Events,
}

/// A role of the default policy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Role {
    pub(super) name: &'static str,
    /// `admin`, `edit` or `view`, when this role is part of that aggregated role.
    pub(super) aggregate_to: Option<&'static str>,
    /// `admin`, `edit` or `view`, when this role is the aggregate.
    pub(super) aggregates: Option<&'static str>,
    pub(super) rules: &'static [R],
}

impl Role {
    pub(super) const fn new(name: &'static str, rules: &'static [R]) -> Self {
        Self { name, aggregate_to: None, aggregates: None, rules }
    }

    pub(super) fn rules(&self) -> Vec<Rule> {
        self.rules.iter().map(R::rule).collect()
    }
}

fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> =
        text.split_whitespace().map(|word| if word == CORE { String::new() } else { word.to_owned() }).collect();
    words.sort();
    words
}

impl R {
    pub(super) fn rule(&self) -> Rule {
        match self {
            Self::Of(verbs, groups, resources) => Self::Named(verbs, groups, resources, "").rule(),
            Self::Named(verbs, groups, resources, names) => Rule {
                verbs: words(verbs),
                api_groups: words(groups),
                resources: words(resources),
                resource_names: words(names),
                ..Rule::default()
            },
            Self::Urls(verbs, urls) => Rule { verbs: words(verbs), non_resource_urls: words(urls), ..Rule::default() },
            Self::Events => Self::Of("create patch update", "core events.k8s.io", "events").rule(),
        }
    }
}
