//! Thresholds of eviction, as upstream's `--eviction-hard` writes them: `memory.available<100Mi,nodefs.available<10%`.

use std::str::FromStr;

use apimachinery::{Format, Quantity};

/// What can run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    MemoryAvailable,
    NodefsAvailable,
    NodefsInodesFree,
    ImagefsAvailable,
    ImagefsInodesFree,
    PidAvailable,
}

/// The condition of the node that tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Condition {
    Disk,
    Memory,
    Pid,
}

impl Condition {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Disk => "DiskPressure",
            Self::Memory => "MemoryPressure",
            Self::Pid => "PIDPressure",
        }
    }
}

const SIGNALS: [(Signal, &str); 6] = [
    (Signal::MemoryAvailable, "memory.available"),
    (Signal::NodefsAvailable, "nodefs.available"),
    (Signal::NodefsInodesFree, "nodefs.inodesFree"),
    (Signal::ImagefsAvailable, "imagefs.available"),
    (Signal::ImagefsInodesFree, "imagefs.inodesFree"),
    (Signal::PidAvailable, "pid.available"),
];

impl Signal {
    pub(crate) fn condition(self) -> Condition {
        match self {
            Self::MemoryAvailable => Condition::Memory,
            Self::PidAvailable => Condition::Pid,
            _ => Condition::Disk,
        }
    }

    /// What is short, as messages call it.
    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::MemoryAvailable => "memory",
            Self::NodefsAvailable | Self::ImagefsAvailable => "ephemeral-storage",
            Self::NodefsInodesFree | Self::ImagefsInodesFree => "inodes",
            Self::PidAvailable => "pids",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    Quantity(Quantity),
    /// Of the capacity.
    Percent(f64),
}

/// Pods are evicted while less than this is left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    pub(crate) signal: Signal,
    pub(crate) amount: Amount,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ThresholdError {
    #[error("invalid eviction threshold syntax {0}, expected <signal><operator><value>")]
    Syntax(String),
    #[error("unsupported eviction signal {0}")]
    Signal(String),
    #[error("found duplicate eviction threshold for signal {0}")]
    Duplicate(String),
    #[error("eviction threshold {signal} must be a percentage from 0% to 100% or a positive quantity: {value}")]
    Value { signal: String, value: String },
}

impl Threshold {
    /// Upstream's on Linux.
    pub(crate) fn defaults() -> Vec<Self> {
        let percent = |signal, share| Self { signal, amount: Amount::Percent(share) };
        let memory = Quantity::from_units(100 << 20, Format::BinarySi);
        vec![
            Self { signal: Signal::MemoryAvailable, amount: Amount::Quantity(memory) },
            percent(Signal::NodefsAvailable, 10.0),
            percent(Signal::NodefsInodesFree, 5.0),
            percent(Signal::ImagefsAvailable, 15.0),
            percent(Signal::ImagefsInodesFree, 5.0),
        ]
    }

    /// Reads a list separated by commas; one with nothing in it turns eviction off.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, ThresholdError> {
        let mut all: Vec<Self> = Vec::new();
        for statement in text.split(',').map(str::trim).filter(|s| !s.is_empty()) {
            let Some(threshold) = parse(statement)? else { continue };
            if all.iter().any(|t| t.signal == threshold.signal) {
                return Err(ThresholdError::Duplicate(name(threshold.signal).to_owned()));
            }
            all.push(threshold);
        }
        Ok(all)
    }

    /// The amount, where so much is there at all.
    pub(crate) fn quantity(&self, capacity: i64) -> Quantity {
        match self.amount {
            Amount::Quantity(quantity) => quantity,
            Amount::Percent(share) => Quantity::from_units((capacity as f64 * share / 100.0) as i64, Format::BinarySi),
        }
    }
}

fn name(signal: Signal) -> &'static str {
    SIGNALS.iter().find(|(s, _)| *s == signal).map_or("", |(_, name)| name)
}

/// None for a share of nothing or of all, which upstream takes for "off".
fn parse(statement: &str) -> Result<Option<Threshold>, ThresholdError> {
    let syntax = || ThresholdError::Syntax(statement.to_owned());
    let (signal, value) = statement.split_once('<').ok_or_else(syntax)?;
    let unknown = || ThresholdError::Signal(signal.to_owned());
    let found = SIGNALS.iter().find(|(_, name)| *name == signal).ok_or_else(unknown)?.0;
    let wrong = || ThresholdError::Value { signal: signal.to_owned(), value: value.to_owned() };
    let amount = match value.strip_suffix('%') {
        Some(share) => {
            let share: f64 = share.parse().map_err(|_| wrong())?;
            if !(0.0..=100.0).contains(&share) {
                return Err(wrong());
            }
            if share == 0.0 || share == 100.0 {
                return Ok(None);
            }
            Amount::Percent(share)
        }
        None => {
            let quantity = Quantity::from_str(value).map_err(|_| wrong())?;
            if quantity.is_zero() || quantity.is_negative() {
                return Err(wrong());
            }
            Amount::Quantity(quantity)
        }
    };
    Ok(Some(Threshold { signal: found, amount }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn lists_are_read_as_upstream_reads_them() {
        let read = Threshold::parse_list("memory.available<1Gi, nodefs.available<12.5%,imagefs.available<0%").unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].quantity(1).units(), 1 << 30);
        assert_eq!((read[1].signal, read[1].quantity(800).units()), (Signal::NodefsAvailable, 100));
        assert!(Threshold::parse_list("").unwrap().is_empty());
        let error = |text: &str| Threshold::parse_list(text).unwrap_err().to_string();
        assert_eq!(error("cpu.available<1"), "unsupported eviction signal cpu.available");
        assert!(error("memory.available=1").contains("expected <signal><operator><value>"));
        assert!(error("memory.available<-1").contains("memory.available must be"));
        assert!(error("memory.available<101%").contains("101%"));
        assert!(error("memory.available<1,memory.available<2").contains("duplicate"));
    }
}
