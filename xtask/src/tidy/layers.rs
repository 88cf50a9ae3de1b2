//! Imports go down: which layer may import which, in one table, checked against cargo's own view.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;
use crate::workspace::Workspace;

/// One layer of the house.
struct Layer {
    /// What offences call it.
    name: &'static str,
    /// Its crates: folders below the root; a last `*` stands for every other folder there.
    folders: &'static [&'static str],
    /// The layers that it may import. A layer that is not named here is above it, or beside it.
    imports: &'static [&'static str],
}

/// The house, from the ground up. A crate belongs to the first layer that names its folder in full,
/// else to the first whose `*` takes it in.
const LAYERS: &[Layer] = &[
    Layer { name: "base", folders: &["core/base"], imports: &[] },
    Layer { name: "core", folders: &["core/*"], imports: &["base"] },
    Layer {
        name: "plans",
        folders: &["core/migration", "core/planner"],
        imports: &["base", "core"],
    },
    Layer { name: "core hub", folders: &["core/hub"], imports: &["base", "core", "plans"] },
    Layer {
        name: "wire",
        folders: &["core/wire"],
        imports: &["base", "core", "plans", "core hub"],
    },
    Layer {
        name: "host",
        folders: &["host/*"],
        imports: &["base", "core", "plans", "core hub", "wire"],
    },
    Layer {
        name: "apps",
        folders: &["apps/*"],
        imports: &["base", "core", "plans", "core hub", "wire", "host"],
    },
    Layer {
        name: "command",
        folders: &["apps/cli"],
        imports: &["base", "core", "plans", "core hub", "wire", "host", "apps"],
    },
    Layer {
        name: "simulation",
        folders: &["testing/sim", "testing/fuzz"],
        // The journal is simulated, or damaged, with its disk, not replaced.
        imports: &["base", "core", "plans", "core hub", "wire", "host"],
    },
    Layer { name: "testkit", folders: &["testing/testkit"], imports: &["base", "wire"] },
    Layer { name: "torture", folders: &["testing/torture"], imports: &["testkit"] },
    Layer {
        name: "testing",
        folders: &["testing/*"],
        imports: &["base", "wire", "testkit", "torture"],
    },
    Layer { name: "chores", folders: &["xtask"], imports: &[] },
];

/// Layers that decide and do not act.
const PURE: &[&str] = &["base", "core", "plans", "core hub", "wire"];

/// Crates that act: with one of them a pure crate could wait, read a clock or open a socket.
const EFFECTS: &[&str] = &[
    "async-std",
    "axum",
    "crossbeam-channel",
    "getrandom",
    "hyper",
    "hyper-util",
    "landlock",
    "libc",
    "mio",
    "notify",
    "parking_lot",
    "rand",
    "rcgen",
    "rustix",
    "rustls",
    "seccompiler",
    "smol",
    "socket2",
    "tempfile",
    "tokio",
    "tracing",
    "uuid",
];

/// A crate of the workspace and what it imports, other crates of the workspace and foreign ones.
#[derive(Debug, Default)]
pub(super) struct Crate {
    /// Its package name.
    name: String,
    /// Its folder, relative to the root.
    folder: String,
    /// Its description is not empty.
    described: bool,
    /// Packages that it names in any of its dependency tables.
    imports: Vec<Import>,
}

/// One entry of a dependency table.
#[derive(Debug)]
struct Import {
    name: String,
    /// It is used by the tests of the crate alone.
    dev: bool,
}

/// The crates of a workspace.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// In the order in which cargo names them.
    pub(super) crates: Vec<Crate>,
}

impl Graph {
    /// Asks cargo for the crates of `workspace`.
    ///
    /// # Errors
    /// Fails when cargo does, or answers in a form that is not known here.
    pub(super) fn read(workspace: &Workspace) -> Result<Self> {
        let arguments = ["metadata", "--no-deps", "--format-version", "1", "--offline"];
        let text = process::output(process::cargo(workspace.root()).args(arguments))?;
        let metadata: Value = serde_json::from_str(&text).context("read cargo's metadata")?;
        let root = metadata["workspace_root"].as_str().context("cargo names no root")?;
        let packages = metadata["packages"].as_array().context("cargo names no packages")?;
        let crates = packages.iter().map(|package| read_crate(package, root));
        Ok(Self { crates: crates.collect::<Option<_>>().context("a package lacks a field")? })
    }

    fn find(&self, name: &str) -> Option<&Crate> {
        self.crates.iter().find(|one| one.name == name)
    }
}

fn read_crate(package: &Value, root: &str) -> Option<Crate> {
    let manifest = package["manifest_path"].as_str()?;
    let folder = manifest.strip_prefix(root)?.strip_suffix("/Cargo.toml")?;
    let read_import = |dependency: &Value| {
        let name = dependency["name"].as_str()?.to_owned();
        Some(Import { name, dev: dependency["kind"] == "dev" })
    };
    Some(Crate {
        name: package["name"].as_str()?.to_owned(),
        folder: folder.trim_start_matches('/').to_owned(),
        described: package["description"].as_str().is_some_and(|text| !text.trim().is_empty()),
        imports: package["dependencies"]
            .as_array()?
            .iter()
            .map(read_import)
            .collect::<Option<_>>()?,
    })
}

