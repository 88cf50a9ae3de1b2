//! What happens to a hub from outside: cuts, deployments, jumps of the clock, strangers, operators.

use std::time::Duration;

use bytes::Bytes;
use tomte_base::{DeviceName, FunctionName};
use tomte_mqtt::codec::Version;

use crate::mark::Mark;
use crate::network::{ConnId, End};
use crate::table::DEVICES;
use crate::world::{Event, Input, World};

/// Virtual time between two ticks.
const TICK: Duration = Duration::from_millis(200);

impl World {
    /// Makes trouble, then asks for the next tick, until clients have done all that they have to.
    pub(crate) fn tick(&mut self) {
        if self.calm {
            return;
        }
        if self.acts_left == 0 {
            self.after(Duration::from_millis(500), Event::Calm);
            return;
        }
        self.after(TICK, Event::Tick);
        let settings = self.settings.clone();
        if self.rng.chance(settings.cut) && !self.conns.is_empty() {
            let last = self.conns.len().saturating_sub(10);
            let id = self.rng.range(last, self.conns.len() - 1);
            self.cut(ConnId(id));
        }
        if self.rng.chance(settings.disk_fault) {
            self.disk_fault();
        }
        if self.rng.chance(settings.deploy) {
            let table = self.rng.below(self.tables.len() - 1);
            self.after(Duration::ZERO, Event::Hub(Input::Deploy(table)));
        }
        if self.rng.chance(settings.jump) {
            self.jump();
        }
        if self.rng.chance(settings.stranger) {
            self.stranger();
        }
        if self.rng.chance(80) {
            let function = *self.rng.pick(&["double", "chain", "nobody"]);
            self.after(Duration::ZERO, Event::Hub(Input::Call(function)));
        }
        if self.rng.chance(15) {
            let device = *self.rng.pick(&DEVICES);
            self.after(Duration::ZERO, Event::Hub(Input::Revoke(device)));
        }
    }

    fn jump(&mut self) {
        let seconds = *self.rng.pick(&[1, 20, 100, 4_000, 9_000]);
        self.tell(|| format!("the clock jumps by {seconds} s"));
        self.coverage.hit("clock: jumped");
        self.skew += Duration::from_secs(seconds);
    }

    /// Somebody connects who does not speak MQTT, or not well, or not at all.
    fn stranger(&mut self) {
        self.coverage.hit("network: a stranger came");
        let id = self.open_conn(End::Stranger, None, Version::V311);
        let length = self.rng.range(1, 600);
        let mut rubbish: Vec<u8> =
            (0..length).map(|_| u8::try_from(self.rng.below(256)).expect("a byte")).collect();
        match self.rng.below(3) {
            // Something else than CONNECT.
            0 => rubbish[0] = 0x30,
            // The beginning of a CONNECT that never ends.
            1 => rubbish = vec![0x10, 0x40, 0, 4, b'M', b'Q'],
            // A packet larger than any.
            _ => rubbish[..1].copy_from_slice(&[0x10]),
        }
        self.send_up(id, &rubbish);
        if self.rng.chance(500) {
            self.end_up(id);
        }
    }

    pub(crate) fn deploy(&mut self, table: usize) {
        let now = self.hub_now();
        self.tell(|| format!("deploys table {table}"));
        let config = self.tables[table].config(&self.settings.limits);
        let Some(host) = &mut self.host else { return };
        let busy = host.hub.view().queued > 0 || host.hub.scheduler().running().next().is_some();
        self.coverage.hit(if busy { "deployment: under load" } else { "deployment: at rest" });
        host.hub.deploy(now, config);
        self.table = table;
        self.oracle.on_deploy(table);
    }

    pub(crate) fn operator_calls(&mut self, function: &'static str) {
        let now = self.hub_now();
        let Some(host) = &mut self.host else { return };
        let request = host.next_request;
        host.next_request += 1;
        let mark = Mark {
            publisher: 10_000 + self.incarnation,
            number: u32::try_from(request).expect("few"),
            via: 0,
        };
        let payload = Bytes::from(mark.payload(0, 0));
        let name = FunctionName::new(function).expect("valid");
        match host.hub.call(now, request, name, payload, None, None) {
            Ok(call) => {
                self.coverage.hit("call: by an operator");
                host.requests.push(request);
                if self.rng.chance(150) {
                    self.coverage.hit("call: cancelled");
                    host.hub.cancel_call(now, call);
                }
            }
            Err(_) => self.coverage.hit("call: refused"),
        }
    }

    pub(crate) fn revoke(&mut self, device: &str) {
        let Some(host) = &mut self.host else { return };
        host.hub.revoke(&DeviceName::new(device).expect("valid"));
        self.oracle.on_revoked(device);
    }
}
