//! Rules that several kinds share, with upstream's messages. Each adds what is wrong to a list.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::meta::LabelSelector;
use api::{IntOrString, Quantity as Wire};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::{Quantity, validation};

use crate::object_meta;

pub(crate) use crate::object_meta::{IMMUTABLE, NOT_NEGATIVE};

pub(crate) const IP_MESSAGE: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
pub(crate) const CIDR_MESSAGE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
pub(crate) const TEN_MINUTES: i64 = 10 * 60;

/// The text of an optional field, empty where it is absent.
pub(crate) fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

/// An optional list as a slice.
pub(crate) fn slice<T>(list: &Option<Vec<T>>) -> &[T] {
    list.as_deref().unwrap_or_default()
}

/// One error for each message about a value.
pub(crate) fn invalid_each(value: &str, messages: Vec<String>, path: &Path, errors: &mut ErrorList) {
    errors.extend(messages.into_iter().map(|message| Error::invalid(path, value, message)));
}

pub(crate) fn required(value: &str, path: &Path, errors: &mut ErrorList) {
    if value.is_empty() {
        errors.push(Error::required(path, ""));
    }
}

pub(crate) fn one_of(value: &str, supported: &[&str], path: &Path, errors: &mut ErrorList) {
    if !supported.contains(&value) {
        errors.push(Error::not_supported(path, value, supported));
    }
}

pub(crate) fn not_negative(value: i64, path: &Path, errors: &mut ErrorList) {
    if value < 0 {
        errors.push(Error::invalid(path, value, NOT_NEGATIVE));
    }
}

pub(crate) fn in_range(value: i64, low: i64, high: i64, path: &Path, errors: &mut ErrorList) {
    if !(low..=high).contains(&value) {
        errors.push(Error::invalid(path, value, validation::range_error(low, high)));
    }
}

pub(crate) fn port_number(port: i64, path: &Path, errors: &mut ErrorList) {
    in_range(port, 1, 65535, path, errors);
}

/// Protocols that ports have.
pub(crate) fn protocol(protocol: &str, path: &Path, errors: &mut ErrorList) {
    match protocol {
        "" => errors.push(Error::required(path, "")),
        protocol => one_of(protocol, &["SCTP", "TCP", "UDP"], path, errors),
    }
}

pub(crate) fn port_number_or_name(port: &IntOrString, path: &Path, errors: &mut ErrorList) {
    match port {
        IntOrString::Int(number) => port_number((*number).into(), path, errors),
        IntOrString::String(name) => invalid_each(name, port_name(name), path, errors),
    }
}

/// Names of ports as IANA allows them.
pub(crate) fn port_name(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > 15 {
        errors.push(validation::max_bytes_error(15));
    }
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || !name.bytes().all(allowed) {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

pub(crate) fn label(name: &str, path: &Path, errors: &mut ErrorList) {
    invalid_each(name, validation::dns1123_label(name), path, errors);
}

pub(crate) fn subdomain(name: &str, path: &Path, errors: &mut ErrorList) {
    invalid_each(name, validation::dns1123_subdomain(name), path, errors);
}

pub(crate) fn qualified_name(name: &str, path: &Path, errors: &mut ErrorList) {
    invalid_each(name, validation::qualified_name(name), path, errors);
}

pub(crate) fn labels(labels: Option<&BTreeMap<String, String>>, path: &Path, errors: &mut ErrorList) {
    let pairs = labels.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()));
    errors.extend(object_meta::validate_labels(pairs, path));
}

pub(crate) fn annotations(annotations: Option<&BTreeMap<String, String>>, path: &Path, errors: &mut ErrorList) {
    let pairs = annotations.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()));
    errors.extend(object_meta::validate_annotations(pairs, path));
}

pub(crate) fn label_selector(selector: &LabelSelector, path: &Path, errors: &mut ErrorList) {
    labels(selector.match_labels.as_ref(), &path.child("matchLabels"), errors);
    for (index, expression) in slice(&selector.match_expressions).iter().enumerate() {
        let path = path.child("matchExpressions").index(index);
        let values = slice(&expression.values);
        set_operator(&expression.operator, values.len(), &path, errors);
        qualified_name(&expression.key, &path.child("key"), errors);
        for (index, value) in values.iter().enumerate() {
            invalid_each(value, validation::label_value(value), &path.child("values").index(index), errors);
        }
    }
}

/// Whether a selector says nothing, and so selects everything.
pub(crate) fn is_empty_selector(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty) && slice(&selector.match_expressions).is_empty()
}

