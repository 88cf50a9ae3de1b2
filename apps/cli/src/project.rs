//! A project: a folder with a manifest and the code that it names.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tomte_base::DeviceName;
use tomte_store::pack;
use tomte_wire::control::{ApplyReport, DeploymentRequest, PlanReport, RouteStatus};
use tomte_wire::manifest::{Diagnostics, Manifest, parse};

use crate::control::Control;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::Progress;

/// Name of the manifest.
pub(crate) const MANIFEST: &str = "tomte.toml";

/// A folder whose manifest was read and found valid.
pub(crate) struct Project {
    folder: PathBuf,
    text: String,
    manifest: Manifest,
}

/// A project as it is sent to a hub.
pub(crate) struct Packed {
    pub(crate) request: DeploymentRequest,
    zips: BTreeMap<String, Vec<u8>>,
}

impl Project {
    /// Reads and checks the manifest of `folder`.
    ///
    /// # Errors
    /// Fails when the manifest is unreadable, and when it is not valid, with each mistake in it.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(MANIFEST);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let shown = relative_to_here(&path).display().to_string();
        let manifest = parse(&text, &shown).map_err(|diagnostics| invalid(&diagnostics))?;
        Ok(Self { folder: folder.to_owned(), text, manifest })
    }

    /// Returns the routes as a hub would list them.
    pub(crate) fn routes(&self) -> Vec<RouteStatus> {
        let routes = self.manifest.routes.iter().enumerate();
        let status = routes.map(|(place, route)| RouteStatus {
            name: route
                .name
                .as_ref()
                .map_or_else(|| format!("routes[{place}]"), ToString::to_string),
            from: route.from.iter().map(ToString::to_string).collect(),
            topic: route.topic.to_string(),
            when: route.when.clone(),
            to: route.to.to_string(),
            matched: 0,
        });
        status.collect()
    }

    /// Returns the addresses that a hub would listen on, by protocol.
    pub(crate) fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        let listeners = &self.manifest.listeners;
        let found = [
            ("mqtts", listeners.mqtts.map(|listener| listener.bind)),
            ("mqtt", listeners.mqtt.map(|listener| listener.bind)),
            ("http", listeners.http),
        ];
        found.into_iter().filter_map(|(name, address)| Some((name, address?))).collect()
    }

    /// Returns the addresses that take passwords by protocol.
    pub(crate) fn password_addresses(&self) -> BTreeMap<String, String> {
        let listeners = &self.manifest.listeners;
        let both = [("mqtts", listeners.mqtts), ("mqtt", listeners.mqtt)];
        let takes = both.into_iter().filter_map(|(name, listener)| Some((name, listener?)));
        takes
            .filter(|(_, listener)| listener.password)
            .map(|(name, listener)| (name.to_owned(), listener.bind.to_string()))
            .collect()
    }

    /// Returns the name of the hub.
    pub(crate) fn hub_name(&self) -> &str {
        &self.manifest.hub.name
    }

    /// Tells whether the manifest declares a device.
    pub(crate) fn declares(&self, device: &DeviceName) -> bool {
        self.manifest.devices.contains_key(device)
    }

    /// Packs the code of each function.
    ///
    /// # Errors
    /// Fails when code is missing, unreadable, too large or reaches out of its folder.
    pub(crate) fn pack(&self) -> anyhow::Result<Packed> {
        let mut packed = Packed {
            request: DeploymentRequest { manifest: self.text.clone(), code: BTreeMap::new() },
            zips: BTreeMap::new(),
        };
        for (name, function) in &self.manifest.functions {
            let code = &function.code;
            let _progress = Progress::of(&format!("packing {code}"));
            let one = pack(&self.folder.join(code)).map_err(|error| {
                let message = format!(
                    "{MANIFEST}: functions.{name}.code = {code:?}: {:#}",
                    anyhow::Error::from(error)
                );
                let help = "the path counts from the folder of tomte.toml; \
                            it names a folder or a .zip";
                Failure::new(Exit::Manifest, message, help)
            })?;
            packed.request.code.insert(name.to_string(), one.digest.clone());
            packed.zips.insert(one.digest, one.zip);
        }
        Ok(packed)
    }
}

