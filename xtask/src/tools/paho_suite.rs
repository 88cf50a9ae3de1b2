//! The tests for MQTT 5 of paho-mqtt, from its source package on PyPI: one script. Nothing is
//! installed, though pip fetches the build tool of the package to read its name and version.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Group;
use crate::process;

/// The source package, as a line of requirements. pip refuses an archive of another SHA-256.
const REQUIREMENT: &str = "paho-mqtt==2.1.0 \
    --hash=sha256:12d6e7511d4137555a3f6ea167ae846af2c7357b10bc6fa4f7c3968fc1723834\n";
const ARCHIVE: &str = "paho_mqtt-2.1.0.tar.gz";
const SCRIPT: &str = "paho_mqtt-2.1.0/tests/test_mqttv5.py";

/// Downloads the source package with the pip of `python`, a group that is installed, and unpacks the
/// script into the group's folder.
///
/// # Errors
/// Fails when the package cannot be had, is another one, or has no such script.
pub(super) fn install(group: &Group, python: &Group) -> Result<()> {
    let python = python.folder.join("bin/python");
    group.ensure(&format!("{REQUIREMENT}{SCRIPT}"), |folder| {
        if !python.is_file() {
            bail!("{} is not there to fetch {ARCHIVE} with", python.display());
        }
        unpack(folder, &python).with_context(|| format!("fetch {SCRIPT} from PyPI"))
    })
}

fn unpack(folder: &Path, python: &Path) -> Result<()> {
    let list = folder.join("requirements.txt");
    fs::write(&list, REQUIREMENT)?;
    let mut pip = process::command(python, folder);
    pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps"]);
    process::output(pip.args(["--no-binary", "paho-mqtt", "-r"]).arg(&list))?;
    let mut tar = process::command("tar", folder);
    process::output(tar.args(["--extract", "--strip-components=2", "--file", ARCHIVE, SCRIPT]))?;
    fs::remove_file(folder.join(ARCHIVE))?;
    fs::remove_file(list).context("remove the list of requirements")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_python_the_missing_program_is_named() {
        let folder = std::env::temp_dir().join(format!("xtask-paho-{}", std::process::id()));
        let group = |name: &'static str| Group { name, folder: folder.join(name) };
        let suite = group("suite");
        fs::create_dir_all(&suite.folder).unwrap();
        let error = install(&suite, &group("python")).unwrap_err().to_string();
        assert!(error.contains("python/bin/python is not there"), "{error}");
        assert!(!suite.stamp().exists(), "a failed install leaves no stamp");
        fs::remove_dir_all(&folder).unwrap();
    }
}