/// The operators of sets, and how many values each takes. Says whether the operator is one.
pub(crate) fn set_operator(operator: &str, values: usize, path: &Path, errors: &mut ErrorList) -> bool {
    let at = path.child("values");
    match operator {
        "In" | "NotIn" if values == 0 => {
            errors.push(Error::required(&at, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if values > 0 => {
            errors.push(Error::forbidden(&at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => {
            errors.push(Error::invalid(&path.child("operator"), other, "not a valid selector operator"));
            return false;
        }
    }
    true
}

/// Keys of config maps and secrets.
pub(crate) fn config_key(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if key.len() > validation::DNS1123_SUBDOMAIN_MAX_BYTES {
        errors.push(validation::max_bytes_error(validation::DNS1123_SUBDOMAIN_MAX_BYTES));
    }
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
        let message = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        errors.push(validation::regex_error(message, "[-._a-zA-Z0-9]+", &["key.name", "KEY_NAME", "key-name"]));
    }
    match key {
        "." => errors.push("must not be '.'".to_owned()),
        ".." => errors.push("must not be '..'".to_owned()),
        _ if key.starts_with("..") => errors.push("must not start with '..'".to_owned()),
        _ => {}
    }
    errors
}

/// Reads an address. Go's parser, and so upstream's, refuses leading zeros, as Rust's does.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

pub(crate) fn ip(text: &str, path: &Path, errors: &mut ErrorList) {
    if parse_ip(text).is_none() {
        errors.push(Error::invalid(path, text, IP_MESSAGE));
    }
}

/// Reads `address/bits`.
pub(crate) fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let digits =
        !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    let bits: u8 = bits.parse().ok().filter(|_| digits)?;
    (bits <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, bits))
}

/// An address, and one that traffic can be sent to from elsewhere.
pub(crate) fn routable_ip(text: &str, path: &Path, errors: &mut ErrorList) {
    match parse_ip(text) {
        Some(_) => endpoint_ip(text, path, errors),
        None => errors.push(Error::invalid(path, text, IP_MESSAGE)),
    }
}

/// Refuses addresses that no traffic can be sent to from elsewhere.
pub(crate) fn endpoint_ip(text: &str, path: &Path, errors: &mut ErrorList) {
    let Some(address) = parse_ip(text) else {
        errors.push(Error::invalid(path, text, "must be a valid IP address"));
        return;
    };
    let (link_local, link_local_multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.is_multicast() && v6.segments()[0] & 0xf == 2),
    };
    let mut refuse = |why: String| errors.push(Error::invalid(path, text, why));
    if address.is_unspecified() {
        refuse(format!("may not be unspecified ({text})"));
    }
    if address.is_loopback() {
        refuse("may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned());
    }
    if link_local {
        refuse("may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned());
    }
    if link_local_multicast {
        refuse("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned());
    }
}

/// An amount must not be below 0. What does not parse was refused before.
pub(crate) fn quantity_not_negative(quantity: &Wire, path: &Path, errors: &mut ErrorList) {
    if quantity.0.parse::<Quantity>().is_ok_and(|q| q.is_negative()) {
        errors.push(Error::invalid(path, quantity.0.clone(), NOT_NEGATIVE));
    }
}

/// `field is immutable` where a value changed.
pub(crate) fn immutable<T: PartialEq + serde::Serialize>(new: &T, old: &T, path: &Path, errors: &mut ErrorList) {
    if new != old {
        let value = serde_json::to_value(new).unwrap_or_default();
        errors.push(Error::invalid(path, value, IMMUTABLE));
    }
}

/// A path below some folder: not absolute, without `..`.
pub(crate) fn descending_path(target: &str, path: &Path, errors: &mut ErrorList) {
    if target.starts_with('/') {
        errors.push(Error::invalid(path, target, "must be a relative path"));
    }
    no_backsteps(target, path, errors);
}

/// A descending path that does not start with two dots, which the kubelet keeps for itself.
pub(crate) fn unreserved_path(target: &str, path: &Path, errors: &mut ErrorList) {
    descending_path(target, path, errors);
    if target.starts_with("..") && !target.starts_with("../") {
        errors.push(Error::invalid(path, target, "must not start with '..'"));
    }
}

pub(crate) fn no_backsteps(target: &str, path: &Path, errors: &mut ErrorList) {
    if target.split('/').any(|part| part == "..") {
        errors.push(Error::invalid(path, target, "must not contain '..'"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_strictly() {
        for good in ["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/64"] {
            assert!(parse_cidr(good).is_some(), "{good}");
        }
        for bad in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/+8", "x/8", "10.0.0.0/"] {
            assert!(parse_cidr(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn port_names_are_judged_in_full() {
        assert!(port_name("http-2").is_empty());
        assert_eq!(port_name("1").len(), 1);
        assert_eq!(port_name("HTTP").len(), 2);
        assert_eq!(port_name("a--").len(), 2);
    }
}
