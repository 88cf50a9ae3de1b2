//! Connections: two streams of bytes that are late, split anywhere, and lost when the line is cut.

use std::collections::VecDeque;
use std::time::Duration;

use tomte_base::Time;
use tomte_core_hub::Slot;
use tomte_mqtt::codec::Version;

use crate::world::{Event, Input, World};

/// The number of a connection, never used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnId(pub(crate) usize);

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Client(usize),
    /// The last look at what is retained.
    Checker,
    /// Somebody who does not speak MQTT.
    Stranger,
}

pub(crate) struct Conn {
    pub(crate) end: End,
    pub(crate) device: Option<&'static str>,
    pub(crate) version: Version,
    /// The hub's number, while its end is open.
    pub(crate) slot: Option<Slot>,
    /// Bytes reach the other end.
    pub(crate) alive: bool,
    /// The client reads.
    pub(crate) reading: bool,
    /// Bytes that came while it did not.
    stalled: VecDeque<Vec<u8>>,
    up_last: Time,
    down_last: Time,
    /// Bytes on their way to the client, read or not.
    down_bytes: usize,
    /// Bytes that the hub's side of the line takes before it is full.
    capacity: usize,
    /// The end of what the hub wrote, not yet a whole packet.
    pub(crate) leaving: Vec<u8>,
    /// Packets of the hub begin after this many bytes more.
    pub(crate) partial: Vec<u8>,
}

impl World {
    /// Opens a line to the hub; the hub learns of it a little later.
    pub(crate) fn open_conn(
        &mut self,
        end: End,
        device: Option<&'static str>,
        version: Version,
    ) -> ConnId {
        let id = ConnId(self.conns.len());
        let capacity = *self.rng.pick(&[300, 2_000, 20_000]);
        let at = self.now + self.rng.span(Duration::from_millis(3));
        self.conns.push(Conn {
            end,
            device,
            version,
            slot: None,
            alive: self.host.is_some(),
            reading: true,
            stalled: VecDeque::new(),
            up_last: at,
            down_last: at,
            down_bytes: 0,
            capacity,
            leaving: Vec::new(),
            partial: Vec::new(),
        });
        if self.host.is_some() {
            self.at(at, Event::Hub(Input::Opened(id)));
        } else {
            let refused = self.now + self.rng.span(Duration::from_millis(20));
            self.at(refused, Event::DownEnd(id));
        }
        id
    }

    /// The client writes: in pieces, each a little later.
    pub(crate) fn send_up(&mut self, id: ConnId, bytes: &[u8]) {
        for piece in self.pieces(bytes) {
            let late = self.rng.span(Duration::from_millis(4));
            let conn = &mut self.conns[id.0];
            conn.up_last = conn.up_last.max(self.now + late);
            let at = conn.up_last;
            self.at(at, Event::Hub(Input::Bytes(id, piece)));
        }
    }

    /// The client closes its end in order: the hub sees it after all bytes.
    pub(crate) fn end_up(&mut self, id: ConnId) {
        let at = self.conns[id.0].up_last.max(self.now) + self.rng.span(Duration::from_millis(4));
        self.at(at, Event::Hub(Input::Closed(id)));
    }

    /// Splits bytes at random places.
    fn pieces(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while rest.len() > 1 && self.rng.chance(250) {
            let (piece, after) = rest.split_at(self.rng.range(1, rest.len() - 1));
            pieces.push(piece.to_vec());
            rest = after;
            self.coverage.hit("network: a stream was split");
        }
        pieces.push(rest.to_vec());
        pieces
    }

    /// How many bytes the hub's side of the line takes now.
    pub(crate) fn room_down(&self, id: ConnId) -> usize {
        let conn = &self.conns[id.0];
        conn.capacity.saturating_sub(conn.down_bytes)
    }

    /// The hub writes.
    pub(crate) fn send_down(&mut self, id: ConnId, bytes: &[u8]) {
        for piece in self.pieces(bytes) {
            let late = self.rng.span(Duration::from_millis(4));
            let conn = &mut self.conns[id.0];
            conn.down_last = conn.down_last.max(self.now + late);
            conn.down_bytes += piece.len();
            let at = conn.down_last;
            self.last_traffic = self.now;
            self.at(at, Event::Down(id, piece));
        }
    }

    /// The hub closes its end in order: the client sees it after all bytes.
    pub(crate) fn end_down(&mut self, id: ConnId) {
        let at = self.conns[id.0].down_last.max(self.now) + self.rng.span(Duration::from_millis(4));
        self.at(at, Event::DownEnd(id));
    }

    /// Bytes arrive at the client's side.
    pub(crate) fn arrive_down(&mut self, id: ConnId, bytes: Vec<u8>) {
        if !self.conns[id.0].alive {
            self.coverage.hit("network: bytes to a client were lost");
            return;
        }
        if !self.conns[id.0].reading {
            self.conns[id.0].stalled.push_back(bytes);
            return;
        }
        self.read_down(id, &bytes);
    }

    fn read_down(&mut self, id: ConnId, bytes: &[u8]) {
        let conn = &mut self.conns[id.0];
        let was_full = conn.down_bytes >= conn.capacity;
        conn.down_bytes -= bytes.len();
        if was_full && conn.slot.is_some() {
            self.at(self.now, Event::Hub(Input::Writable(id)));
        }
        self.client_received(id, bytes);
    }

    /// The client reads again.
    pub(crate) fn resume_reading(&mut self, id: ConnId) {
        self.conns[id.0].reading = true;
        while let Some(bytes) = self.conns[id.0].stalled.pop_front() {
            if self.conns[id.0].alive {
                self.read_down(id, &bytes);
            }
        }
    }

    /// Cuts the line. What is on its way is lost; each end learns of it at its own time, the hub
    /// perhaps never.
    pub(crate) fn cut(&mut self, id: ConnId) {
        if !std::mem::take(&mut self.conns[id.0].alive) {
            return;
        }
        self.tell(|| format!("network: connection {} is cut", id.0));
        self.coverage.hit("network: a connection was cut");
        let hub_learns = self.now + self.rng.span(Duration::from_millis(400));
        let client_learns = self.now + self.rng.span(Duration::from_millis(400));
        if self.rng.chance(150) && !self.calm {
            self.coverage.hit("network: the hub never learns of a cut");
        } else {
            self.at(hub_learns, Event::Hub(Input::Closed(id)));
        }
        self.at(client_learns, Event::DownEnd(id));
    }
}
