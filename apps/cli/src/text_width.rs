use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Returns the columns that `text` takes on a terminal. It must hold no escape codes.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// Returns `text` filled with spaces up to `width` columns.
pub(crate) fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(columns(text));
    format!("{text}{}", " ".repeat(missing))
}

/// Returns `text` cut to `width` columns, the last one an ellipsis when something was cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used >= width {
            break;
        }
        kept.push(character);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// Returns `text` on one line and harmless to a terminal: control characters become spaces.
///
/// What devices and functions send is shown to people; it must not move their cursor.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_fits_is_not_cut() {
        assert_eq!(cut("fan", 3), "fan");
        assert_eq!(cut("fans", 3), "fa…");
        assert_eq!(cut("fan", 0), "");
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        assert_eq!(cut("温室温室", 5), "温室…");
        assert_eq!(pad("温", 4), "温  ");
    }

    #[test]
    fn escape_codes_of_strangers_do_not_reach_the_terminal() {
        assert_eq!(harmless("a\x1b[31mb\nc"), "a [31mb c");
    }
}
