use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tomte_base::{QoS, Time, topic_matches};
use tomte_mqtt::codec::{Connect, ReasonCode, Subscribe, Version};

use crate::mark::Mark;
use crate::network::ConnId;

use super::duties::Duty;
use super::wills::LeftWill;
use super::{Key, Oracle};

/// A subscription as the client knows it.
#[derive(Clone, Debug)]
pub(super) struct Sub {
    /// The lower one, while two may be in force.
    pub(super) qos: QoS,
    pub(super) no_local: bool,
    /// SUBACK has left.
    pub(super) is_confirmed: bool,
}

/// A session that the hub has, or may have.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Tells this session from an earlier one with the same key.
    pub(super) generation: u64,
    pub(super) expiry: Duration,
    /// CONNACK has left.
    pub(super) is_confirmed: bool,
    pub(super) line: Option<ConnId>,
    /// When its client went, until it is told that it is back.
    pub(super) left: Option<Time>,
    pub(super) subs: BTreeMap<String, Sub>,
    /// The hub may know of subscriptions that are not in `subs`: a crash came between.
    pub(super) is_uncertain: bool,
    pub(super) n_unanswered: u32,
    /// QoS 2 messages whose PUBREC has left and whose PUBREL has not come.
    pub(super) received: HashMap<u16, Option<Mark>>,
}

impl Kept {
    pub(super) fn is_persistent(&self) -> bool {
        !self.expiry.is_zero()
    }

    pub(super) fn on_crash(&mut self) {
        self.is_uncertain |= self.n_unanswered > 0 || !self.is_confirmed;
        self.n_unanswered = 0;
        self.line = None;
    }

    pub(super) fn on_recovered(&mut self, now: Time) {
        self.left.get_or_insert(now);
    }

    /// Tells whether it has surely not come to its end.
    pub(super) fn is_alive(&self, now: Time) -> bool {
        self.line.is_some() || self.left.is_none_or(|left| now < left + self.expiry)
    }
}

impl Oracle {
    /// The session of a connection, if the connection still has it.
    pub(super) fn kept_of(&mut self, id: ConnId) -> Option<&mut Kept> {
        let line = self.lines.get(&id)?;
        let kept = self.sessions.get_mut(line.key.as_ref()?)?;
        (kept.generation == line.generation && kept.line == Some(id)).then_some(kept)
    }

    pub(super) fn on_connect(&mut self, now: Time, id: ConnId, connect: &Connect<'_>) {
        let expiry = self.expiry(connect);
        let Some(line) = self.lines.get_mut(&id) else { return };
        let key: Key = (line.device, connect.client_id.to_owned());
        line.key = Some(key.clone());
        self.keys.insert(id, key.clone());
        line.is_clean = connect.clean_start;
        line.largest = connect.properties.maximum_packet_bytes.unwrap_or(u32::MAX);
        line.will = connect.will.as_ref().map(LeftWill::of);
        let found = self.sessions.remove(&key);
        let was_kept = found.as_ref().is_some_and(Kept::is_persistent);
        let resumes = was_kept && !connect.clean_start;
        if let Some(old) = found.as_ref().and_then(|kept| kept.line)
            && let Some(old) = self.lines.get_mut(&old)
        {
            old.taken_over(resumes);
        }
        self.end_delay(now, &key, connect.clean_start);
        // One that came to its end is replaced, even if no CONNACK tells the client so.
        let found =
            found.filter(|kept| !connect.clean_start && kept.is_persistent() && kept.is_alive(now));
        if !resumes && was_kept {
            self.unended.insert(key.clone());
        }
        let must_be_present = found.as_ref().is_some_and(|kept| kept.is_confirmed);
        let begins = found.is_none();
        *self.begun.entry(key.clone()).or_default() += u64::from(begins);
        self.n_generations += 1;
        let fresh = Kept {
            generation: self.n_generations,
            expiry,
            is_confirmed: false,
            line: None,
            left: None,
            subs: BTreeMap::new(),
            // What a crash left behind goes only with a CONNACK.
            is_uncertain: self.n_crashes > 0,
            n_unanswered: 0,
            received: HashMap::new(),
        };
        let mut kept = found.unwrap_or(fresh);
        kept.expiry = expiry;
        kept.line = Some(id);
        kept.n_unanswered += 1;
        let line = self.lines.get_mut(&id).expect("looked up above");
        line.generation = kept.generation;
        line.must_be_present = must_be_present;
        line.has_begun = begins;
        self.sessions.insert(key, kept);
        self.excuse_holds(id);
    }

    fn expiry(&self, connect: &Connect<'_>) -> Duration {
        let longest = self.limits.max_session_expiry;
        match connect.version {
            Version::V311 if connect.clean_start => Duration::ZERO,
            Version::V311 => longest,
            Version::V5 => {
                let seconds = connect.properties.session_expiry_seconds.unwrap_or(0);
                Duration::from_secs(seconds.into()).min(longest)
            }
        }
    }