fn invalid(diagnostics: &Diagnostics) -> Failure {
    let text = diagnostics.to_string();
    // Who prints a failure writes the word itself.
    let message = text.trim_end().trim_start_matches("error: ");
    let details = diagnostics.0.iter().filter_map(|one| serde_json::to_value(one).ok()).collect();
    Failure { details, ..Failure::new(Exit::Manifest, message, "") }
}

/// Returns the shorter name of a file or folder below the current one.
pub(crate) fn relative_to_here(path: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).to_owned()
}

impl Packed {
    /// Uploads the code that the hub lacks, then makes it run this project.
    ///
    /// # Errors
    /// Fails when the hub is away or refuses.
    pub(crate) fn apply(self, control: &Control) -> anyhow::Result<ApplyReport> {
        let plan: PlanReport = control.post("/v1/plan", &self.request)?;
        for digest in plan.missing_code {
            let zip = self.zips.get(&digest).with_context(|| {
                format!("the hub asks for code {digest}, which the manifest does not name")
            })?;
            let _progress = Progress::of(&format!("sending code, {} KiB", zip.len() / 1024));
            control.put(&format!("/v1/code/{digest}"), zip.clone())?;
        }
        let _progress = Progress::of("applying");
        control.post("/v1/apply", &self.request)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::failure::{describe, describe_as_json, exit_of};
    use crate::paint::Paint;

    fn refused(manifest: &str) -> anyhow::Error {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MANIFEST), manifest).unwrap();
        let project = Project::read(folder.path()).and_then(|project| project.pack());
        let error = project.err().unwrap();
        let failure = error.downcast::<Failure>().unwrap();
        let path = folder.path().display().to_string();
        let message = failure.message.replace(&path, "/greenhouse");
        Failure { message, details: Vec::new(), ..failure }.into()
    }

    #[test]
    fn a_mistake_in_the_manifest_is_shown_with_its_place() {
        let error = refused("[hub]\nname = \"x\"\n\n[device.fan]\n");
        expect![[r#"
            error: there is no key "device" here
             --> /greenhouse/tomte.toml:4:2
              |
            4 | [device.fan]
              |  ^^^^^^
              = expected: one of hub, listeners, limits, durability, devices, functions, routes
              = help: did you mean "devices"?"#]]
        .assert_eq(&describe(&error, Paint::plain()));
        assert_eq!(exit_of(&error), Exit::Manifest);
    }

    #[test]
    fn code_that_is_missing_is_named_with_its_key() {
        let error = refused(
            "[functions.f]\nruntime = \"python3.11\"\nhandler = \"app.handler\"\ncode = \"nowhere\"\n",
        );
        expect![[r#"
            error: tomte.toml: functions.f.code = "nowhere": read /greenhouse/nowhere: No such file or directory (os error 2)
              help: the path counts from the folder of tomte.toml; it names a folder or a .zip"#]].assert_eq(&describe(&error, Paint::plain()));
        assert_eq!(exit_of(&error), Exit::Manifest);
    }

    #[test]
    fn programs_get_file_line_column_and_key() {
        let diagnostics = parse("[hub]\nname = 5\n", MANIFEST).unwrap_err();
        let error = anyhow::Error::from(invalid(&diagnostics));
        let report: serde_json::Value = serde_json::from_str(&describe_as_json(&error)).unwrap();
        let detail = &report["details"][0];
        assert_eq!((&detail["file"], &detail["line"]), (&MANIFEST.into(), &2.into()));
        assert_eq!(detail["key"], "hub.name");
    }

    #[test]
    fn the_examples_and_the_templates_are_valid() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        for example in ["greenhouse", "broker"] {
            let project = Project::read(&examples.join(example)).unwrap();
            project.pack().unwrap();
            assert!(!project.routes().is_empty());
        }
    }
}
