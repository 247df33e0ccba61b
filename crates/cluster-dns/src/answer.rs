//! From a question about the cluster to an answer.

use std::net::IpAddr;

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, PTR, SOA, SRV, TXT},
    },
};
use rand::seq::SliceRandom;

use crate::{records::Data, zone::Zone};

/// How long clients may keep an answer, in seconds; CoreDNS' default. Endpoints come and go.
const TTL: u32 = 5;
/// The version of the specification, which the zone tells as a TXT record.
const VERSION: &str = "1.1.0";

/// Where an answer is to be sought.
pub(crate) enum Lookup {
    Answered,
    /// Not a name of the cluster.
    Elsewhere,
}

/// Answers a query about `domain` or about an address the cluster knows. `response` is prepared from the query.
pub(crate) fn answer(zone: &Zone, domain: &str, query: &hickory_proto::op::Query, response: &mut Message) -> Lookup {
    let asked = query.name().to_lowercase().to_ascii();
    let asked = asked.trim_end_matches('.');
    if let Some(address) = reverse_address(query.name()) {
        let names = zone.reverse(address);
        if names.is_empty() {
            return Lookup::Elsewhere;
        }
        response.metadata.authoritative = true;
        if query.query_type() == RecordType::PTR {
            let targets = names.iter().filter_map(|n| absolute(n, domain));
            let records = targets.map(|t| Record::from_rdata(query.name().clone(), TTL, RData::PTR(PTR(t))));
            response.answers.extend(records);
        }
        return Lookup::Answered;
    }
    let relative = match asked.strip_suffix(domain) {
        Some("") => "",
        Some(rest) if rest.ends_with('.') => rest.trim_end_matches('.'),
        _ => return Lookup::Elsewhere,
    };
    response.metadata.authoritative = true;
    let found = if relative.is_empty() { Some(Vec::new()) } else { zone.find(relative) };
    match found {
        _ if relative == "dns-version" => {
            if query.query_type() == RecordType::TXT {
                let text = RData::TXT(TXT::new(vec![VERSION.to_owned()]));
                response.answers.push(Record::from_rdata(query.name().clone(), TTL, text));
            }
        }
        None => response.metadata.response_code = ResponseCode::NXDomain,
        Some(data) => add_answers(zone, domain, query, data, response),
    }
    if query.query_type() == RecordType::SOA && relative.is_empty() {
        response.answers.extend(authority(domain));
    } else if response.answers.is_empty() {
        response.authorities.extend(authority(domain));
    }
    Lookup::Answered
}

fn add_answers(
    zone: &Zone,
    domain: &str,
    query: &hickory_proto::op::Query,
    mut data: Vec<Data>,
    response: &mut Message,
) {
    // The first address is the one most clients use.
    data.shuffle(&mut rand::rng());
    for data in data {
        match (query.query_type(), data) {
            (RecordType::A, Data::Address(IpAddr::V4(address))) => {
                response.answers.push(Record::from_rdata(query.name().clone(), TTL, RData::A(A(address))));
            }
            (RecordType::AAAA, Data::Address(IpAddr::V6(address))) => {
                response.answers.push(Record::from_rdata(query.name().clone(), TTL, RData::AAAA(AAAA(address))));
            }
            (RecordType::A | RecordType::AAAA | RecordType::CNAME, Data::Alias(target)) => {
                if let Ok(target) = fully_qualified(&target) {
                    let alias = RData::CNAME(CNAME(target));
                    response.answers.push(Record::from_rdata(query.name().clone(), TTL, alias));
                }
            }
            (RecordType::SRV, Data::Server { port, target }) => {
                let Some(name) = absolute(&target, domain) else { continue };
                let server = RData::SRV(SRV::new(0, 100, port, name.clone()));
                response.answers.push(Record::from_rdata(query.name().clone(), TTL, server));
                for address in zone.find(&target).unwrap_or_default() {
                    let data = match address {
                        Data::Address(IpAddr::V4(address)) => RData::A(A(address)),
                        Data::Address(IpAddr::V6(address)) => RData::AAAA(AAAA(address)),
                        _ => continue,
                    };
                    response.additionals.push(Record::from_rdata(name.clone(), TTL, data));
                }
            }
            _ => {}
        }
    }
}

fn fully_qualified(name: &str) -> Result<Name, hickory_proto::ProtoError> {
    let mut name = Name::from_ascii(name)?;
    name.set_fqdn(true);
    Ok(name)
}

fn absolute(relative: &str, domain: &str) -> Option<Name> {
    fully_qualified(&format!("{relative}.{domain}")).ok()
}

/// Tells resolvers how long a "no" holds.
fn authority(domain: &str) -> Option<Record> {
    let zone = fully_qualified(domain).ok()?;
    let soa = SOA::new(absolute("ns.dns", domain)?, absolute("hostmaster", domain)?, 1, 7200, 1800, 86400, TTL);
    Some(Record::from_rdata(zone, TTL, RData::SOA(soa)))
}

/// The address of a name like `3.0.42.10.in-addr.arpa`.
fn reverse_address(name: &Name) -> Option<IpAddr> {
    let net = name.parse_arpa_name().ok()?;
    let whole = if net.addr().is_ipv4() { 32 } else { 128 };
    (net.prefix_len() == whole).then(|| net.addr())
}
