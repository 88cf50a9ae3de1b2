use clap::Args;
use tomte_wire::control::{SendRequest, Why};

use crate::context::Context;
use crate::exit::Exit;
use crate::{hops, payload, source};

/// Publish a message in the name of a device, and show where it went
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tomte send sensors/1/temperature '{\"celsius\": 31}' --as thermometer\n  \
    tomte send camera/1/still @still.jpg --as camera --qos 1")]
pub(crate) struct Send {
    /// The topic
    topic: String,
    /// The payload; `-` reads standard input, `@FILE` a file
    payload: String,
    /// Who sends: a device, `function:NAME` or `anonymous`
    #[arg(long = "as", value_name = "NAME")]
    sender: String,
    /// Quality of service: 0, 1 or 2
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Let the hub keep it for those who subscribe later
    #[arg(short, long)]
    retain: bool,
    /// Longest wait for functions and deliveries to end, for example 500ms or 5s
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = tomte_base::parse_duration)]
    wait: std::time::Duration,
}

impl Send {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let request = SendRequest {
            source: source::parse(&self.sender)?,
            topic: self.topic,
            payload_base64: payload::to_base64(&payload::read(&self.payload)?),
            qos: self.qos,
            retain: self.retain,
            wait_ms: u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX),
        };
        let why: Why = context.control()?.post("/v1/send", &request)?;
        let width = context.screen.width();
        context.screen.show(&why, |why, paint| hops::render(why, paint, width))?;
        Ok(if hops::arrived(&why) || self.retain { Exit::Ok } else { Exit::Nowhere })
    }
}
