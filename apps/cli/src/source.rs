use tomte_base::DeviceName;

use crate::exit::Exit;
use crate::failure::Failure;

/// Returns the source that `--as NAME` stands for: a bare name is a device.
pub(crate) fn parse(name: &str) -> Result<String, Failure> {
    if name == "anonymous" {
        return Ok(name.to_owned());
    }
    let (kind, bare) = match name.split_once(':') {
        Some((kind @ ("device" | "function"), bare)) => (kind, bare),
        _ => ("device", name),
    };
    match DeviceName::new(bare) {
        Ok(_) => Ok(format!("{kind}:{bare}")),
        Err(error) => Err(Failure::new(
            Exit::Usage,
            format!("--as {name:?} names nobody: {error}"),
            "write a device as in `--as thermometer`, or `function:NAME`, or `anonymous`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_a_device() {
        assert_eq!(parse("fan").unwrap(), "device:fan");
        assert_eq!(parse("mac:00:11").unwrap(), "device:mac:00:11");
        assert_eq!(parse("function:regulate").unwrap(), "function:regulate");
        assert_eq!(parse("anonymous").unwrap(), "anonymous");
        assert_eq!(parse("a b").unwrap_err().exit, Exit::Usage);
    }
}
