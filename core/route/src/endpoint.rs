use std::fmt;
use std::str::FromStr;

use tomte_base::{DeviceName, FunctionName, NameError, Source};

use crate::nearest;

/// Words that other parts of the design give a meaning to, but this version does not.
const NOT_YET: [&str; 5] = ["timer", "shadow", "remote", "hub", "service"];

/// What a route's `from` can say.
const SOURCE_FORMS: &str = "device:NAME, device:*, function:NAME, function:*, anonymous";

/// What a route's `to` can say.
const DESTINATION_FORMS: &str = "device:NAME, function:NAME, subscribers, nobody";

/// Why a text is neither a source nor a destination of a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The word before the colon has no meaning.
    #[error("{text:?} is not known here{}", did_you_mean(.nearest.as_deref()))]
    Unknown {
        /// The refused text.
        text: String,
        /// The text that was probably meant.
        nearest: Option<String>,
        /// What would be allowed.
        allowed: &'static str,
    },
    /// The word has a meaning in the design, but nothing stands behind it yet.
    #[error("{text:?} is not available in this version yet")]
    NotYet {
        /// The refused text.
        text: String,
        /// What would be allowed.
        allowed: &'static str,
    },
    /// The part after the colon is no name.
    #[error("in {text:?} {source}")]
    Name {
        /// The refused text.
        text: String,
        /// Why it is no name.
        source: NameError,
        /// What would be allowed.
        allowed: &'static str,
    },
}

impl EndpointError {
    /// Returns the forms that would be allowed in that place.
    #[must_use]
    pub fn allowed(&self) -> &'static str {
        match self {
            Self::Unknown { allowed, .. }
            | Self::NotYet { allowed, .. }
            | Self::Name { allowed, .. } => allowed,
        }
    }
}

pub(crate) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

/// Where a route takes messages from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SourcePattern {
    /// `device:*`: every device, and clients that were let in without an identity.
    AnyDevice,
    /// `device:fan`: this device.
    Device(DeviceName),
    /// `function:*`: every function.
    AnyFunction,
    /// `function:regulate`: what this function returns or publishes.
    Function(FunctionName),
    /// `anonymous`: clients that were let in without an identity.
    Anonymous,
}

impl SourcePattern {
    /// Reads what the manifest's `from` names.
    ///
    /// # Errors
    /// Fails with [`EndpointError`] when the word is unknown, not available yet, or the name is none.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let name =
            |source| EndpointError::Name { text: text.to_owned(), source, allowed: SOURCE_FORMS };
        match text.split_once(':') {
            Some(("device", "*")) => Ok(Self::AnyDevice),
            Some(("function", "*")) => Ok(Self::AnyFunction),
            Some(("device", rest)) => DeviceName::new(rest).map(Self::Device).map_err(name),
            Some(("function", rest)) => FunctionName::new(rest).map(Self::Function).map_err(name),
            None if text == "anonymous" => Ok(Self::Anonymous),
            _ => Err(unknown(text, &["device", "function"], &["anonymous"], SOURCE_FORMS)),
        }
    }

    /// Tells whether every source that `other` means is meant.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::AnyDevice, Self::Device(_) | Self::Anonymous)
            | (Self::AnyFunction, Self::Function(_)) => true,
            _ => self == other,
        }
    }

    /// Tells whether messages of `source` are meant.
    #[must_use]
    pub fn matches(&self, source: &Source) -> bool {
        match (self, source) {
            (Self::AnyDevice, Source::Device(_) | Source::Anonymous)
            | (Self::AnyFunction, Source::Function(_))
            | (Self::Anonymous, Source::Anonymous) => true,
            (Self::Device(pattern), Source::Device(name)) => pattern == name,
            (Self::Function(pattern), Source::Function(name)) => pattern == name,
            _ => false,
        }
    }
}

impl FromStr for SourcePattern {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text)
    }
}

impl fmt::Display for SourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyDevice => f.write_str("device:*"),
            Self::Device(name) => write!(f, "device:{name}"),
            Self::AnyFunction => f.write_str("function:*"),
            Self::Function(name) => write!(f, "function:{name}"),
            Self::Anonymous => f.write_str("anonymous"),
        }
    }
}

/// Where a route sends messages to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// `subscribers`: every session that subscribed to the topic.
    Subscribers,
    /// `device:fan`: the session of this device, where it subscribed to the topic.
    Device(DeviceName),
    /// `function:regulate`: a call of this function.
    Function(FunctionName),
    /// `nobody`: whatever other routes say, nobody gets it.
    Nobody,
}

