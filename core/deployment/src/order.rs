/// Returns the places of `sequence` that are out of order: all but a longest rising subsequence,
/// which is the fewest that must move to put the rest right.
pub(crate) fn moved(sequence: &[usize]) -> Vec<usize> {
    let stays = longest_rising(sequence);
    (0..sequence.len()).filter(|at| !stays.contains(at)).collect()
}

fn longest_rising(sequence: &[usize]) -> Vec<usize> {
    // For each place, the length of the longest rise that ends there, and the place before it.
    let mut best: Vec<(usize, Option<usize>)> = Vec::with_capacity(sequence.len());
    for (at, value) in sequence.iter().enumerate() {
        let before =
            (0..at).filter(|b| sequence[*b] < *value).max_by_key(|b| (best[*b].0, at - *b));
        best.push(before.map_or((1, None), |b| (best[b].0 + 1, Some(b))));
    }
    let mut at = (0..sequence.len()).max_by_key(|at| best[*at].0);
    let mut stays = Vec::new();
    while let Some(place) = at {
        stays.push(place);
        at = best[place].1;
    }
    stays
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fewest_are_moved() {
        assert!(moved(&[]).is_empty());
        assert!(moved(&[0, 1, 2]).is_empty());
        assert_eq!(moved(&[3, 0, 1, 2]), [0]);
        assert_eq!(moved(&[1, 2, 3, 0]), [3]);
        assert_eq!(moved(&[2, 1, 0]).len(), 2);
    }

    proptest! {
        #[test]
        fn what_stays_rises(sequence in Just((0..9_usize).collect::<Vec<_>>()).prop_shuffle()) {
            let moved = moved(&sequence);
            let stays = sequence.iter().enumerate().filter(|(at, _)| !moved.contains(at));
            prop_assert!(stays.map(|(_, value)| *value).is_sorted());
        }
    }
}
