//! The receivers that the routes chose for the message at hand.

use tomte_route::{Destination as RouteTo, Route};

/// The receivers that the routes chose for the message at hand.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// Everybody who subscribed.
    pub(crate) subscribers: bool,
    /// Routes to one device.
    pub(crate) devices: Vec<u32>,
    /// Routes to a function.
    pub(crate) functions: Vec<u32>,
    /// Routes that choose among the subscribers.
    pub(crate) only: Vec<u32>,
    /// Whom these chose, in order.
    pub(crate) sessions: Vec<u32>,
    /// Routes with a second topic.
    pub(crate) renamed: Vec<u32>,
    /// A route sends it to nobody, whatever the others say.
    pub(crate) nobody: bool,
    /// A route that withholds the message from everybody else.
    pub(crate) withheld_by: Option<u32>,
    /// Routes to everybody who subscribed; more than one only with message rules.
    subscriber_routes: Vec<u32>,
    /// Routes that do not count because of the one that withholds.
    pub(crate) passed_over: Vec<u32>,
}

impl Chosen {
    pub(crate) fn clear(&mut self) {
        self.subscribers = false;
        self.nobody = false;
        self.withheld_by = None;
        for list in [
            &mut self.devices,
            &mut self.functions,
            &mut self.only,
            &mut self.sessions,
            &mut self.renamed,
            &mut self.subscriber_routes,
            &mut self.passed_over,
        ] {
            list.clear();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nobody
            || (self.n_receiving() == 0 && self.functions.is_empty() && self.withheld_by.is_none())
    }

    pub(crate) fn has_rules(&self) -> bool {
        !self.only.is_empty() || !self.renamed.is_empty() || self.withheld_by.is_some()
    }

    /// Routes that may lead to a session.
    pub(crate) fn n_receiving(&self) -> usize {
        let lists = [&self.devices, &self.only, &self.renamed, &self.subscriber_routes];
        lists.iter().map(|list| list.len()).sum()
    }

    /// A matching route.
    pub(crate) fn add(&mut self, index: u32, route: &Route) {
        self.withhold(index, route);
        let list = match &route.to {
            RouteTo::Nobody => {
                self.nobody = true;
                return;
            }
            _ if route.rule.publish_as.is_some() => &mut self.renamed,
            RouteTo::Subscribers if route.rule.only.is_some() => &mut self.only,
            RouteTo::Subscribers => {
                self.subscribers = true;
                &mut self.subscriber_routes
            }
            RouteTo::Device(_) => &mut self.devices,
            RouteTo::Function(_) => &mut self.functions,
        };
        list.push(index);
    }

    pub(crate) fn withhold(&mut self, index: u32, route: &Route) {
        if route.rule.withhold {
            self.withheld_by.get_or_insert(index);
        }
    }

    /// Passes over the routes to sessions that `stays` does not want.
    pub(crate) fn keep_only(&mut self, stays: impl Fn(u32) -> bool) {
        for list in
            [&mut self.devices, &mut self.only, &mut self.renamed, &mut self.subscriber_routes]
        {
            self.passed_over.extend(list.iter().copied().filter(|index| !stays(*index)));
            list.retain(|index| stays(*index));
        }
        self.subscribers = !self.subscriber_routes.is_empty();
    }
}
