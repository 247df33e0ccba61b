//! Settings of the kubelet, by the names upstream's flags have.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::Deserialize;
use supervisor::{Housekeeping, NodeConfig, Threshold};

#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct KubeletSettings {
    /// Size from which the log of a container is rotated [default: 10Mi]
    #[arg(long, value_name = "QUANTITY")]
    container_log_max_size: Option<String>,
    /// Log files of a container at most [default: 5]
    #[arg(long, value_name = "N")]
    container_log_max_files: Option<usize>,
    /// Percentage of the disk in use from which images nobody uses are removed; 100 for never [default: 85]
    #[arg(long, value_name = "PERCENT")]
    image_gc_high_threshold: Option<u8>,
    /// Percentage of the disk in use down to which images are removed [default: 80]
    #[arg(long, value_name = "PERCENT")]
    image_gc_low_threshold: Option<u8>,
    /// Age of images below which they are not removed [default: 2m]
    #[arg(long, value_name = "DURATION")]
    minimum_image_ttl_duration: Option<String>,
    /// What is left at least, or pods are evicted; nothing for no eviction [default:
    /// memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%]
    #[arg(long, value_name = "LIST")]
    eviction_hard: Option<String>,
    /// How long a pressure is told of after it was last seen [default: 5m]
    #[arg(long, value_name = "DURATION")]
    eviction_pressure_transition_period: Option<String>,
    /// Sysctls pods may set beyond the safe ones, separated by commas
    #[arg(long, value_name = "LIST")]
    allowed_unsafe_sysctls: Option<String>,
}

impl KubeletSettings {
    pub(crate) const NAMES: [&str; 8] = [
        "container-log-max-size",
        "container-log-max-files",
        "image-gc-high-threshold",
        "image-gc-low-threshold",
        "minimum-image-ttl-duration",
        "eviction-hard",
        "eviction-pressure-transition-period",
        "allowed-unsafe-sysctls",
    ];

    /// These, and where they say nothing what `file` says.
    pub(crate) fn or(self, file: Self) -> Self {
        Self {
            container_log_max_size: self.container_log_max_size.or(file.container_log_max_size),
            container_log_max_files: self.container_log_max_files.or(file.container_log_max_files),
            image_gc_high_threshold: self.image_gc_high_threshold.or(file.image_gc_high_threshold),
            image_gc_low_threshold: self.image_gc_low_threshold.or(file.image_gc_low_threshold),
            minimum_image_ttl_duration: self.minimum_image_ttl_duration.or(file.minimum_image_ttl_duration),
            eviction_hard: self.eviction_hard.or(file.eviction_hard),
            eviction_pressure_transition_period: self
                .eviction_pressure_transition_period
                .or(file.eviction_pressure_transition_period),
            allowed_unsafe_sysctls: self.allowed_unsafe_sysctls.or(file.allowed_unsafe_sysctls),
        }
    }

    /// Puts them into the node's configuration.
    pub(crate) fn apply(self, node: &mut NodeConfig) -> anyhow::Result<()> {
        let Housekeeping { log_max_bytes, log_max_files, image_gc, eviction_hard, pressure_transition_period } =
            &mut node.housekeeping;
        if let Some(size) = self.container_log_max_size {
            *log_max_bytes = Housekeeping::parse_bytes(&size).context("--container-log-max-size")?;
        }
        if let Some(count) = self.container_log_max_files {
            *log_max_files = count;
        }
        if let Some(percent) = self.image_gc_high_threshold {
            image_gc.high_percent = percent;
        }
        if let Some(percent) = self.image_gc_low_threshold {
            image_gc.low_percent = percent;
        }
        if let Some(age) = self.minimum_image_ttl_duration {
            image_gc.min_age = duration(&age).with_context(|| format!("--minimum-image-ttl-duration: {age:?}"))?;
        }
        if let Some(list) = self.eviction_hard {
            *eviction_hard = Threshold::parse_list(&list).context("--eviction-hard")?;
        }
        if let Some(period) = self.eviction_pressure_transition_period {
            let read = duration(&period);
            *pressure_transition_period =
                read.with_context(|| format!("--eviction-pressure-transition-period: {period:?}"))?;
        }
        if let Some(list) = self.allowed_unsafe_sysctls {
            node.allowed_unsafe_sysctls =
                list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        }
        Ok(())
    }
}

/// As Go writes durations, in whole numbers: `90s`, `1h30m`.
fn duration(text: &str) -> anyhow::Result<Duration> {
    let (mut rest, mut sum) = (text, Duration::ZERO);
    anyhow::ensure!(!rest.is_empty(), "a duration is a number with a unit, as in 90s or 1h30m");
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).context("the unit is missing")?;
        let number: u64 = rest[..digits].parse().context("a number is missing")?;
        let letters = rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
        let unit = &rest[digits..digits + letters];
        sum += match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.saturating_mul(60)),
            "h" => Duration::from_secs(number.saturating_mul(3600)),
            _ => anyhow::bail!("there is no unit {unit:?}: use ms, s, m or h"),
        };
        rest = &rest[digits + letters..];
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn values_are_read_and_what_is_wrong_is_named() {
        assert_eq!(duration("1h30m5s").unwrap(), Duration::from_secs(5405));
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        for wrong in ["", "5", "s", "5 s", "5d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        let mut node = NodeConfig::new("n", "/nowhere");
        let some = |text: &str| Some(text.to_owned());
        let settings = KubeletSettings {
            container_log_max_size: some("1Mi"),
            eviction_hard: some("memory.available<5%"),
            allowed_unsafe_sysctls: some("net.core.*, kernel.msgmax"),
            ..KubeletSettings::default()
        };
        settings.apply(&mut node).unwrap();
        assert_eq!((node.housekeeping.log_max_bytes, node.housekeeping.eviction_hard.len()), (1 << 20, 1));
        assert_eq!(node.allowed_unsafe_sysctls, ["net.core.*", "kernel.msgmax"]);
        let wrong = KubeletSettings { eviction_hard: some("x<1"), ..KubeletSettings::default() };
        assert!(format!("{:#}", wrong.apply(&mut node).unwrap_err()).contains("--eviction-hard"));
    }
}
