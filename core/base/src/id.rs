use std::fmt;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// Returns the id that follows this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id! {
    /// A message that the hub accepted. Ids grow in the order of acceptance, also over restarts.
    MessageId
}
number_id! {
    /// A version of the configuration. A newer deployment has a greater revision.
    Revision
}
number_id! {
    /// One execution environment of a function.
    WorkerId
}
number_id! {
    /// One network connection, from accept to close. Never used twice in the life of a process.
    ConnectionId
}
number_id! {
    /// A place in the journal: the number of the last record that it includes.
    LogPosition
}

/// One execution of a function, from acceptance to result. Printed as a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u128);

impl CallId {
    /// Returns the id that `text`, a UUID in any letter case, stands for.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let dashes = text.bytes().enumerate().filter(|(_, byte)| *byte == b'-');
        if text.len() != 36 || !dashes.map(|(at, _)| at).eq([8, 13, 18, 23]) {
            return None;
        }
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        u128::from_str_radix(&digits, 16).ok().map(Self)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        write!(f, "{a}-{b}-{c}-{d}-{e}")
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_id_reads_what_it_prints() {
        let id = CallId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert_eq!(id.to_string(), "01234567-89ab-cdef-0011-223344556677");
        assert_eq!(CallId::parse(&id.to_string()), Some(id));
    }

    #[test]
    fn what_is_no_uuid_is_no_call_id() {
        for text in
            ["", "1", "0123456789abcdef0011223344556677", "+1234567-89ab-cdef-0011-22334455667é"]
        {
            assert_eq!(CallId::parse(text), None, "{text}");
        }
    }
}
