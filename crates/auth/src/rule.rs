//! RBAC's policy rules: what one allows, and whether some cover others.

use apimachinery::field::quote;
use serde::{Deserialize, Serialize};

use crate::Attributes;

/// `rbac.authorization.k8s.io/v1` `PolicyRule`, in the fields' wire order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    #[serde(deserialize_with = "null_is_empty")]
    pub verbs: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub api_groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub non_resource_urls: Vec<String>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(deserializer)?.unwrap_or_default())
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

impl Rule {
    pub fn allows(&self, attributes: &Attributes) -> bool {
        if !has(&self.verbs, &attributes.verb) {
            return false;
        }
        if !attributes.resource_request {
            return self.non_resource_urls.iter().any(|url| url_matches(url, &attributes.path));
        }
        has(&self.api_groups, &attributes.api_group)
            && self.resources.iter().any(|r| resource_matches(r, &attributes.resource, &attributes.subresource))
            && (self.resource_names.is_empty()
                || (!attributes.name.is_empty() && self.resource_names.contains(&attributes.name)))
    }

    /// Every verb, group, resource and name (or URL) by itself: the unit in which coverage is decided.
    fn simple(&self) -> Vec<Self> {
        let one = |text: &String| vec![text.clone()];
        let mut simple = Vec::new();
        for verb in &self.verbs {
            for group in &self.api_groups {
                for resource in &self.resources {
                    let base =
                        Self { verbs: one(verb), api_groups: one(group), resources: one(resource), ..Self::default() };
                    if self.resource_names.is_empty() {
                        simple.push(base);
                        continue;
                    }
                    simple.extend(
                        self.resource_names.iter().map(|name| Self { resource_names: one(name), ..base.clone() }),
                    );
                }
            }
            simple.extend(self.non_resource_urls.iter().map(|url| Self {
                verbs: one(verb),
                non_resource_urls: one(url),
                ..Self::default()
            }));
        }
        simple
    }

    /// Whether a holder of this rule may do all that a simple rule allows.
    fn covers(&self, simple: &Self) -> bool {
        let all_in =
            |own: &[String], sub: &[String]| own.iter().any(|o| o == "*") || sub.iter().all(|s| own.contains(s));
        all_in(&self.verbs, &simple.verbs)
            && all_in(&self.api_groups, &simple.api_groups)
            && simple.resources.iter().all(|resource| {
                let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
                self.resources.iter().any(|own| resource_matches(own, resource, subresource))
            })
            && match (self.resource_names.is_empty(), simple.resource_names.is_empty()) {
                (true, _) => true,
                (false, true) => false,
                (false, false) => simple.resource_names.iter().all(|name| self.resource_names.contains(name)),
            }
            && simple.non_resource_urls.iter().all(|url| self.non_resource_urls.iter().any(|own| url_covers(own, url)))
    }

    /// `{APIGroups:["apps"], Resources:["deployments"], Verbs:["get" "list"]}`.
    pub fn compact(&self) -> String {
        let parts: Vec<String> = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ]
        .into_iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| format!("{name}:{}", quoted_list(list)))
        .collect();
        format!("{{{}}}", parts.join(", "))
    }
}

/// As Go prints a slice with `%q`.
pub(crate) fn quoted_list(list: &[String]) -> String {
    let quoted: Vec<String> = list.iter().map(|item| quote(item)).collect();
    format!("[{}]", quoted.join(" "))
}

fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    match rule.split_once('/') {
        None => subresource.is_empty() && rule == resource,
        Some(("*", sub)) => !subresource.is_empty() && sub == subresource,
        Some((main, sub)) => main == resource && sub == subresource,
    }
}

