//! The topic on which a message goes on, made of parts of the topic on which it came.

use std::fmt;

use tomte_base::{TopicError, TopicFilter, TopicName};

/// Why a text is no template of a topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// What it makes is no topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A bracket without its other half.
    #[error("in {level:?} a bracket stands alone")]
    OpenBracket {
        /// The level of the template.
        level: String,
    },
    /// Something else in brackets than what is offered.
    #[error("{{{placeholder}}} is not known here")]
    UnknownPlaceholder {
        /// What stands in the brackets.
        placeholder: String,
    },
    /// A level that some topics of the route do not have.
    #[error("{{levels[{level}]}} is not in every topic of {filter}, which has {count} for sure")]
    NoSuchLevel {
        /// Its number, from 0.
        level: usize,
        /// The filter of the route.
        filter: String,
        /// How many levels each topic has at least.
        count: usize,
    },
    /// A whole topic within one level.
    #[error("{{topic}} stands alone between two slashes, not as in {level:?}")]
    TopicWithinLevel {
        /// The level of the template.
        level: String,
    },
    /// Topics of this form are those of shared subscriptions.
    #[error("a message cannot go on as $share/...")]
    Shared,
}

impl TemplateError {
    /// What a template may hold.
    pub const EXPECTED: &str = "a topic such as \"orders/{levels[1]}\"; {levels[N]} is a level of the topic, {topic} all of it";
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A level of the topic, by number.
    Level(usize),
    /// All levels of the topic.
    Topic,
}

/// A topic with places for parts of another one: `alarm/{levels[1]}`, `mirror/{topic}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTemplate {
    text: String,
    parts: Vec<Part>,
    makes: TopicFilter,
}

impl TopicTemplate {
    /// Reads a template for topics that match `from`.
    ///
    /// # Errors
    /// Fails with [`TemplateError`] when it would not make a topic of each of them. What depends on
    /// their length is left to [`TopicTemplate::render`].
    pub fn parse(text: &str, from: &TopicFilter) -> Result<Self, TemplateError> {
        if text.starts_with("$share/") {
            return Err(TemplateError::Shared);
        }
        let (mut parts, mut makes) = (Vec::new(), Vec::new());
        for (at, level) in text.split('/').enumerate() {
            if at > 0 {
                parts.push(Part::Text("/".to_owned()));
            }
            let found = parse_level(level, from)?;
            if let Some(Part::Text(text)) = found.first()
                && found.len() == 1
            {
                TopicName::check(&format!("{text}x"))?;
            }
            makes.push(filter_of(&found, from));
            parts.extend(found);
        }
        let makes = makes.join("/");
        // What follows a last # of the route's own topic can be anything.
        let makes = makes.find('#').map_or(&*makes, |at| &makes[..=at]);
        Ok(Self { text: text.to_owned(), makes: TopicFilter::new(makes)?, parts })
    }

    /// Returns the template as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the filter of all topics that it can make.
    #[must_use]
    pub fn makes(&self) -> &TopicFilter {
        &self.makes
    }

    /// Returns what it makes of `topic`.
    ///
    /// # Errors
    /// Fails with [`TopicError`] when that would be too long or too deep.
    pub fn render(&self, topic: &str) -> Result<TopicName, TopicError> {
        let levels: Vec<&str> = topic.split('/').collect();
        let mut rendered = String::new();
        for part in &self.parts {
            rendered.push_str(match part {
                Part::Text(text) => text,
                Part::Level(level) => levels.get(*level).copied().unwrap_or_default(),
                Part::Topic => topic,
            });
        }
        TopicName::new(&rendered)
    }
}

impl fmt::Display for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse_level(level: &str, from: &TopicFilter) -> Result<Vec<Part>, TemplateError> {
    let open = || TemplateError::OpenBracket { level: level.to_owned() };
    let (mut parts, mut rest) = (Vec::new(), level);
    while let Some((before, after)) = rest.split_once('{') {
        let (placeholder, behind) = after.split_once('}').ok_or_else(open)?;
        push_text(&mut parts, before, level)?;
        parts.push(placeholder_part(placeholder, from)?);
        rest = behind;
    }
    push_text(&mut parts, rest, level)?;
    if parts.contains(&Part::Topic) && parts.len() > 1 {
        return Err(TemplateError::TopicWithinLevel { level: level.to_owned() });
    }
    Ok(parts)
}

