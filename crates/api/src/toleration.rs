//! Taints and who bears them.

use crate::core::v1::{Taint, Toleration};

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

impl Effect {
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::NoSchedule => "NoSchedule",
            Effect::PreferNoSchedule => "PreferNoSchedule",
            Effect::NoExecute => "NoExecute",
        }
    }
}

/// Whether the toleration bears the taint. An empty effect or key matches any; `Lt` and `Gt` compare integers.
pub fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    if let Some(effect) = toleration.effect.as_deref().filter(|e| !e.is_empty())
        && effect != taint.effect
    {
        return false;
    }
    if let Some(key) = toleration.key.as_deref().filter(|k| !k.is_empty())
        && key != taint.key
    {
        return false;
    }
    let taint_value = taint.value.as_deref().unwrap_or_default();
    let value = toleration.value.as_deref().unwrap_or_default();
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => value == taint_value,
        "Exists" => true,
        "Lt" => compare(taint_value, value).is_some_and(|order| order.is_lt()),
        "Gt" => compare(taint_value, value).is_some_and(|order| order.is_gt()),
        _ => false,
    }
}

fn compare(taint: &str, toleration: &str) -> Option<std::cmp::Ordering> {
    Some(taint.parse::<i64>().ok()?.cmp(&toleration.parse::<i64>().ok()?))
}

/// The first taint with one of `effects` that none of the tolerations bears.
pub fn untolerated_taint<'a>(taints: &'a [Taint], tolerations: &[Toleration], effects: &[Effect]) -> Option<&'a Taint> {
    taints
        .iter()
        .filter(|taint| effects.iter().any(|e| e.as_str() == taint.effect))
        .find(|taint| !tolerations.iter().any(|t| tolerates(t, taint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str, value: &str, effect: &str) -> Taint {
        Taint { key: key.to_owned(), value: Some(value.to_owned()), effect: effect.to_owned(), time_added: None }
    }

    fn toleration(key: &str, operator: &str, value: &str, effect: &str) -> Toleration {
        let some = |s: &str| Some(s.to_owned());
        Toleration {
            key: some(key),
            operator: some(operator),
            value: some(value),
            effect: some(effect),
            ..Default::default()
        }
    }

    #[test]
    fn operators() {
        let cases = [
            (toleration("k", "", "v", ""), true),
            (toleration("k", "Equal", "w", ""), false),
            (toleration("k", "Exists", "", "NoExecute"), false),
            (toleration("", "Exists", "", ""), true),
            (toleration("other", "Exists", "", ""), false),
        ];
        for (toleration, expect) in cases {
            assert_eq!(tolerates(&toleration, &taint("k", "v", "NoSchedule")), expect, "{toleration:?}");
        }
        assert!(tolerates(&toleration("k", "Lt", "10", ""), &taint("k", "5", "NoSchedule")));
        assert!(!tolerates(&toleration("k", "Gt", "10", ""), &taint("k", "5", "NoSchedule")));
    }

    #[test]
    fn only_asked_effects_count() {
        let taints = [taint("a", "", "PreferNoSchedule"), taint("b", "", "NoExecute")];
        let found = untolerated_taint(&taints, &[], &[Effect::NoSchedule, Effect::NoExecute]);
        assert_eq!(found.map(|t| t.key.as_str()), Some("b"));
    }
}
