//! Amounts in the scheduler's own compact form.

use std::collections::BTreeMap;

use api::resources::Amounts;

/// What a container without a request is assumed to use, so that scores do not pile such pods on one node.
const DEFAULT_MILLI_CPU: i64 = 100;
const DEFAULT_MEMORY: i64 = 200 * 1024 * 1024;

/// CPU in thousandths, the rest in bytes or pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) milli_cpu: i64,
    pub(crate) memory: i64,
    pub(crate) ephemeral_storage: i64,
    /// Extended resources and huge pages, by name.
    pub(crate) scalars: BTreeMap<String, i64>,
}

impl Resources {
    pub(crate) fn from_amounts(amounts: &Amounts) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in amounts {
            match name.as_str() {
                "cpu" => resources.milli_cpu = quantity.milli(),
                "memory" => resources.memory = quantity.units(),
                "ephemeral-storage" => resources.ephemeral_storage = quantity.units(),
                "pods" => {}
                _ => {
                    resources.scalars.insert(name.clone(), quantity.units());
                }
            }
        }
        resources
    }

    /// The same, with what is not requested assumed.
    pub(crate) fn with_defaults(&self) -> (i64, i64) {
        let or = |amount: i64, default: i64| if amount == 0 { default } else { amount };
        (or(self.milli_cpu, DEFAULT_MILLI_CPU), or(self.memory, DEFAULT_MEMORY))
    }

    pub(crate) fn add(&mut self, other: &Self, sign: i64) {
        self.milli_cpu += sign * other.milli_cpu;
        self.memory += sign * other.memory;
        self.ephemeral_storage += sign * other.ephemeral_storage;
        for (name, amount) in &other.scalars {
            *self.scalars.entry(name.clone()).or_default() += sign * amount;
        }
    }
}
