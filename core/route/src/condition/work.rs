use std::ops::AddAssign;

/// What a part of an expression costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Nodes that are evaluated.
    pub(super) steps: u64,
    /// Operations that may copy or compare as much as the whole message holds.
    pub(super) wide: u64,
    /// Operations that may copy or compare the element of the innermost loop. Over all rounds they
    /// touch each value of the list once.
    pub(super) on_item: u64,
}

impl Work {
    /// Returns the units that this costs for a message of `width` values.
    pub(super) fn units(self, width: u64) -> u64 {
        self.steps.saturating_add(self.wide.saturating_mul(width))
    }

    /// Adds an operation on a value of `extent`.
    pub(super) fn charge(&mut self, extent: Extent) {
        match extent {
            Extent::Narrow => {}
            Extent::Item => self.on_item += 1,
            Extent::Wide => self.wide += 1,
        }
    }

    /// Adds what a loop over a list of `extent` costs besides its rounds: copying each element, and
    /// whatever `body` does with it.
    pub(super) fn charge_loop(&mut self, extent: Extent, body: Work) {
        let times = 1 + body.on_item;
        match extent {
            Extent::Narrow => self.steps += times,
            Extent::Item => self.on_item += times,
            Extent::Wide => self.wide += times,
        }
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, other: Work) {
        self.steps += other.steps;
        self.wide += other.wide;
        self.on_item += other.on_item;
    }
}

/// How much a value can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// A number, a truth value, a text of the expression.
    Narrow,
    /// The element of the innermost loop, or a part of it.
    Item,
    /// The payload, or any part of it.
    Wide,
}
