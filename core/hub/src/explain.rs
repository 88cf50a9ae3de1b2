//! What would happen to a message that nobody sent: the same looks as `fan_out.rs`, without effect.

use std::sync::Arc;

use tomte_base::{DeviceName, Properties, Source, Time, TopicName};
use tomte_route::{Destination as RouteTo, MessageView};

use crate::Hub;
use crate::flow::{Hop, HopKind, Trace};
use crate::match_set::MatchSet;
use crate::session::Session;

impl Hub {
    /// Tells hop by hop what would happen to a message of `source` on `topic`.
    pub fn explain(
        &mut self,
        now: Time,
        source: &Source,
        topic: &TopicName,
        payload: &[u8],
        properties: Option<&Properties>,
    ) -> Vec<Hop> {
        let set = self.match_set(topic);
        let view = MessageView::new(topic, payload, source, properties);
        let mut hops = Vec::new();
        let (mut n_allowed, mut matching) = (0, Vec::new());
        let withheld = set.routes.iter().any(|index| {
            let route = &self.config.table.routes()[*index as usize];
            route.to == RouteTo::Nobody && route.takes(source, &view)
        });
        for &index in &set.routes {
            let route = &self.config.table.routes()[index as usize];
            if !route.from.iter().any(|pattern| pattern.matches(source)) {
                let from: Vec<String> = route.from.iter().map(ToString::to_string).collect();
                let detail = format!("takes messages from {}", from.join(", "));
                hops.push(route_hop(now, &route.label, "not matched", detail, false));
                continue;
            }
            n_allowed += 1;
            let verdict = route.when.as_ref().map(|when| (when.text(), when.evaluate(&view)));
            match verdict {
                Some((text, Ok(false))) => {
                    let detail = format!("when {text} is false");
                    hops.push(route_hop(now, &route.label, "not matched", detail, false));
                }
                Some((text, Err(error))) => {
                    let detail = format!("when {text}: {error}");
                    hops.push(route_hop(now, &route.label, "not matched", detail, true));
                }
                None | Some((_, Ok(true))) => {
                    let when =
                        verdict.map(|(text, _)| format!("when {text}, ")).unwrap_or_default();
                    let detail = format!("{when}to {}{}", route.to, route.describe_rule());
                    hops.push(route_hop(now, &route.label, "matches", detail, false));
                    if !withheld || route.to == RouteTo::Nobody {
                        matching.push((hops.len(), index));
                    }
                }
            }
        }
        let mut told = self.would_follow(now, &set, &matching, &view);
        // Behind the route that leads to them.
        for (at, _) in matching.iter().rev() {
            hops.splice(at..at, told.pop().unwrap_or_default());
        }
        if n_allowed == 0 {
            let detail = format!("no route from {source} takes {topic}");
            hops.push(Hop {
                at: now,
                kind: HopKind::Admission,
                subject: String::new(),
                verdict: "would be dropped",
                detail,
                bad: true,
            });
        }
        hops
    }

    /// Tells what each matching route would lead to.
    fn would_follow(
        &mut self,
        now: Time,
        set: &Arc<MatchSet>,
        matching: &[(usize, u32)],
        view: &MessageView<'_>,
    ) -> Vec<Vec<Hop>> {
        let routes = self.config.table.routes();
        let withholds = |index: u32| routes[index as usize].rule.withhold;
        let by = matching.iter().map(|(_, index)| *index).find(|index| withholds(*index));
        let by = by.map(|index| routes[index as usize].label.clone());
        let follow = |(_, index): &(usize, u32)| {
            let route = &self.config.table.routes()[*index as usize];
            let is_for_function = matches!(route.to, RouteTo::Function(_));
            if let Some(by) = by.as_ref().filter(|_| !route.rule.withhold && !is_for_function) {
                let detail = format!("{by} withholds the message from whom it does not choose");
                return vec![route_hop(now, &route.label, "would be passed over", detail, true)];
            }
            let set = match &route.rule.publish_as {
                None => Arc::clone(set),
                Some(template) => match template.render(view.topic()) {
                    Ok(topic) => self.match_set(&topic),
                    Err(error) => {
                        let detail = format!("publish_as {template}: {error}");
                        return vec![route_hop(now, "", "would be dropped", detail, true)];
                    }
                },
            };
            self.would_reach(now, &set, *index, view)
        };
        matching.iter().map(follow).collect()
    }

