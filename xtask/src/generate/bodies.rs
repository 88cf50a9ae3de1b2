//! The control interface as one page: its table of requests and the fields of its bodies, from the
//! doc comments of the types.

use std::fmt::Write;

/// Returns the page for `source`, the module of the bodies.
pub(super) fn page(source: &str) -> String {
    let mut text = String::from(
        "<!-- Written by `cargo xtask generate` from core/wire/src/control.rs. -->\n# Control interface\n\n",
    );
    for line in source.lines().map_while(|line| line.strip_prefix("//!")) {
        let _ = writeln!(text, "{}", without_links(line.strip_prefix(' ').unwrap_or(line)));
    }
    let mut comment = String::new();
    let mut variant_depth = 0;
    for line in source.lines() {
        let (depth, line) = (line.len() - line.trim_start().len(), line.trim());
        if let Some(more) = line.strip_prefix("///") {
            comment.push_str(more);
        } else if let Some(name) = type_name(line) {
            let _ = write!(text, "\n## {name}\n\n{}\n\n", without_links(comment.trim()));
            comment.clear();
        } else if !comment.is_empty() && !line.starts_with("#[") {
            // Fields of a variant stand below it.
            variant_depth = if depth > 4 { variant_depth.max(1) } else { 0 };
            let indent = "  ".repeat(variant_depth);
            let _ = writeln!(text, "{indent}* {}: {}", member(line), without_links(comment.trim()));
            comment.clear();
        }
    }
    text
}

fn type_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
    rest.split([' ', '<', '{', '(']).next()
}

/// Writes a field as its name and type, a variant as its name.
fn member(line: &str) -> String {
    let line = line.strip_prefix("pub ").unwrap_or(line).trim_end_matches([',', '{', ' ']);
    match line.split_once(": ") {
        Some((name, kind)) => format!("`{name}` ({})", plain_type(kind)),
        None => {
            let name = line.split('(').next().unwrap_or(line);
            format!("`{}`", snake_case(name))
        }
    }
}

/// Says a Rust type as JSON would have it.
fn plain_type(kind: &str) -> String {
    if let Some(inner) = kind.strip_prefix("Option<").and_then(|kind| kind.strip_suffix('>')) {
        return format!("{} or null", plain_type(inner));
    }
    if let Some(inner) = kind.strip_prefix("Vec<").and_then(|kind| kind.strip_suffix('>')) {
        return format!("list of {}", plain_type(inner));
    }
    if let Some(inner) =
        kind.strip_prefix("BTreeMap<String, ").and_then(|kind| kind.strip_suffix('>'))
    {
        return format!("{} by name", plain_type(inner));
    }
    match kind {
        "String" => "text".to_owned(),
        "bool" => "true or false".to_owned(),
        "u8" | "u16" | "u32" | "u64" => "number".to_owned(),
        name => name.to_owned(),
    }
}

fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// Writes the links of rustdoc as plain names.
fn without_links(text: &str) -> String {
    text.replace("`[`[", "[`").replace("`]`]`", "`]").replace("[`", "`").replace("`]", "`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_become_chapters_and_fields_their_points() {
        let source = "//! The bodies of [`Status`].\n\nuse x::Y;\n\n/// What it is.\n#[derive(Debug)]\n\
                      pub struct Status {\n    /// Its name.\n    pub name: String,\n    \
                      /// Things that\n    /// wait.\n    pub queued: Option<u64>,\n}\n\n\
                      /// What happened.\npub enum Flow {\n    /// It came.\n    CameIn {\n        \
                      /// Who.\n        client: String,\n    },\n}\n";
        let page = page(source);
        for expect in [
            "The bodies of `Status`.\n",
            "## Status\n\nWhat it is.\n\n* `name` (text): Its name.\n",
            "* `queued` (number or null): Things that wait.\n",
            "## Flow\n\nWhat happened.\n\n* `came_in`: It came.\n  * `client` (text): Who.\n",
        ] {
            assert!(page.contains(expect), "{expect:?} in {page}");
        }
    }
}
