//! Counts given as a number or as a share.

use crate::IntOrString;

/// The count a value stands for, of `total`. A share that is no percentage counts as nothing, as validation lets
/// none through.
pub fn scaled_value(value: &IntOrString, total: i32, round_up: bool) -> i32 {
    match value {
        IntOrString::Int(count) => *count,
        IntOrString::String(text) => {
            let Some(percent) = text.strip_suffix('%').and_then(|p| p.parse::<i64>().ok()) else { return 0 };
            let product = percent * i64::from(total);
            let whole = if round_up {
                product.div_euclid(100) + i64::from(product.rem_euclid(100) != 0)
            } else {
                product.div_euclid(100)
            };
            whole.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_round_as_asked() {
        let share = |text: &str| IntOrString::String(text.to_owned());
        assert_eq!(scaled_value(&share("25%"), 10, true), 3);
        assert_eq!(scaled_value(&share("25%"), 10, false), 2);
        assert_eq!(scaled_value(&share("100%"), 7, true), 7);
        assert_eq!(scaled_value(&share("0%"), 7, true), 0);
        assert_eq!(scaled_value(&IntOrString::Int(4), 1, true), 4);
    }
}
