//! A pod's own resolver settings.

use api::core::v1::PodSpec;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation;

use crate::rules;

const MOST_NAMESERVERS: usize = 3;
const MOST_SEARCHES: usize = 32;
const MOST_SEARCH_CHARACTERS: usize = 2048;

pub(super) fn validate(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let own_only = rules::text(&spec.dns_policy) == "None";
    let Some(config) = &spec.dns_config else {
        if own_only {
            errors.push(Error::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
        }
        return;
    };
    let nameservers = rules::slice(&config.nameservers);
    let at = path.child("nameservers");
    if own_only && nameservers.is_empty() {
        errors.push(Error::required(&at, "must provide at least one DNS nameserver when `dnsPolicy` is None"));
    }
    if nameservers.len() > MOST_NAMESERVERS {
        let why = format!("must not have more than {MOST_NAMESERVERS} nameservers");
        errors.push(Error::invalid(&at, nameservers.to_vec(), why));
    }
    for (index, nameserver) in nameservers.iter().enumerate() {
        rules::ip(nameserver, &at.index(index), errors);
    }
    searches(rules::slice(&config.searches), &path.child("searches"), errors);
    for (index, option) in rules::slice(&config.options).iter().enumerate() {
        if rules::text(&option.name).is_empty() {
            errors.push(Error::required(&path.child("options").index(index), "must not be empty"));
        }
    }
}

fn searches(searches: &[String], path: &Path, errors: &mut ErrorList) {
    if searches.len() > MOST_SEARCHES {
        let why = format!("must not have more than {MOST_SEARCHES} search paths");
        errors.push(Error::invalid(path, searches.to_vec(), why));
    }
    if searches.join(" ").len() > MOST_SEARCH_CHARACTERS {
        let why = format!(
            "must not have more than {MOST_SEARCH_CHARACTERS} characters (including spaces) in the search list"
        );
        errors.push(Error::invalid(path, searches.to_vec(), why));
    }
    for (index, search) in searches.iter().enumerate() {
        if search == "." {
            continue;
        }
        // Underscores are common in the names of internal domains.
        let name = search.strip_suffix('.').unwrap_or(search);
        let judged = validation::dns1123_subdomain(&name.replace('_', "a"));
        rules::invalid_each(name, judged, &path.index(index), errors);
    }
}
