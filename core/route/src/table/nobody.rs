//! Routes to nobody: they keep topics from every receiver that other routes would send them to.

use tomte_base::{Source, TopicFilter};

use super::{Route, RouteTable};
use crate::Destination;

/// Whether a subscription could ever be fed.
#[derive(Clone, Copy, Debug)]
pub enum Feed<'a> {
    /// A route could feed it.
    Fed,
    /// It would be fed, but this route sends all of it to nobody.
    Withheld(&'a Route),
    /// No route to subscribers, or to this very device, takes a topic of it.
    Missing,
}

impl RouteTable {
    /// Tells whether some route could ever feed `filter` to `subscriber`, and if not, why.
    #[must_use]
    pub fn feed(&self, subscriber: &Source, filter: &TopicFilter) -> Feed<'_> {
        let feeds =
            |route: &&Route| route.feeds(subscriber) && route.delivers_on().overlaps(filter);
        let mut found = Feed::Missing;
        for route in self.routes.iter().filter(feeds) {
            match self.nobody(route, filter) {
                Some(nobody) => found = Feed::Withheld(nobody),
                None => return Feed::Fed,
            }
        }
        found
    }

    /// Tells whether some route could ever feed `filter` to `subscriber`.
    #[must_use]
    pub fn may_subscribe(&self, subscriber: &Source, filter: &TopicFilter) -> bool {
        matches!(self.feed(subscriber, filter), Feed::Fed)
    }

    /// The route to nobody that takes all that `route` could feed to `filter`.
    fn nobody(&self, route: &Route, filter: &TopicFilter) -> Option<&Route> {
        let takes_all = |nobody: &&Route| {
            nobody.to == Destination::Nobody
                && nobody.when.is_none()
                && (nobody.topic.covers(&route.topic)
                    // A second topic does not go through the table.
                    || (route.rule.publish_as.is_none() && nobody.topic.covers(filter)))
                && route.from.iter().all(|from| nobody.from.iter().any(|n| n.includes(from)))
        };
        self.routes.iter().find(takes_all)
    }
}
