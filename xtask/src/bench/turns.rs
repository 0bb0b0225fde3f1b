//! Taking turns: whatever else the machine does must hurt both sides of a comparison alike.

use anyhow::Result;

/// Runs both, in the one order when `round` is even and in the other when it is odd: what only grows or only shrinks over time
/// cancels out.
pub fn pair<A, B>(
    round: usize,
    mut first: impl FnMut() -> Result<A>,
    mut second: impl FnMut() -> Result<B>,
) -> Result<(A, B)> {
    if round.is_multiple_of(2) {
        let a = first()?;
        Ok((a, second()?))
    } else {
        let b = second()?;
        Ok((first()?, b))
    }
}

/// The places 0 to `count` − 1, beginning one further in each round.
pub fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (place + round) % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_comes_once_a_round_and_first_in_turn() {
        let rounds: Vec<Vec<usize>> = (0..3).map(|round| order(round, 3).collect()).collect();
        assert_eq!(rounds, [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
    }

    #[test]
    fn results_keep_their_places_whoever_goes_first() {
        for round in 0..2 {
            assert_eq!(pair(round, || Ok('a'), || Ok('b')).ok(), Some(('a', 'b')));
        }
    }
}
