use std::collections::BTreeMap;

use tomte_route::{Attribute, Attributes, NAME_KEY};

use super::context::Context;
use crate::manifest::diagnostic::Complaint;
use crate::manifest::key_path::KeyPath;
use crate::manifest::written::{self, Scalar};

/// Most attributes of one device, and most values in a list.
const MAX_ATTRIBUTES: usize = 64;

/// Longest name and longest text of an attribute, in bytes.
const MAX_ATTRIBUTE_BYTES: usize = 256;

/// Reads what message rules may see of a device.
pub(super) fn attributes(
    written: BTreeMap<String, written::Attribute>,
    device: &KeyPath,
    context: &mut Context<'_, '_, '_>,
) -> Attributes {
    let table = device.key("attributes");
    if written.len() > MAX_ATTRIBUTES {
        let message = format!("{} attributes, at most {MAX_ATTRIBUTES} are allowed", written.len());
        context.complain(&table, Complaint::new(message));
    }
    let mut attributes = Attributes::new();
    for (name, value) in written {
        let key = table.key(&name);
        if let Err(message) = check_name(&name).and_then(|()| check_value(&value)) {
            context.complain(&key, Complaint::new(message));
        }
        attributes.insert(name, attribute(value));
    }
    attributes
}

/// An attribute is read as `receiver.NAME`, so its name is one of an expression.
fn check_name(name: &str) -> Result<(), String> {
    if name == NAME_KEY {
        return Err(format!("receiver.{NAME_KEY} is the name of the device"));
    }
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let goes_on = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if starts && goes_on && name.len() <= MAX_ATTRIBUTE_BYTES {
        return Ok(());
    }
    Err("an attribute has a name of letters, digits and _, not a digit first".to_owned())
}

fn check_value(value: &written::Attribute) -> Result<(), String> {
    let values = match value {
        written::Attribute::One(one) => std::slice::from_ref(one),
        written::Attribute::Many(many) => many,
    };
    if values.len() > MAX_ATTRIBUTES {
        return Err(format!("{} values, at most {MAX_ATTRIBUTES} are allowed", values.len()));
    }
    let longest = values.iter().map(|value| match value {
        Scalar::Text(text) => text.len(),
        _ => 0,
    });
    match longest.max() {
        Some(length) if length > MAX_ATTRIBUTE_BYTES => {
            Err(format!("{length} bytes, at most {MAX_ATTRIBUTE_BYTES} are allowed"))
        }
        _ => Ok(()),
    }
}

fn attribute(written: written::Attribute) -> Attribute {
    match written {
        written::Attribute::One(one) => scalar(one),
        written::Attribute::Many(many) => Attribute::List(many.into_iter().map(scalar).collect()),
    }
}

fn scalar(written: Scalar) -> Attribute {
    match written {
        Scalar::Truth(truth) => Attribute::Truth(truth),
        #[expect(clippy::cast_precision_loss, reason = "numbers of expressions are doubles")]
        Scalar::Integer(number) => Attribute::Number(number as f64),
        Scalar::Number(number) => Attribute::Number(number),
        Scalar::Text(text) => Attribute::Text(text),
    }
}
