/// The keys of one filter with their values, in the order of the keys.
///
/// Most filters have one key, which lies in the node itself. More lie in one sorted vector: a
/// message to a thousand sessions reads memory in order.
pub(super) enum Members<K, V> {
    None,
    One(K, V),
    Many(Vec<(K, V)>),
}

/// Vectors with fewer places than this are not shrunk.
const SMALLEST_SHRUNK: usize = 16;

impl<K: Copy + Ord, V> Members<K, V> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn get(&self, key: K) -> Option<&V> {
        match self {
            Self::One(only, value) if *only == key => Some(value),
            Self::Many(all) => place(all, key).ok().map(|at| &all[at].1),
            _ => None,
        }
    }

    pub(super) fn visit<'t>(&'t self, visit: &mut impl FnMut(K, &'t V)) {
        match self {
            Self::None => {}
            Self::One(key, value) => visit(*key, value),
            Self::Many(all) => all.iter().for_each(|(key, value)| visit(*key, value)),
        }
    }

    /// Adds `key` or changes its value, and returns the value that was replaced.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match std::mem::replace(self, Self::None) {
            Self::None => {
                *self = Self::One(key, value);
                None
            }
            Self::One(only, replaced) if only == key => {
                *self = Self::One(key, value);
                Some(replaced)
            }
            Self::One(only, old) => {
                let mut both = vec![(only, old), (key, value)];
                both.sort_unstable_by_key(|(key, _)| *key);
                *self = Self::Many(both);
                None
            }
            Self::Many(mut all) => {
                let replaced = match place(&all, key) {
                    Ok(at) => Some(std::mem::replace(&mut all[at].1, value)),
                    Err(at) => {
                        all.insert(at, (key, value));
                        None
                    }
                };
                *self = Self::Many(all);
                replaced
            }
        }
    }

    /// Removes `key` and returns its value.
    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        match std::mem::replace(self, Self::None) {
            Self::One(only, value) if only == key => Some(value),
            Self::Many(mut all) => {
                let removed = place(&all, key).ok().map(|at| all.remove(at).1);
                *self = Self::of_sorted(all);
                removed
            }
            other => {
                *self = other;
                None
            }
        }
    }

    /// Takes a vector that holds at least one key.
    fn of_sorted(mut all: Vec<(K, V)>) -> Self {
        if all.len() == 1
            && let Some((key, value)) = all.pop()
        {
            return Self::One(key, value);
        }
        if all.capacity() > SMALLEST_SHRUNK && all.len() < all.capacity() / 4 {
            all.shrink_to(all.len() * 2);
        }
        Self::Many(all)
    }
}

fn place<K: Copy + Ord, V>(all: &[(K, V)], key: K) -> Result<usize, usize> {
    // New sessions have the greatest keys: look at the end first.
    match all.last() {
        Some((last, _)) if *last < key => Err(all.len()),
        _ => all.binary_search_by_key(&key, |(key, _)| *key),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn listed(members: &Members<u8, u32>) -> Vec<(u8, u32)> {
        let mut all = Vec::new();
        members.visit(&mut |key, value| all.push((key, *value)));
        all
    }

    proptest! {
        #[test]
        fn members_behave_as_a_sorted_map(steps in prop::collection::vec((any::<bool>(), 0..20u8, any::<u32>()), 0..200)) {
            let (mut members, mut model) = (Members::None, BTreeMap::new());
            for (add, key, value) in steps {
                if add {
                    prop_assert_eq!(members.insert(key, value), model.insert(key, value));
                } else {
                    prop_assert_eq!(members.remove(key), model.remove(&key));
                }
                prop_assert_eq!(members.get(key), model.get(&key));
                prop_assert_eq!(members.is_empty(), model.is_empty());
                prop_assert_eq!(listed(&members), model.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn memory_returns_when_most_keys_have_left() {
        let mut members = Members::None;
        (0..10_000u32).for_each(|key| assert_eq!(members.insert(key, ()), None));
        (2..10_000u32).for_each(|key| assert_eq!(members.remove(key), Some(())));
        let Members::Many(all) = &members else { panic!("two keys are left") };
        assert!(all.capacity() <= SMALLEST_SHRUNK, "{}", all.capacity());
    }
}