    pub(super) fn on_subscribe(&mut self, id: ConnId, subscribe: &Subscribe<'_>) {
        let filters = subscribe.subscriptions.iter().map(|s| s.filter.to_owned()).collect();
        if let Some(line) = self.lines.get_mut(&id) {
            line.unanswered.insert(subscribe.packet_id, filters);
        }
        let Some(kept) = self.kept_of(id) else { return };
        kept.n_unanswered += 1;
        for asked in &subscribe.subscriptions {
            let fresh = Sub { qos: asked.qos, no_local: asked.no_local, is_confirmed: false };
            let sub = kept.subs.entry(asked.filter.to_owned()).or_insert(fresh);
            sub.qos = sub.qos.min(asked.qos);
            sub.no_local |= asked.no_local;
        }
        self.excuse_holds(id);
    }

    /// What is held for a device goes to its session as soon as that asks for the topic; with QoS 0
    /// nobody promises that it arrives.
    fn excuse_holds(&mut self, id: ConnId) {
        let Some(device) = self.lines.get(&id).and_then(|line| line.device) else { return };
        let Some(kept) = self.kept_of(id) else { return };
        let filters: Vec<String> = kept
            .subs
            .iter()
            .filter(|(_, sub)| sub.qos == QoS::AtMostOnce)
            .map(|(filter, _)| filter.clone())
            .collect();
        let published = &self.published;
        let is_excused = |duty: &Duty| match duty {
            Duty::Held(name, mark) if *name == device => {
                let topic = published.get(mark).map_or("", |known| known.topic.as_str());
                filters.iter().any(|filter| topic_matches(filter, topic))
            }
            _ => false,
        };
        self.firm.retain(|duty| !is_excused(duty));
        for duties in self.pending.values_mut() {
            duties.retain(|duty| !is_excused(duty));
        }
    }

    /// CONNACK leaves.
    pub(super) fn connack_leaves(&mut self, id: ConnId, present: bool) -> Option<(Key, bool)> {
        let line = self.lines.get(&id)?;
        let (key, must, clean) = (line.key.clone()?, line.must_be_present, line.is_clean);
        let (generation, has_begun) = (line.generation, line.has_begun);
        if must && !present {
            self.blame(|| format!("the session {} was kept, and the hub does not know it", key.1));
        }
        if clean && present {
            self.blame(|| format!("{} asked for a clean session and got an old one", key.1));
        }
        let begun = self.begun.entry(key.clone()).or_default();
        *begun += u64::from(!present && !has_begun);
        self.told.insert(id, *begun);
        let next = self.n_generations + 1;
        let kept = self.sessions.get_mut(&key).filter(|kept| kept.generation == generation)?;
        kept.n_unanswered = kept.n_unanswered.saturating_sub(1);
        if !present && !clean {
            // The old one had come to its end, or was never safe.
            kept.generation = next;
            kept.subs.clear();
            kept.received.clear();
            self.n_generations = next;
        }
        if !present {
            kept.is_uncertain = false;
            self.unended.remove(&key);
        }
        kept.is_confirmed = true;
        kept.left = None;
        let (generation, persistent, newest) = (kept.generation, kept.is_persistent(), kept.line);
        // A connection that has taken the session over meanwhile has the same one.
        if let Some(line) = newest.and_then(|newest| self.lines.get_mut(&newest)) {
            line.generation = generation;
        }
        self.lines.get_mut(&id)?.generation = generation;
        Some((key, persistent))
    }

    /// SUBACK leaves. Returns the session and the filters that were granted, if it is persistent.
    pub(super) fn suback_leaves(
        &mut self,
        id: ConnId,
        packet_id: u16,
        reasons: &[ReasonCode],
    ) -> Option<(Key, Vec<String>)> {
        let filters = self.lines.get_mut(&id)?.unanswered.remove(&packet_id)?;
        let key = self.lines.get(&id)?.key.clone()?;
        let kept = self.kept_of(id)?;
        kept.n_unanswered = kept.n_unanswered.saturating_sub(1);
        let mut granted = Vec::new();
        for (filter, reason) in filters.into_iter().zip(reasons) {
            // It may have been unsubscribed meanwhile.
            let Some(sub) = kept.subs.get_mut(&filter) else { continue };
            if !reason.is_failure() {
                sub.is_confirmed = true;
                granted.push(filter);
            } else if !sub.is_confirmed {
                kept.subs.remove(&filter);
            }
        }
        kept.is_persistent().then_some((key, granted))
    }

    pub(super) fn unsuback_leaves(&mut self, id: ConnId) {
        if let Some(kept) = self.kept_of(id) {
            kept.n_unanswered = kept.n_unanswered.saturating_sub(1);
        }
    }
}
