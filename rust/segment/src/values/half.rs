//! 16-bit floats (IEEE 754 binary16): the `e` of Python's `struct`, and `encode_half`.
//!
//! The crate `half` rounds twice on its way from 64 bits: through 32 bits, or by dropping the lower 32 bits
//! of the mantissa first. So 1 + 2⁻¹¹ + 2⁻⁴⁰ becomes 1, not the next half above.
//! CPython rounds once, and so does this module.

const EXPONENT: u16 = 0x7c00;

/// Rounds to the nearest half, ties to even. Returns `None` if a finite value is too large.
#[must_use]
pub fn from_f64(value: f64) -> Option<u16> {
    let bits = value.to_bits();
    let sign = low_16(bits >> 48) & 0x8000;
    let fraction = bits & ((1 << 52) - 1);
    let exponent = (bits >> 52) & 0x7ff;
    if exponent == 0x7ff {
        // Infinity, or a NaN: made quiet, with the upper bits of its payload.
        let quiet = if fraction == 0 { 0 } else { 0x200 | low_16(fraction >> 42) };
        return Some(sign | EXPONENT | quiet);
    }
    // The value is `whole * 2^(exponent - 1075)`. The least bit of a half is worth 2⁻²⁴ or more.
    let (whole, exponent) = if exponent == 0 { (fraction, 1) } else { (fraction | 1 << 52, exponent) };
    // 1023 - 14 is the exponent of the smallest normal half, whose fraction has 42 bits less.
    let (shift, base) = match exponent.checked_sub(1023 - 14) {
        Some(above @ ..30) => (42, above << 10),
        Some(_) => return None,
        None => (42 + (1023 - 14 - exponent), 0),
    };
    if shift > 53 {
        // Less than half of the smallest half.
        return Some(sign);
    }
    let rest = whole & ((1 << shift) - 1);
    let tie = 1 << (shift - 1);
    let kept = whole >> shift;
    let up = rest > tie || (rest == tie && kept & 1 == 1);
    // The leading 1 of a normal number adds 1 to the exponent, and so does a carry of rounding.
    let magnitude = low_16(base + kept + u64::from(up));
    (magnitude < EXPONENT).then_some(sign | magnitude)
}

/// Returns the value of a half. The result is exact: every half is a 64-bit float.
#[must_use]
pub fn to_f64(half: u16) -> f64 {
    let sign = u64::from(half & 0x8000) << 48;
    let fraction = half & 0x3ff;
    let magnitude = match (half & EXPONENT) >> 10 {
        0 => (f64::from(fraction) * 2f64.powi(-24)).to_bits(),
        0x1f => (0x7ff << 52) | u64::from(fraction) << 42,
        exponent => (u64::from(exponent) + 1023 - 15) << 52 | u64::from(fraction) << 42,
    };
    f64::from_bits(sign | magnitude)
}

#[allow(clippy::cast_possible_truncation, reason = "the lower bits are what is wanted")]
pub(crate) fn low_16(bits: u64) -> u16 {
    bits as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_the_round_trip() {
        for half in 0..=u16::MAX {
            let value = to_f64(half);
            if value.is_nan() {
                assert_eq!(from_f64(value), Some(half | 0x200));
            } else {
                assert_eq!(from_f64(value), Some(half), "{half:04x} is {value}");
            }
        }
    }

    #[test]
    fn rounding_uses_every_bit() {
        let least = 2f64.powi(-24);
        for (value, half) in [
            (1.0 + 2f64.powi(-11), Some(0x3c00)),
            (1.0 + 2f64.powi(-11) + 2f64.powi(-40), Some(0x3c01)),
            (1.0 + 3.0 * 2f64.powi(-11), Some(0x3c02)),
            (65519.999, Some(0x7bff)),
            (65520.0, None),
            (-65520.0, None),
            (f64::MAX, None),
            (f64::INFINITY, Some(0x7c00)),
            (f64::NEG_INFINITY, Some(0xfc00)),
            (-0.0, Some(0x8000)),
            (least, Some(1)),
            (least / 2.0, Some(0)),
            ((least / 2.0).next_up(), Some(1)),
            (-least * 1.5, Some(0x8002)),
            (f64::MIN_POSITIVE, Some(0)),
            (f64::from_bits(1), Some(0)),
            (2f64.powi(-14).next_down(), Some(0x0400)),
        ] {
            assert_eq!(from_f64(value), half, "{value:e}");
        }
    }
}