fn url_matches(rule: &str, path: &str) -> bool {
    rule == "*" || rule == path || rule.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

/// A `*` at the end of the covered URL is a pattern too: only an equal or shorter prefix covers it.
fn url_covers(own: &str, url: &str) -> bool {
    own == "*" || own == url || own.strip_suffix('*').is_some_and(|prefix| url.starts_with(prefix))
}

/// What of `wanted` no rule of `held` covers, in simple rules.
pub fn uncovered(held: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    wanted.iter().flat_map(Rule::simple).filter(|simple| !held.iter().any(|own| own.covers(simple))).collect()
}

/// Joins the verbs of simple rules for one and the same resource, which keeps messages and reviews short.
pub fn compact_rules(rules: Vec<Rule>) -> Vec<Rule> {
    let mut compacted: Vec<Rule> = Vec::new();
    for rule in rules {
        let one_resource = rule.non_resource_urls.is_empty() && rule.api_groups.len() == 1 && rule.resources.len() == 1;
        let same = |other: &&mut Rule| {
            one_resource
                && other.non_resource_urls.is_empty()
                && other.api_groups == rule.api_groups
                && other.resources == rule.resources
                && other.resource_names == rule.resource_names
        };
        match compacted.iter_mut().find(same) {
            Some(other) => {
                for verb in rule.verbs {
                    if !other.verbs.contains(&verb) {
                        other.verbs.push(verb);
                    }
                }
            }
            None => compacted.push(rule),
        }
    }
    compacted
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn rule(text: &str) -> Rule {
        serde_json::from_str(text).unwrap()
    }

    fn pods(verb: &str, subresource: &str, name: &str) -> Attributes {
        let mut a = Attributes::resource(&apimachinery::UserInfo::default(), verb, "", "pods");
        a.subresource = subresource.to_owned();
        a.name = name.to_owned();
        a
    }

    #[test]
    fn a_rule_allows_what_it_names() {
        let get = rule(r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}"#);
        assert!(get.allows(&pods("get", "", "a")));
        assert!(!get.allows(&pods("get", "log", "a")));
        assert!(!get.allows(&pods("list", "", "")));
        let any_scale = rule(r#"{"verbs":["*"],"apiGroups":["*"],"resources":["*/scale"]}"#);
        assert!(any_scale.allows(&pods("get", "scale", "a")));
        assert!(!any_scale.allows(&pods("get", "", "a")));
        let named = rule(r#"{"verbs":["get","list"],"apiGroups":[""],"resources":["pods"],"resourceNames":["a"]}"#);
        assert!(named.allows(&pods("get", "", "a")));
        assert!(!named.allows(&pods("get", "", "b")));
        assert!(!named.allows(&pods("list", "", "")));
    }

    #[test]
    fn coverage_is_decided_verb_by_verb_and_resource_by_resource() {
        let held = [
            rule(r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods","secrets"]}"#),
            rule(r#"{"verbs":["list"],"apiGroups":[""],"resources":["pods"]}"#),
        ];
        let wanted = [rule(r#"{"verbs":["get","list"],"apiGroups":[""],"resources":["pods","secrets"]}"#)];
        let missing = uncovered(&held, &wanted);
        assert_eq!(
            missing.iter().map(Rule::compact).collect::<Vec<_>>(),
            [r#"{APIGroups:[""], Resources:["secrets"], Verbs:["list"]}"#]
        );
        let all = [rule(r#"{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}"#)];
        assert!(uncovered(&all, &wanted).is_empty());
        assert!(!uncovered(&wanted, &all).is_empty());
        let urls = [rule(r#"{"verbs":["get"],"nonResourceURLs":["/apis/*"]}"#)];
        assert!(
            uncovered(&urls, &[rule(r#"{"verbs":["get"],"nonResourceURLs":["/apis/apps","/apis/a/*"]}"#)]).is_empty()
        );
        assert!(!uncovered(&urls, &[rule(r#"{"verbs":["get"],"nonResourceURLs":["*"]}"#)]).is_empty());
    }

    #[test]
    fn compacting_joins_verbs() {
        let rules = compact_rules(
            rule(r#"{"verbs":["get","list"],"apiGroups":["apps"],"resources":["deployments"],"resourceNames":["d"]}"#)
                .simple(),
        );
        assert_eq!(
            rules[0].compact(),
            r#"{APIGroups:["apps"], Resources:["deployments"], ResourceNames:["d"], Verbs:["get" "list"]}"#
        );
        assert_eq!(rules.len(), 1);
    }
}