fn layer_of(folder: &str) -> Option<&'static Layer> {
    let in_full = |layer: &&Layer| layer.folders.contains(&folder);
    let parent = folder.rsplit_once('/').map(|(parent, _)| format!("{parent}/*"));
    let as_one_of_many =
        |layer: &&Layer| parent.as_ref().is_some_and(|all| layer.folders.contains(&all.as_str()));
    LAYERS.iter().find(in_full).or_else(|| LAYERS.iter().find(as_one_of_many))
}

/// Returns a sentence for each import that goes up or sideways, and for each crate without a place.
pub(super) fn offences(graph: &Graph) -> Vec<String> {
    graph.crates.iter().flat_map(|one| crate_offences(graph, one)).collect()
}

fn crate_offences(graph: &Graph, one: &Crate) -> Vec<String> {
    let Some(layer) = layer_of(&one.folder) else {
        return vec![format!("{} is in {}, which is in no layer", one.name, one.folder)];
    };
    one.imports.iter().filter_map(|import| import_offence(graph, one, layer, import)).collect()
}

fn import_offence(graph: &Graph, one: &Crate, layer: &Layer, import: &Import) -> Option<String> {
    let Some(imported) = graph.find(&import.name) else {
        let acts = PURE.contains(&layer.name) && EFFECTS.contains(&import.name.as_str());
        return (acts && !import.dev)
            .then(|| format!("{} decides and must not import {}", one.name, import.name));
    };
    let target = layer_of(&imported.folder)?;
    let allowed = layer.imports.contains(&target.name);
    (!allowed).then(|| {
        format!(
            "{} (layer {:?}) must not import {} (layer {:?}); allowed are {:?}",
            one.name, layer.name, imported.name, target.name, layer.imports
        )
    })
}

/// Returns a sentence for each crate that does not say what it is for.
pub(super) fn missing_descriptions(graph: &Graph) -> Vec<String> {
    let bare = graph.crates.iter().filter(|one| !one.described);
    bare.map(|one| format!("{} has no description in its Cargo.toml", one.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(crates: &[(&str, &str, &[&str])]) -> Graph {
        let import = |name: &&str| Import { name: (*name).to_owned(), dev: false };
        let build = |(name, folder, imports): &(&str, &str, &[&str])| Crate {
            name: (*name).to_owned(),
            folder: (*folder).to_owned(),
            described: true,
            imports: imports.iter().map(import).collect(),
        };
        Graph { crates: crates.iter().map(build).collect() }
    }

    fn check(crates: &[(&str, &str, &[&str])], offenders: &[&str]) {
        let found = offences(&workspace(crates));
        assert_eq!(found.len(), offenders.len(), "{found:?}");
        for (offence, offender) in found.iter().zip(offenders) {
            assert!(offence.starts_with(offender), "{offence}");
        }
    }

    #[test]
    fn imports_that_go_down_are_allowed() {
        check(
            &[
                ("base", "core/base", &["bytes"]),
                ("mqtt", "core/mqtt", &["base"]),
                ("machines", "core/hub", &["base", "mqtt"]),
                ("wire", "core/wire", &["base", "mqtt", "serde"]),
                ("journal", "host/journal", &["wire", "rustix"]),
                ("hub", "apps/hub", &["journal", "machines", "tokio"]),
                ("tomte", "apps/cli", &["hub", "wire"]),
                ("sim", "testing/sim", &["machines"]),
            ],
            &[],
        );
    }

    #[test]
    fn an_import_that_goes_up_is_refused() {
        check(
            &[
                ("base", "core/base", &["journal"]),
                ("journal", "host/journal", &["hub"]),
                ("hub", "apps/hub", &["tomte"]),
                ("tomte", "apps/cli", &["kit"]),
                ("kit", "testing/testkit", &[]),
            ],
            &["base", "journal", "hub", "tomte"],
        );
    }

    #[test]
    fn core_crates_do_not_know_each_other() {
        check(
            &[("mqtt", "core/mqtt", &["broker"]), ("broker", "core/broker", &[])],
            &["mqtt (layer \"core\") must not import broker (layer \"core\")"],
        );
    }

    #[test]
    fn a_pure_crate_with_an_effect_is_refused() {
        check(&[("mqtt", "core/mqtt", &["tokio", "bytes"])], &["mqtt decides"]);
    }

    #[test]
    fn a_crate_outside_every_layer_is_refused() {
        check(&[("stray", "tools/stray", &[])], &["stray is in tools/stray"]);
    }

    #[test]
    fn a_crate_without_a_description_is_refused() {
        let graph = Graph { crates: vec![Crate { name: "bare".into(), ..Crate::default() }] };
        assert_eq!(missing_descriptions(&graph), ["bare has no description in its Cargo.toml"]);
    }

    #[test]
    fn the_crates_of_this_workspace_keep_to_their_layers() {
        let graph = Graph::read(&Workspace::locate().unwrap()).unwrap();
        assert!(graph.crates.len() >= 10, "cargo named only {} crates", graph.crates.len());
        assert_eq!(offences(&graph), Vec::<String>::new());
        assert_eq!(missing_descriptions(&graph), Vec::<String>::new());
    }
}
