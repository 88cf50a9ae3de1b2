use clap::Args;
use tomte_wire::control::Why as Report;

use crate::context::Context;
use crate::control::query_value;
use crate::exit::Exit;
use crate::{hops, source};

/// Tell what happened to the last message on a topic, or what would happen to one, hop by hop
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    tomte why sensors/1/temperature --as thermometer\n  \
    tomte why sensors/1/temperature --as thermometer --payload '{\"celsius\": 20}'")]
pub(crate) struct Why {
    /// The topic
    topic: String,
    /// Who sent it, or would send it: a device, `function:NAME` or `anonymous`
    #[arg(long = "as", value_name = "NAME")]
    sender: String,
    /// Tell what would happen to this payload; nothing is sent
    #[arg(short, long, value_name = "JSON")]
    payload: Option<String>,
}

impl Why {
    pub(crate) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let path = self.request()?;
        let why: Report = context.control()?.get(&path)?;
        let width = context.screen.width();
        context.screen.show(&why, |why, paint| hops::render(why, paint, width))?;
        Ok(if hops::arrived(&why) { Exit::Ok } else { Exit::Nowhere })
    }

    fn request(&self) -> anyhow::Result<String> {
        let source = source::parse(&self.sender)?;
        let mut path =
            format!("/v1/why?topic={}&source={}", query_value(&self.topic), query_value(&source));
        if let Some(payload) = &self.payload {
            path += &format!("&payload={}", query_value(payload));
        }
        Ok(path)
    }
}
