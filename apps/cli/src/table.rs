use crate::paint::{Paint, Tint};
use crate::text_width::{columns, harmless, pad};

/// A table for people: aligned columns, a dim head, no lines.
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// One field of a [`Table`].
pub(crate) struct Cell {
    text: String,
    tint: Option<Tint>,
}

impl Cell {
    /// A field in a colour.
    pub(crate) fn tinted(tint: Tint, text: impl Into<String>) -> Self {
        Self { text: harmless(&text.into()), tint: Some(tint) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: harmless(&text.into()), tint: None }
    }
}

impl Table {
    /// Makes an empty table.
    pub(crate) fn new<const N: usize>(head: [&'static str; N]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, row: [Cell; N]) {
        self.rows.push(row.into());
    }

    /// Tells whether there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the lines, without the last line end.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let widths = self.widths();
        let head = self.head.iter().zip(&widths).map(|(title, width)| pad(title, *width));
        let head = head.collect::<Vec<_>>().join("  ");
        let mut lines = vec![paint.apply(Tint::Dim, head.trim_end())];
        lines.extend(self.rows.iter().map(|row| render_row(row, &widths, paint)));
        lines.join("\n")
    }

    fn widths(&self) -> Vec<usize> {
        let width_of = |column: usize, title: &&str| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| columns(&cell.text)).fold(columns(title), usize::max)
        };
        self.head.iter().enumerate().map(|(column, title)| width_of(column, title)).collect()
    }
}

fn render_row(row: &[Cell], widths: &[usize], paint: Paint) -> String {
    let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
    let fields = row.iter().zip(widths).take(last + 1).enumerate().map(|(at, (cell, width))| {
        let width = if at == last { 0 } else { *width };
        let fill = " ".repeat(width.saturating_sub(columns(&cell.text)));
        match cell.tint {
            Some(tint) => paint.apply(tint, &cell.text) + &fill,
            None => format!("{}{fill}", cell.text),
        }
    });
    fields.collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn devices() -> Table {
        let mut table = Table::new(["NAME", "STATE", "QUEUED"]);
        table.row(["thermometer".into(), Cell::tinted(Tint::Good, "connected"), "0".into()]);
        table.row(["fan".into(), Cell::tinted(Tint::Dim, "away"), "12".into()]);
        table
    }

    #[test]
    fn columns_line_up() {
        expect![[r#"
            NAME         STATE      QUEUED
            thermometer  connected  0
            fan          away       12"#]]
        .assert_eq(&devices().render(Paint::plain()));
    }

    #[test]
    fn colour_does_not_move_the_columns() {
        let colored = devices().render(Paint::colored());
        let mut plain = colored;
        for code in ["\x1b[2m", "\x1b[32m", "\x1b[0m"] {
            plain = plain.replace(code, "");
        }
        assert_eq!(plain, devices().render(Paint::plain()));
    }
}
