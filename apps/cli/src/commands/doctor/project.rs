//! Whether the project here could be deployed.

use super::Check;
use crate::context::Context;
use crate::failure::Failure;
use crate::project::MANIFEST;

pub(super) fn checks(context: &Context) -> Vec<Check> {
    let Ok(folder) = context.project_folder() else {
        let fix = "make one with `tomte init`";
        return vec![Check::warning("manifest", format!("no {MANIFEST} here or above"), fix)];
    };
    let project = match context.project() {
        Ok(project) => project,
        Err(error) => return vec![problem("manifest", &error)],
    };
    let manifest = Check::ok("manifest", folder.join(MANIFEST).display().to_string());
    let code = match project.pack() {
        Ok(packed) => Check::ok("code", count(packed.request.code.len())),
        Err(error) => problem("code", &error),
    };
    vec![manifest, code]
}

fn count(functions: usize) -> String {
    if functions == 1 { "1 function".to_owned() } else { format!("{functions} functions") }
}

fn problem(name: &'static str, error: &anyhow::Error) -> Check {
    let help = error.downcast_ref::<Failure>().map_or("", |failure| &failure.help);
    Check::problem(name, format!("{error:#}"), help)
}
