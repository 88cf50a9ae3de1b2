//! The thread that reads messages back from the journal, so that the event loop never waits for the
//! disk.

use std::io;
use std::sync::mpsc::{Receiver, Sender};
use std::thread::JoinHandle;

use tomte_base::LogPosition;
use tomte_core_hub::{FetchFor, Wanted};
use tomte_journal::{Disk, RecordReader};

use crate::event::Event;
use crate::event_loop::Inbox;
use crate::problem::chain;

/// What is to be read, and for whom.
type Order = (FetchFor, Vec<Wanted>);

/// The thread, as the event loop holds it.
pub(crate) struct Fetcher {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Fetcher {
    /// Starts the thread. Each order is answered with one [`Event::Fetched`].
    pub(crate) fn start<D: Disk>(reader: RecordReader<D>, inbox: Inbox) -> io::Result<Self> {
        let (orders, received) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("journal-read".to_owned())
            .spawn(move || serve(&reader, &inbox, &received))?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    pub(crate) fn fetch(&self, to: FetchFor, wanted: Vec<Wanted>) {
        if let Some(orders) = &self.orders {
            let _it_panicked_and_said_so = orders.send((to, wanted));
        }
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _it_panicked_and_said_so = thread.join();
        }
    }
}

fn serve<D: Disk>(reader: &RecordReader<D>, inbox: &Inbox, orders: &Receiver<Order>) {
    while let Ok((to, wanted)) = orders.recv() {
        let mut found = Vec::with_capacity(wanted.len());
        let positions = wanted.iter().map(|wanted| wanted.position.0);
        reader.read(positions, |position, record| {
            let wanted = wanted[found.len()];
            debug_assert_eq!(wanted.position, LogPosition(position));
            let record = record.map(<[u8]>::to_vec).map_err(|error| {
                let message = wanted.message.0;
                tracing::error!(message, error = %chain(&error), "failed to read a message back");
            });
            found.push((wanted, record.ok()));
        });
        inbox.send(Event::Fetched(to, found));
    }
}
