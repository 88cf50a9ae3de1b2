use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Longest topic name or filter, in bytes (MQTT 5, 1.5.4: a UTF-8 string has a 16-bit length).
pub const MAX_TOPIC_BYTES: usize = 65_535;

/// Most levels of a topic name or filter. The standard has no limit; this one bounds the work that
/// one message can cause. It allows 200 separators, as mosquitto does.
pub const MAX_TOPIC_LEVELS: usize = 201;

/// Why a text is not a topic name or filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Names and filters have at least one character (MQTT-4.7.3-1).
    #[error("the topic is empty")]
    Empty,
    /// Longer than [`MAX_TOPIC_BYTES`] (MQTT-4.7.3-3).
    #[error("the topic has {length} bytes, at most {MAX_TOPIC_BYTES} are allowed")]
    TooLong {
        /// Length of the refused topic in bytes.
        length: usize,
    },
    /// Deeper than [`MAX_TOPIC_LEVELS`].
    #[error("the topic has {levels} levels, at most {MAX_TOPIC_LEVELS} are allowed")]
    TooManyLevels {
        /// Levels of the refused topic.
        levels: usize,
    },
    /// U+0000 is not allowed (MQTT-4.7.3-2).
    #[error("the topic holds the character U+0000")]
    Null,
    /// Wildcards are not allowed in a name (MQTT-3.3.2-2).
    #[error("the topic name {topic:?} holds the wildcard {wildcard:?}")]
    WildcardInName {
        /// The refused topic.
        topic: String,
        /// The wildcard that it holds.
        wildcard: char,
    },
    /// `#` stands alone in the last level, `+` alone in its level (MQTT-4.7.1-1, MQTT-4.7.1-2).
    #[error(
        "in the filter {filter:?} the wildcard of level {level:?} does not stand alone, or '#' is not last"
    )]
    MisplacedWildcard {
        /// The refused filter.
        filter: String,
        /// The level that holds it.
        level: String,
    },
    /// A shared filter is `$share/<group>/<filter>` (MQTT-4.8.2-1, MQTT-4.8.2-2).
    #[error("{filter:?} is not of the form $share/<group>/<filter>")]
    BadShare {
        /// The refused filter.
        filter: String,
    },
}

fn check_text(topic: &str) -> Result<(), TopicError> {
    if topic.is_empty() {
        return Err(TopicError::Empty);
    }
    if topic.len() > MAX_TOPIC_BYTES {
        return Err(TopicError::TooLong { length: topic.len() });
    }
    let mut levels = 1;
    for byte in topic.bytes() {
        match byte {
            0 => return Err(TopicError::Null),
            b'/' => levels += 1,
            _ => {}
        }
    }
    if levels > MAX_TOPIC_LEVELS {
        return Err(TopicError::TooManyLevels { levels });
    }
    Ok(())
}

/// A topic that messages are published on: valid, without wildcards. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Checks `topic` and keeps it.
    ///
    /// # Errors
    /// Fails with [`TopicError`] when it is not a topic name by section 4.7 of the standard.
    pub fn new(topic: &str) -> Result<Self, TopicError> {
        Self::check(topic)?;
        Ok(Self(topic.into()))
    }

    /// Checks that `topic` is a topic name, without keeping it.
    ///
    /// # Errors
    /// Fails with [`TopicError`] when it is not a topic name by section 4.7 of the standard.
    pub fn check(topic: &str) -> Result<(), TopicError> {
        check_text(topic)?;
        match topic.chars().find(|c| matches!(c, '+' | '#')) {
            Some(wildcard) => Err(TopicError::WildcardInName { topic: topic.to_owned(), wildcard }),
            None => Ok(()),
        }
    }
}

/// A pattern of topics: `+` stands for one level, a last `#` for all further ones.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter(Arc<str>);

impl TopicFilter {
    /// Checks `filter` and keeps it.
    ///
    /// # Errors
    /// Fails with [`TopicError`] when it is not a topic filter by section 4.7 of the standard.
    pub fn new(filter: &str) -> Result<Self, TopicError> {
        check_text(filter)?;
        let mut levels = filter.split('/').peekable();
        while let Some(level) = levels.next() {
            let holds_hash = level.contains('#');
            let alone = level.len() == 1;
            let hash_ok = !holds_hash || (alone && levels.peek().is_none());
            let plus_ok = !level.contains('+') || alone;
            if !hash_ok || !plus_ok {
                return Err(TopicError::MisplacedWildcard {
                    filter: filter.to_owned(),
                    level: level.to_owned(),
                });
            }
        }
        Ok(Self(filter.into()))
    }

