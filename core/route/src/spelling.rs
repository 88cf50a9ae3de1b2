/// Returns the candidate that `word` was most likely meant to be, if one is near enough to say so.
///
/// Near enough is a third of the letters: one slip in a word of three, two in a word of six. Letter
/// case is no slip.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let limit = length / 3;
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(slips, _)| *slips <= limit)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// Returns how many letters must be added, dropped, changed or swapped with their neighbour to turn
/// one word into the other, letter case aside (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let fold = |word: &str| word.chars().map(|c| c.to_ascii_lowercase()).collect::<Vec<_>>();
    let (from, to) = (fold(from), fold(to));
    let mut before = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let changed = last[j] + usize::from(a != b);
            let swapped = i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b;
            let swap = if swapped { before[j - 1] + 1 } else { usize::MAX };
            row.push(changed.min(last[j + 1] + 1).min(row[j] + 1).min(swap));
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expect: Option<&str>) {
        let names = ["fan", "thermometer", "regulate", "log", "memory"];
        assert_eq!(nearest(word, names), expect, "{word}");
    }

    #[test]
    fn a_slip_of_the_hand_finds_the_word_that_was_meant() {
        check("fna", Some("fan"));
        check("thermomter", Some("thermometer"));
        check("Regulate", Some("regulate"));
        check("mem0ry", Some("memory"));
        assert_eq!(nearest("F", ["g", "f"]), Some("f"));
    }

    #[test]
    fn another_word_altogether_finds_none() {
        check("valve", None);
        check("", None);
        check("x", None);
        assert_eq!(nearest("g", ["f"]), None);
    }

    #[test]
    fn distances_count_the_slips() {
        for (from, to, expect) in
            [("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(from, to), expect, "{from} {to}");
            assert_eq!(distance(to, from), expect, "{to} {from}");
        }
    }
}