impl Destination {
    /// Reads what the manifest's `to` names.
    ///
    /// # Errors
    /// Fails with [`EndpointError`] when the word is unknown, not available yet, or the name is none.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let name = |source| EndpointError::Name {
            text: text.to_owned(),
            source,
            allowed: DESTINATION_FORMS,
        };
        match text.split_once(':') {
            Some(("device", rest)) => DeviceName::new(rest).map(Self::Device).map_err(name),
            Some(("function", rest)) => FunctionName::new(rest).map(Self::Function).map_err(name),
            None if text == "subscribers" => Ok(Self::Subscribers),
            None if text == "nobody" => Ok(Self::Nobody),
            _ => {
                let words = ["subscribers", "nobody"];
                Err(unknown(text, &["device", "function"], &words, DESTINATION_FORMS))
            }
        }
    }
}

impl FromStr for Destination {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscribers => f.write_str("subscribers"),
            Self::Device(name) => write!(f, "device:{name}"),
            Self::Function(name) => write!(f, "function:{name}"),
            Self::Nobody => f.write_str("nobody"),
        }
    }
}

/// Says why `text`, whose first word is not one of `kinds` or `words`, is refused.
fn unknown(text: &str, kinds: &[&str], words: &[&str], allowed: &'static str) -> EndpointError {
    let text = text.to_owned();
    let meant = match text.split_once(':') {
        Some((kind, _)) if NOT_YET.contains(&kind) => {
            return EndpointError::NotYet { text, allowed };
        }
        Some((kind, name)) => {
            nearest(kind, kinds.iter().copied()).map(|kind| format!("{kind}:{name}"))
        }
        None => nearest(&text, words.iter().copied()).map(str::to_owned),
    };
    EndpointError::Unknown { text, nearest: meant, allowed }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(text: &str) -> Source {
        match SourcePattern::parse(text).unwrap() {
            SourcePattern::Device(name) => Source::Device(name),
            SourcePattern::Function(name) => Source::Function(name),
            SourcePattern::Anonymous => Source::Anonymous,
            pattern => panic!("{pattern} is no single source"),
        }
    }

    #[test]
    fn patterns_read_what_they_print() {
        for text in ["device:*", "device:fan", "function:*", "function:regulate", "anonymous"] {
            assert_eq!(SourcePattern::parse(text).unwrap().to_string(), text);
        }
        for text in ["subscribers", "nobody", "device:fan", "function:regulate"] {
            assert_eq!(Destination::parse(text).unwrap().to_string(), text);
        }
    }

    /// Proves: EVT-2.
    #[test]
    fn each_pattern_matches_exactly_its_sources() {
        let sources = ["device:fan", "device:lamp", "function:f", "function:g", "anonymous"];
        let rows = [
            ("device:*", &["device:fan", "device:lamp", "anonymous"][..]),
            ("device:fan", &["device:fan"]),
            ("function:*", &["function:f", "function:g"]),
            ("function:f", &["function:f"]),
            ("anonymous", &["anonymous"]),
        ];
        for (pattern, matched) in rows {
            for text in sources {
                let matches = SourcePattern::parse(pattern).unwrap().matches(&source(text));
                assert_eq!(matches, matched.contains(&text), "{pattern} against {text}");
            }
        }
    }

    #[test]
    fn words_of_later_versions_say_so() {
        for word in ["timer:daily", "shadow:fan", "remote:cloud", "hub:attic", "service:s3"] {
            let expect = format!("{word:?} is not available in this version yet");
            assert_eq!(SourcePattern::parse(word).unwrap_err().to_string(), expect);
            assert_eq!(Destination::parse(word).unwrap_err().to_string(), expect);
        }
    }

    #[test]
    fn a_misspelt_word_is_answered_with_the_right_one() {
        let error = SourcePattern::parse("devise:fan").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#""devise:fan" is not known here; did you mean "device:fan"?"#
        );
        let error = Destination::parse("subscriber").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#""subscriber" is not known here; did you mean "subscribers"?"#
        );
        assert_eq!(error.allowed(), DESTINATION_FORMS);
    }

    #[test]
    fn bad_names_and_wildcard_destinations_are_refused() {
        for text in ["device:", "device:a b", "function:", "fan", "", ":", "device"] {
            assert!(SourcePattern::parse(text).is_err(), "{text}");
            assert!(Destination::parse(text).is_err(), "{text}");
        }
        for text in ["device:*", "function:*", "anonymous"] {
            assert!(Destination::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*|(device|function|hub):\\PC*") {
            let _ = SourcePattern::parse(&text);
            let _ = Destination::parse(&text);
        }
    }
}