    /// Tells whether the filter holds a wildcard.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.0.contains(['+', '#'])
    }

    /// Tells whether messages on `topic` match.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        topic_matches(&self.0, topic)
    }

    /// Tells whether every topic name that matches `other` matches this filter too.
    #[must_use]
    pub fn covers(&self, other: &TopicFilter) -> bool {
        // A leading wildcard does not match topics that start with '$' (MQTT-4.7.2-1).
        if other.0.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let (mut ours, mut theirs) = (self.0.split('/'), other.0.split('/'));
        loop {
            match (ours.next(), theirs.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(b)) if b != "#" => {}
                (Some(a), Some(b)) if a == b => {}
                _ => return false,
            }
        }
    }

    /// Tells whether some topic name matches both this filter and `other`.
    #[must_use]
    pub fn overlaps(&self, other: &TopicFilter) -> bool {
        // A leading wildcard does not match topics that start with '$' (MQTT-4.7.2-1).
        let dollar = |filter: &str| filter.starts_with('$');
        let wild = |filter: &str| filter.starts_with(['+', '#']);
        if (dollar(&self.0) && wild(&other.0)) || (wild(&self.0) && dollar(&other.0)) {
            return false;
        }
        let (mut ours, mut theirs) = (self.0.split('/'), other.0.split('/'));
        loop {
            match (ours.next(), theirs.next()) {
                (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
                (Some(a), Some(b)) if a == b || a == "+" || b == "+" => {}
                _ => return false,
            }
        }
    }
}

/// What a client subscribes to: a filter, or one that it shares with a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SharedFilter {
    /// The group of `$share/<group>/<filter>`, none for an ordinary subscription.
    pub group: Option<Arc<str>>,
    /// The filter without the share.
    pub filter: TopicFilter,
}

impl SharedFilter {
    /// Reads what a SUBSCRIBE packet names.
    ///
    /// # Errors
    /// Fails with [`TopicError`] when it is no filter, or starts with `$share/` and is no share.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let Some(rest) = text.strip_prefix("$share/") else {
            return Ok(Self { group: None, filter: TopicFilter::new(text)? });
        };
        let bad = || TopicError::BadShare { filter: text.to_owned() };
        let (group, filter) = rest.split_once('/').ok_or_else(bad)?;
        if group.is_empty() || filter.is_empty() || group.contains(['+', '#']) {
            return Err(bad());
        }
        Ok(Self { group: Some(group.into()), filter: TopicFilter::new(filter)? })
    }
}

/// Tells whether messages on `topic` match `filter` (MQTT 5, section 4.7). Both must be valid.
#[must_use]
pub fn topic_matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut pattern, mut levels) = (filter.split('/'), topic.split('/'));
    loop {
        match (pattern.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some(p), Some(level)) if p == "+" || p == level => {}
            _ => return false,
        }
    }
}

macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            /// Returns the topic as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

