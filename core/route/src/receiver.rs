//! Who would receive a message, as the `only` of a message rule sees them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::LazyLock;

use cel::common::types::{CelBool, CelDouble, CelList, CelMap, CelMapKey, CelString};
use cel::common::value::Val;
use tomte_base::DeviceName;

use crate::condition::text_width;

/// What the manifest says of a device, by name: codes, places, identifiers.
pub type Attributes = BTreeMap<String, Attribute>;

/// The key of a receiver that holds the name of the device, so no attribute can have it.
pub const NAME_KEY: &str = "name";

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A number; like those of a payload a double.
    Number(f64),
    /// True or false.
    Truth(bool),
    /// Several of these.
    List(Vec<Attribute>),
}

impl Attribute {
    fn value(&self, width: &mut u64) -> Box<dyn Val> {
        *width += 1;
        match self {
            Self::Text(text) => {
                *width += text_width(text.len());
                Box::new(CelString::from(text.clone()))
            }
            Self::Number(number) => Box::new(CelDouble::from(*number)),
            Self::Truth(truth) => Box::new(CelBool::from(*truth)),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| item.value(width)).collect();
                Box::new(CelList::from(items))
            }
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
        }
    }
}

/// One receiver as the variable `receiver` of an expression: a map with the name of the device and
/// its attributes.
#[derive(Debug)]
pub struct Receiver {
    pub(crate) value: CelMap<'static>,
    /// How many values it holds, long texts counted as several.
    pub(crate) width: u64,
}

impl Receiver {
    /// Returns a device with what the manifest says of it. Without a name it is a client that was
    /// let in without an identity; its name is empty.
    #[must_use]
    pub fn new(name: Option<&DeviceName>, attributes: &Attributes) -> Self {
        let name = name.map_or("", DeviceName::as_str);
        let mut width = 1 + text_width(name.len());
        let mut map: HashMap<CelMapKey<'static>, Box<dyn Val>> = HashMap::new();
        for (key, attribute) in attributes {
            width += text_width(key.len());
            map.insert(CelMapKey::from(key.clone()), attribute.value(&mut width));
        }
        map.insert(
            CelMapKey::from(NAME_KEY.to_owned()),
            Box::new(CelString::from(name.to_owned())),
        );
        Self { value: CelMap::from(map), width }
    }

    /// Returns a client without an identity.
    #[must_use]
    pub fn anonymous() -> &'static Self {
        static ANONYMOUS: LazyLock<Receiver> =
            LazyLock::new(|| Receiver::new(None, &Attributes::new()));
        &ANONYMOUS
    }
}
