use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Longest name of a device, function or route, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name has no characters.
    #[error("the name is empty")]
    Empty,
    /// The name is longer than the limit.
    #[error("the name has {length} bytes, at most {MAX_NAME_BYTES} are allowed")]
    TooLong {
        /// Length of the refused name in bytes.
        length: usize,
    },
    /// The name holds a character outside the allowed set.
    #[error(
        "the name {name:?} holds {character:?}; allowed are a-z, A-Z, 0-9, '-', '_', '.' and ':'"
    )]
    BadCharacter {
        /// The refused name.
        name: String,
        /// The first character that is not allowed.
        character: char,
    },
    /// The name would be mistaken for a path.
    #[error("the name {name:?} starts with a dot")]
    LeadingDot {
        /// The refused name.
        name: String,
    },
}

fn check_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong { length: name.len() });
    }
    if name.starts_with('.') {
        return Err(NameError::LeadingDot { name: name.to_owned() });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    match name.chars().find(|c| !allowed(*c)) {
        Some(character) => Err(NameError::BadCharacter { name: name.to_owned(), character }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `name` and keeps it.
            ///
            /// # Errors
            /// Fails with [`NameError`] when the name is empty, longer than 128 bytes, starts with a
            /// dot or holds a character other than letters, digits, `-`, `_`, `.` and `:`.
            pub fn new(name: &str) -> Result<Self, NameError> {
                check_name(name)?;
                Ok(Self(name.into()))
            }

            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                Self::new(name)
            }
        }
    };
}

name! {
    /// The name of a device: what its certificate says, what routes write after `device:`.
    DeviceName
}
name! {
    /// The name of a function: the key of its table in the manifest.
    FunctionName
}
name! {
    /// The name of a route, as its `name` key gives it or `routes[3]` when it has none.
    RouteName
}

impl RouteName {
    /// Returns the name of a route that has no `name` key: its place in the table.
    #[must_use]
    pub fn of_index(index: usize) -> Self {
        Self(format!("routes[{index}]").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_accepted() {
        for name in ["fan", "thermometer-1", "a.b_c", "MAC:00:11"] {
            assert_eq!(DeviceName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_could_be_paths_or_wildcards_are_refused() {
        for name in ["", ".", "..", ".hidden", "a/b", "a b", "fan*", "+", "#", "ä"] {
            assert!(DeviceName::new(name).is_err(), "{name:?} was accepted");
        }
    }

    #[test]
    fn a_name_at_the_limit_is_accepted_and_one_past_it_refused() {
        assert!(FunctionName::new(&"a".repeat(128)).is_ok());
        assert_eq!(FunctionName::new(&"a".repeat(129)), Err(NameError::TooLong { length: 129 }));
    }
}