text_type!(TopicName);
text_type!(TopicFilter);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(filter: &str, topic: &str, expect: bool) {
        let filter = TopicFilter::new(filter).unwrap();
        TopicName::check(topic).unwrap();
        assert_eq!(filter.matches(topic), expect, "{filter} against {topic}");
    }

    #[test]
    fn wildcards_match_as_the_standard_lists_them() {
        // The examples of MQTT 5, 4.7.1.2, 4.7.1.3 and 4.7.2.
        check("sport/tennis/player1/#", "sport/tennis/player1", true);
        check("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true);
        check("sport/#", "sport", true);
        check("sport/tennis/+", "sport/tennis/player1", true);
        check("sport/tennis/+", "sport/tennis/player1/ranking", false);
        check("sport/+", "sport", false);
        check("sport/+", "sport/", true);
        check("+/+", "/finance", true);
        check("/+", "/finance", true);
        check("+", "/finance", false);
        check("#", "$SYS/x", false);
        check("+/monitor/Clients", "$SYS/monitor/Clients", false);
        check("$SYS/#", "$SYS/x", true);
        check("ACCOUNTS", "Accounts", false);
    }

    #[test]
    fn misplaced_wildcards_are_refused() {
        for filter in ["sport/tennis#", "sport/#/ranking", "sport+", "a/+b", "##", "++", "", "a\0"]
        {
            assert!(TopicFilter::new(filter).is_err(), "{filter:?}");
        }
        for name in ["a/+", "#", "", "a\0b"] {
            assert!(TopicName::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn limits_hold_at_the_bound() {
        assert!(TopicName::new(&"a".repeat(MAX_TOPIC_BYTES)).is_ok());
        assert!(TopicName::new(&"a".repeat(MAX_TOPIC_BYTES + 1)).is_err());
        assert!(TopicName::new(&"/".repeat(MAX_TOPIC_LEVELS - 1)).is_ok());
        assert!(TopicName::new(&"/".repeat(MAX_TOPIC_LEVELS)).is_err());
    }

    #[test]
    fn shares_are_told_apart() {
        let shared = SharedFilter::parse("$share/group/a/+").unwrap();
        assert_eq!(shared.group.as_deref(), Some("group"));
        assert_eq!(shared.filter.as_str(), "a/+");
        assert_eq!(SharedFilter::parse("a/+").unwrap().group, None);
        for bad in ["$share/", "$share/g", "$share//a", "$share/g/", "$share/+/a"] {
            assert!(SharedFilter::parse(bad).is_err(), "{bad}");
        }
    }

    fn levels(wild: bool) -> impl Strategy<Value = String> {
        let level = if wild { "[abc$+]|" } else { "[abc$]|" };
        let tail = if wild { "(/#)?" } else { "" };
        (proptest::collection::vec(level, 1..5), tail)
            .prop_map(|(levels, tail)| levels.join("/") + &tail)
            .prop_filter("topics have a character", |topic| !topic.is_empty())
    }

    proptest! {
        #[test]
        fn two_filters_that_match_one_topic_overlap(a in levels(true), b in levels(true), topic in levels(false)) {
            let (a, b) = (TopicFilter::new(&a).unwrap(), TopicFilter::new(&b).unwrap());
            prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
            if a.matches(&topic) && b.matches(&topic) {
                prop_assert!(a.overlaps(&b), "{} {} {}", a, b, topic);
            }
        }

        #[test]
        fn filters_that_overlap_share_a_topic(a in levels(true), b in levels(true)) {
            let (a, b) = (TopicFilter::new(&a).unwrap(), TopicFilter::new(&b).unwrap());
            if a.overlaps(&b) {
                prop_assert!(witness(&a, &b).iter().any(|t| a.matches(t) && b.matches(t)), "{a} {b}");
            }
        }
    }

    /// Topics of which one matches both filters when any does: wildcards replaced by a plain level.
    fn witness(a: &TopicFilter, b: &TopicFilter) -> Vec<String> {
        let pick = |x: Option<&str>, y: Option<&str>| match (x, y) {
            (Some(x), _) if !matches!(x, "+" | "#") => x.to_owned(),
            (_, Some(y)) if !matches!(y, "+" | "#") => y.to_owned(),
            _ => "w".to_owned(),
        };
        let (a, b): (Vec<_>, Vec<_>) = (a.split('/').collect(), b.split('/').collect());
        let longest = a.len().max(b.len());
        (1..=longest)
            .map(|n| {
                (0..n)
                    .map(|i| pick(a.get(i).copied(), b.get(i).copied()))
                    .collect::<Vec<_>>()
                    .join("/")
            })
            .collect()
    }

    #[test]
    fn a_filter_covers_what_it_leaves_nothing_of() {
        let covers =
            |a: &str, b: &str| TopicFilter::new(a).unwrap().covers(&TopicFilter::new(b).unwrap());
        for (wide, narrow) in
            [("#", "a/+/#"), ("a/#", "a"), ("a/#", "a/b/#"), ("+/b", "a/b"), ("a/+", "a/+")]
        {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (a, b) in [("a/+", "a/#"), ("a/b", "a/+"), ("#", "$SYS/#"), ("+", "a/b"), ("a", "b")] {
            assert!(!covers(a, b), "{a} {b}");
        }
    }
}