    fn would_reach(
        &self,
        now: Time,
        set: &MatchSet,
        index: u32,
        view: &MessageView<'_>,
    ) -> Vec<Hop> {
        let route = &self.config.table.routes()[index as usize];
        match &route.to {
            RouteTo::Function(function) => {
                let counts = self.scheduler.function(function);
                let queued = counts.map_or(0, |counts| counts.queued);
                let detail = format!("{queued} calls wait before it");
                vec![hop(
                    now,
                    HopKind::Function,
                    function.as_str(),
                    "would be called",
                    detail,
                    false,
                )]
            }
            RouteTo::Device(device) => {
                if let Some(no) = self.would_refuse(now, index, Some(device), device.as_str(), view)
                {
                    return vec![no];
                }
                let receivers = self.receivers(now, set, Some(device), |_| None);
                if !receivers.is_empty() {
                    return receivers;
                }
                let (verdict, detail) = match &route.on_unavailable {
                    Some(rule) => (
                        "would be held",
                        format!("the device is away; held for {}", tomte_base::format_duration(rule.hold)),
                    ),
                    None => (
                        "would be dropped",
                        "the device has no session that subscribed to the topic, and the route has no on_unavailable"
                            .to_owned(),
                    ),
                };
                let bad = route.on_unavailable.is_none();
                vec![hop(now, HopKind::Delivery, device.as_str(), verdict, detail, bad)]
            }
            RouteTo::Nobody => {
                let detail = "the route sends it to nobody, whatever others say".to_owned();
                vec![hop(now, HopKind::Delivery, "", "would be dropped", detail, true)]
            }
            RouteTo::Subscribers => {
                let receivers = self.receivers(now, set, None, |session| {
                    let (device, name) = (session.owner.device(), session.owner.to_string());
                    self.would_refuse(now, index, device, &name, view)
                });
                if !receivers.is_empty() {
                    return receivers;
                }
                let detail = "nobody has subscribed to the topic".to_owned();
                vec![hop(now, HopKind::Delivery, "", "would be dropped", detail, true)]
            }
        }
    }

    fn receivers(
        &self,
        now: Time,
        set: &MatchSet,
        device: Option<&DeviceName>,
        refuse: impl Fn(&Session) -> Option<Hop>,
    ) -> Vec<Hop> {
        let sessions =
            set.sessions.iter().filter_map(|m| self.sessions[m.session as usize].as_ref());
        let groups = set.shares.iter().filter_map(|share| self.shares.get(*share));
        let groups = groups.filter_map(|share| self.would_choose(now, share, device));
        sessions
            .filter(|session| device.is_none_or(|device| session.owner.device() == Some(device)))
            .map(|session| {
                if let Some(no) = refuse(session) {
                    return no;
                }
                let (verdict, detail) = if session.connection.is_some() {
                    ("would be delivered", format!("client {:?} is connected", session.client_id))
                } else {
                    let detail = format!(
                        "client {:?} is away; its queue holds {}; QoS 0 is not queued",
                        session.client_id,
                        session.queue.len()
                    );
                    ("would be queued", detail)
                };
                hop(now, HopKind::Delivery, &session.owner.to_string(), verdict, detail, false)
            })
            .chain(groups)
            .collect()
    }

    /// The last message that `source` sent on `topic`, as far as it is remembered, and all that
    /// followed from it.
    #[must_use]
    pub fn last_trace(&self, source: &Source, topic: &str) -> Vec<Trace> {
        let last = self.flow.last(|trace| trace.source == *source && &*trace.topic == topic);
        let Some(last) = last else { return Vec::new() };
        self.flow.chain(last.message).into_iter().cloned().collect()
    }

    /// A message and all that followed from it, as far as it is remembered.
    #[must_use]
    pub fn trace(&self, message: tomte_base::MessageId) -> Vec<Trace> {
        self.flow.chain(message).into_iter().cloned().collect()
    }
}

fn route_hop(at: Time, label: &str, verdict: &'static str, detail: String, bad: bool) -> Hop {
    hop(at, HopKind::Route, label, verdict, detail, bad)
}

fn hop(
    at: Time,
    kind: HopKind,
    subject: &str,
    verdict: &'static str,
    detail: String,
    bad: bool,
) -> Hop {
    Hop { at, kind, subject: subject.to_owned(), verdict, detail, bad }
}
