use clap::Args;

use crate::context::Context;
use crate::control::query_value;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::identity_files;

/// Take the identity of a device away; its connection ends
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tomte device remove thermometer")]
pub(super) struct Remove {
    /// The device
    name: String,
}

impl Remove {
    pub(super) fn run(self, context: &mut Context) -> anyhow::Result<Exit> {
        let name = super::device_name(&self.name)?;
        let control = context.control()?;
        if control.answers() {
            control.delete(&format!("/v1/devices/{}", query_value(&self.name)))?;
        } else if !identity_files::remove(&context.state()?, &context.project()?, &name)? {
            let message = format!("there is no device {name}");
            return Err(Failure::new(Exit::Refused, message, "see `tomte device list`").into());
        }
        let text = format!("{} can no longer connect; its files can be deleted", self.name);
        context.screen.show(&serde_json::json!({ "removed": self.name }), |_, _| text)?;
        Ok(Exit::Ok)
    }
}
