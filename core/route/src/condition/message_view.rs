use std::collections::HashMap;
use std::sync::OnceLock;

use cel::common::types::{CelInt, CelList, CelMap, CelMapKey, CelString};
use cel::common::value::{CowVal, Val};
use tomte_base::{Properties, Source};

use super::EvaluationError;
use super::json::{Json, text_width};

/// One message as conditions see it. The payload is read as JSON at most once, when the first
/// condition asks for it, and shared by all conditions of the message.
#[derive(Debug)]
pub struct MessageView<'a> {
    topic: &'a str,
    payload: &'a [u8],
    source: &'a Source,
    properties: Option<&'a Properties>,
    json: OnceLock<Result<Json, EvaluationError>>,
    topic_value: OnceLock<CelString<'a>>,
    levels: OnceLock<CelList<'a>>,
    source_value: OnceLock<CelString<'static>>,
    size: OnceLock<CelInt>,
    properties_value: OnceLock<CelMap<'a>>,
}

impl<'a> MessageView<'a> {
    /// Returns the view of a message. Costs nothing until a condition is evaluated.
    #[must_use]
    pub fn new(
        topic: &'a str,
        payload: &'a [u8],
        source: &'a Source,
        properties: Option<&'a Properties>,
    ) -> Self {
        Self {
            topic,
            payload,
            source,
            properties,
            json: OnceLock::new(),
            topic_value: OnceLock::new(),
            levels: OnceLock::new(),
            source_value: OnceLock::new(),
            size: OnceLock::new(),
            properties_value: OnceLock::new(),
        }
    }

    /// Returns the topic.
    #[must_use]
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// Returns who published the message.
    #[must_use]
    pub fn source(&self) -> &'a Source {
        self.source
    }

    /// Returns the payload read as JSON, or why it cannot be read.
    pub(super) fn json(&self) -> Result<&Json, &EvaluationError> {
        self.json.get_or_init(|| Json::parse(self.payload)).as_ref()
    }

    /// Returns how many values the message holds besides its payload.
    pub(super) fn width(&self) -> u64 {
        let user = self.properties.map_or(&[][..], |properties| &properties.user);
        let texts = user.iter().map(|(key, value)| text_width(key.len()) + text_width(value.len()));
        let levels = self.topic.split('/').map(|level| text_width(level.len()));
        texts.sum::<u64>() + levels.sum::<u64>()
    }

    /// Returns the value of a variable, none when there is no such variable or, for `payload`, when
    /// the payload is not JSON.
    pub(super) fn variable<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        let value: &'b (dyn Val + 'b) = match name {
            "payload" => self.json().ok()?.value.as_ref(),
            "topic" => self.topic_value.get_or_init(|| CelString::from(self.topic)),
            "levels" => self.levels.get_or_init(|| levels(self.topic)),
            "source" => self.source_value.get_or_init(|| CelString::from(self.source.to_string())),
            "size" => self.size.get_or_init(|| {
                CelInt::from(i64::try_from(self.payload.len()).unwrap_or(i64::MAX))
            }),
            "properties" => self.properties_value.get_or_init(|| properties(self.properties)),
            _ => return None,
        };
        Some(CowVal::Borrowed(value))
    }
}

fn levels(topic: &str) -> CelList<'_> {
    let levels = topic.split('/').map(|level| Box::new(CelString::from(level)) as Box<dyn Val>);
    CelList::from(levels.collect::<Vec<_>>())
}

fn properties(properties: Option<&Properties>) -> CelMap<'_> {
    let user = properties.map_or(&[][..], |properties| &properties.user);
    let entry = |(key, value): &'_ (String, String)| -> (CelMapKey<'_>, Box<dyn Val + '_>) {
        (CelMapKey::from(key.clone()), Box::new(CelString::from(value.clone())))
    };
    CelMap::from(user.iter().map(entry).collect::<HashMap<_, _>>())
}
