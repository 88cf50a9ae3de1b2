use crate::text_width::columns;

/// Columns grow with what they hold, so that a short name wastes no room, up to these bounds.
const MAX_SOURCE: usize = 20;
const MAX_TOPIC: usize = 36;
const MAX_ENDS: usize = 44;

/// The widths of the columns so far. They only grow: a view whose columns jump back and forth
/// cannot be read.
pub(super) struct Columns {
    pub(super) source: usize,
    pub(super) topic: usize,
    pub(super) ends: usize,
}

impl Default for Columns {
    fn default() -> Self {
        Self { source: 12, topic: 14, ends: 12 }
    }
}

impl Columns {
    pub(super) fn fit_source(&mut self, text: &str) {
        self.source = self.source.max(columns(text).min(MAX_SOURCE));
    }

    pub(super) fn fit_topic(&mut self, text: &str) {
        self.topic = self.topic.max(columns(text).min(MAX_TOPIC));
    }

    pub(super) fn fit_ends(&mut self, text: &str) {
        self.ends = self.ends.max(columns(text).min(MAX_ENDS));
    }
}
