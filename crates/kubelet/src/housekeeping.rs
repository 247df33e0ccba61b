//! How a node is kept from running full, with upstream's defaults and the names of its flags.

use std::time::Duration;

use crate::eviction::Threshold;

#[derive(Clone, Debug)]
pub struct Housekeeping {
    /// `containerLogMaxSize`: a log that is larger is rotated.
    pub log_max_bytes: u64,
    /// `containerLogMaxFiles`: of one container, the one it writes included.
    pub log_max_files: usize,
    pub image_gc: ImageGcPolicy,
    /// `evictionHard`.
    pub eviction_hard: Vec<Threshold>,
    /// `evictionPressureTransitionPeriod`: how long a pressure is still told of after it was last seen.
    pub pressure_transition_period: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageGcPolicy {
    /// `imageGCHighThresholdPercent`: the use of the disk from which images are removed; 100 for never.
    pub high_percent: u8,
    /// `imageGCLowThresholdPercent`: the use they are removed down to.
    pub low_percent: u8,
    /// `imageMinimumGCAge`: younger images stay.
    pub min_age: Duration,
}

impl Default for Housekeeping {
    fn default() -> Self {
        Self {
            log_max_bytes: 10 << 20,
            log_max_files: 5,
            image_gc: ImageGcPolicy { high_percent: 85, low_percent: 80, min_age: Duration::from_secs(120) },
            eviction_hard: Threshold::defaults(),
            pressure_transition_period: Duration::from_secs(300),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum HousekeepingError {
    #[error(
        "imageGCLowThresholdPercent ({low}) must be less than imageGCHighThresholdPercent ({high}), and both at most 100"
    )]
    ImageThresholds { low: u8, high: u8 },
    #[error("containerLogMaxFiles must be greater than 1, not {0}")]
    LogFiles(usize),
    #[error("containerLogMaxSize must be greater than 0")]
    LogSize,
    #[error("{0:?} is no size in bytes, as in 10Mi")]
    Bytes(String),
}

impl Housekeeping {
    /// A size as quantities are written.
    pub fn parse_bytes(text: &str) -> Result<u64, HousekeepingError> {
        let quantity = text.parse::<apimachinery::Quantity>().ok();
        let bytes = quantity.and_then(|q| u64::try_from(q.units()).ok());
        bytes.ok_or_else(|| HousekeepingError::Bytes(text.to_owned()))
    }

    pub(crate) fn check(&self) -> Result<(), HousekeepingError> {
        let ImageGcPolicy { high_percent: high, low_percent: low, .. } = self.image_gc;
        if low >= high || high > 100 {
            return Err(HousekeepingError::ImageThresholds { low, high });
        }
        if self.log_max_files <= 1 {
            return Err(HousekeepingError::LogFiles(self.log_max_files));
        }
        if self.log_max_bytes == 0 { Err(HousekeepingError::LogSize) } else { Ok(()) }
    }
}