fn push_text(parts: &mut Vec<Part>, text: &str, level: &str) -> Result<(), TemplateError> {
    if text.contains('}') {
        return Err(TemplateError::OpenBracket { level: level.to_owned() });
    }
    if !text.is_empty() {
        TopicName::check(text)?;
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(())
}

fn placeholder_part(placeholder: &str, from: &TopicFilter) -> Result<Part, TemplateError> {
    if placeholder == "topic" {
        return Ok(Part::Topic);
    }
    let number = placeholder.strip_prefix("levels[").and_then(|rest| rest.strip_suffix(']'));
    let Some(level) = number.and_then(|number| number.parse::<usize>().ok()) else {
        let placeholder = placeholder.to_owned();
        return Err(TemplateError::UnknownPlaceholder { placeholder });
    };
    let count = from.split('/').filter(|level| *level != "#").count();
    if level >= count {
        return Err(TemplateError::NoSuchLevel { level, filter: from.to_string(), count });
    }
    Ok(Part::Level(level))
}

/// Returns the part of a filter that takes all that the parts of one level can make.
fn filter_of(parts: &[Part], from: &TopicFilter) -> String {
    let mut made = String::new();
    for part in parts {
        match part {
            Part::Text(text) => made.push_str(text),
            Part::Topic => return from.to_string(),
            Part::Level(level) => match from.split('/').nth(*level) {
                Some(fixed) if fixed != "+" => made.push_str(fixed),
                _ => return "+".to_owned(),
            },
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str, from: &str) -> Result<TopicTemplate, TemplateError> {
        TopicTemplate::parse(text, &TopicFilter::new(from).unwrap())
    }

    fn check(text: &str, from: &str, makes: &str, topics: &[(&str, &str)]) {
        let template = template(text, from).unwrap();
        assert_eq!(template.makes().as_str(), makes, "{text} from {from}");
        for (topic, expect) in topics {
            assert_eq!(template.render(topic).unwrap().as_str(), *expect, "{text} of {topic}");
            assert!(template.makes().matches(expect), "{makes} does not match {expect}");
        }
    }

    #[test]
    fn parts_of_the_topic_are_put_in() {
        check("fixed/topic", "#", "fixed/topic", &[("a/b", "fixed/topic")]);
        check("x/{levels[1]}", "a/+/c", "x/+", &[("a/b/c", "x/b"), ("a//c", "x/")]);
        check("{levels[0]}/x", "a/#", "a/x", &[("a/b/c", "a/x"), ("a", "a/x")]);
        check("run-{levels[1]}-{levels[0]}", "a/+", "+", &[("a/b", "run-b-a")]);
        check("run-{levels[0]}", "a/+", "run-a", &[("a/b", "run-a")]);
        check("mirror/{topic}", "a/+", "mirror/a/+", &[("a/b", "mirror/a/b")]);
        check("m/{topic}/end", "a/#", "m/a/#", &[("a/b/c", "m/a/b/c/end"), ("a", "m/a/end")]);
        check("{topic}", "#", "#", &[("a/b", "a/b")]);
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (text, from, expect) in [
            ("", "#", "the topic is empty"),
            ("a/+", "#", "the topic name \"+\" holds the wildcard '+'"),
            ("a#", "#", "the topic name \"a#\" holds the wildcard '#'"),
            ("a/{levels[0]", "#", "in \"{levels[0]\" a bracket stands alone"),
            ("a/x}", "#", "in \"x}\" a bracket stands alone"),
            ("a/{level}", "#", "{level} is not known here"),
            ("a/{levels[-1]}", "a/b", "{levels[-1]} is not known here"),
            (
                "{levels[1]}",
                "a/#",
                "{levels[1]} is not in every topic of a/#, which has 1 for sure",
            ),
            ("x-{topic}", "#", "{topic} stands alone between two slashes, not as in \"x-{topic}\""),
            ("$share/g/a", "#", "a message cannot go on as $share/..."),
        ] {
            assert_eq!(template(text, from).unwrap_err().to_string(), expect, "{text}");
        }
    }

    #[test]
    fn a_topic_that_gets_too_deep_is_refused_when_it_comes() {
        let template = template("mirror/{topic}", "#").unwrap();
        let deepest = vec!["a"; tomte_base::MAX_TOPIC_LEVELS].join("/");
        assert!(matches!(template.render(&deepest), Err(TopicError::TooManyLevels { .. })));
    }
}
