use std::io;
use std::time::{Duration, Instant};

use crate::packet::{self, Link, Packet, Will};

/// A client of MQTT 3.1.1 for one purpose at a time, driven step by step by a test.
pub struct Visitor {
    link: Link,
    /// The hub had its session.
    pub session_present: bool,
    next_id: u16,
}

impl Visitor {
    /// Connects; the session is kept unless it is `clean`.
    ///
    /// # Errors
    /// Fails when the hub is not there or refuses.
    pub fn connect(
        port: u16,
        client_id: &str,
        clean: bool,
        will: Option<Will<'_>>,
    ) -> io::Result<Self> {
        let (link, session_present) = Link::open(port, client_id, clean, will)?;
        Ok(Self { link, session_present, next_id: 1 })
    }

    /// Subscribes and waits for SUBACK.
    ///
    /// # Errors
    /// Fails when the connection does.
    pub fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<()> {
        packet::subscribe(&mut self.link.out, filter, qos);
        self.link.flush()?;
        while self.link.wait()? != Packet::Suback {}
        Ok(())
    }

    /// Publishes `payloads` with QoS 1, up to `window` at once, and waits for all acknowledgements.
    ///
    /// # Errors
    /// Fails when the connection does.
    pub fn publish_all(
        &mut self,
        topic: &str,
        payloads: impl IntoIterator<Item = Vec<u8>>,
        window: usize,
    ) -> io::Result<()> {
        let mut on_their_way = 0;
        for payload in payloads {
            packet::publish(&mut self.link.out, topic, &payload, (1, self.next_id), false, false);
            self.next_id = if self.next_id == u16::MAX { 1 } else { self.next_id + 1 };
            on_their_way += 1;
            if on_their_way >= window {
                self.link.flush()?;
                on_their_way -= self.acknowledgements()?;
            }
        }
        self.link.flush()?;
        while on_their_way > 0 {
            on_their_way -= self.acknowledgements()?;
        }
        Ok(())
    }

    fn acknowledgements(&mut self) -> io::Result<usize> {
        let packets = self.link.receive()?;
        Ok(packets.iter().filter(|packet| matches!(packet, Packet::Puback(_))).count())
    }

    /// Receives messages, acknowledges them and hands their topics and payloads to `take`, until
    /// that returns false or nothing comes for `patience`. Returns how many came.
    ///
    /// # Errors
    /// Fails when the connection does.
    pub fn receive(
        &mut self,
        patience: Duration,
        mut take: impl FnMut(&str, &[u8]) -> bool,
    ) -> io::Result<usize> {
        let (mut n, mut last) = (0, Instant::now());
        while last.elapsed() < patience {
            let mut goes_on = true;
            for packet in self.link.receive()? {
                let Packet::Publish { topic, payload, qos, id } = packet else { continue };
                if qos == 1 {
                    packet::ack(&mut self.link.out, 4, id);
                }
                n += 1;
                last = Instant::now();
                goes_on &= take(&topic, &payload);
            }
            self.link.flush()?;
            if !goes_on {
                break;
            }
        }
        Ok(n)
    }

    /// Says goodbye, and waits until the hub has heard it.
    ///
    /// # Errors
    /// Fails when the connection does.
    pub fn disconnect(mut self) -> io::Result<()> {
        packet::disconnect(&mut self.link.out);
        self.link.flush()?;
        loop {
            match self.link.wait() {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
