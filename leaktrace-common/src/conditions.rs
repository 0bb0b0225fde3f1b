//! Conditions without branches: each is a number, 1 where it holds and 0 where it does not.
//!
//! The verifier follows both sides of every branch, so a dozen branches in a row are thousands of paths. What is decided for every
//! socket is therefore computed. This also avoids mispredicted branches.

use crate::opaque;

/// 1 if `flag`, which has one bit, is set in `flags`.
#[inline(always)]
pub fn has(flags: u8, flag: u8) -> u32 {
    u32::from(flags >> flag.trailing_zeros() & 1)
}

/// 1 if `value >= limit`, for any two numbers. It is the inverted borrow of `value - limit`.
#[inline(always)]
pub fn at_least(value: u64, limit: u64) -> u32 {
    let borrow = (!value & limit) | ((!value | limit) & value.wrapping_sub(limit));
    sign(!borrow)
}

/// 1 if the two differ.
#[inline(always)]
pub fn differs(one: u64, other: u64) -> u32 {
    let bits = one ^ other;
    sign(bits | bits.wrapping_neg())
}

/// `then` where the condition holds, else `otherwise`.
#[inline(always)]
pub fn select(condition: u32, then: u32, otherwise: u32) -> u32 {
    otherwise ^ value_if(condition, otherwise ^ then)
}

/// `value` where the condition holds, else 0.
#[inline(always)]
pub fn value_if(condition: u32, value: u32) -> u32 {
    value & opaque(u64::from(condition.wrapping_neg())) as u32
}

/// The opposite condition.
#[inline(always)]
pub const fn not(condition: u32) -> u32 {
    condition ^ 1
}

/// `value`, or 0 where it is negative.
#[inline(always)]
pub fn at_least_zero(value: i32) -> u32 {
    select(sign(value as i64 as u64), 0, value as u32)
}

/// `value - less`, but not below zero.
#[inline(always)]
pub fn saturating_sub(value: u64, less: u64) -> u64 {
    value.wrapping_sub(less) & u64::from(at_least(value, less)).wrapping_neg()
}

/// The highest bit. It is hidden because the compiler would turn the shift into a comparison, and the BPF target implements a
/// comparison with a branch.
#[inline(always)]
fn sign(value: u64) -> u32 {
    (opaque(value) >> 63) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORNERS: [u64; 9] = [0, 1, 2, 31, 1 << 31, (1 << 32) - 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX];

    #[test]
    fn conditions_are_those_of_comparisons() {
        for one in CORNERS {
            for other in CORNERS {
                assert_eq!(at_least(one, other), u32::from(one >= other), "{one} at least {other}");
                assert_eq!(differs(one, other), u32::from(one != other), "{one} differs from {other}");
                assert_eq!(saturating_sub(one, other), one.saturating_sub(other), "{one} less {other}");
            }
        }
    }

    #[test]
    fn selections_are_those_of_branches() {
        for value in [i32::MIN, -1, 0, 1, i32::MAX] {
            assert_eq!(at_least_zero(value), value.max(0) as u32);
        }
        assert_eq!([has(0b0110, 2), has(0b0110, 8), has(1 << 7, 1 << 7)], [1, 0, 1]);
        assert_eq!(select(1, 7, 9), 7);
        assert_eq!(select(0, 7, 9), 9);
        assert_eq!(select(1, u32::MAX, 0), u32::MAX);
    }
}
