//! Columns two blanks apart without frames, so that they can be cut and searched. Where the terminal is too narrow, the less
//! important ones are left out.
use ratatui::text::Span;

/// One column: its head, its cells, and how readily it is left out.
pub struct Column {
    pub head: &'static str,
    /// It holds numbers.
    right: bool,
    /// 0: it is always shown. Of the others, the one with the highest number goes first.
    rank: u8,
    cells: Vec<String>,
}

impl Column {
    pub fn new<T>(
        head: &'static str,
        rank: u8,
        rows: impl IntoIterator<Item = T>,
        cell: impl Fn(T) -> String,
    ) -> Self {
        Self { head, right: false, rank, cells: rows.into_iter().map(cell).collect() }
    }

    /// Quantities stand below each other.
    pub fn right(self) -> Self {
        Self { right: true, ..self }
    }

    fn width(&self) -> usize {
        self.cells.iter().map(|cell| width(cell)).chain([width(self.head)]).max().unwrap_or(0)
    }
}

/// The cells that a terminal needs for it: none for an accent of its own, two for a wide character.
pub fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// Lines of at most `most` cells, as far as columns can be left out; none: with all columns.
pub fn lines(mut columns: Vec<Column>, most: Option<usize>) -> String {
    while most.is_some_and(|most| total(&columns) > most) {
        let last = columns.iter().enumerate().max_by_key(|(_, column)| column.rank);
        match last.filter(|(_, column)| column.rank > 0).map(|(i, _)| i) {
            Some(i) => drop(columns.remove(i)),
            None => break,
        }
    }
    let widths: Vec<usize> = columns.iter().map(Column::width).collect();
    let line = |texts: Vec<&str>| {
        let mut line = String::new();
        for ((text, column), wide) in texts.into_iter().zip(&columns).zip(&widths) {
            let blanks = " ".repeat(wide - width(text));
            line += &if column.right { blanks + text } else { text.to_owned() + &blanks };
            line += "  ";
        }
        line.trim_end().to_owned() + "\n"
    };
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let mut out = line(columns.iter().map(|column| column.head).collect());
    for row in 0..rows {
        out += &line(columns.iter().map(|column| &column.cells[row][..]).collect());
    }
    out
}

fn total(columns: &[Column]) -> usize {
    columns.iter().map(|column| column.width() + 2).sum::<usize>().saturating_sub(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        let text = |cells: [&str; 2]| cells.map(str::to_owned);
        vec![
            Column::new("ID", 0, text(["7", "12"]), |cell| cell).right(),
            Column::new("LONG-NAME", 2, text(["é", "日本"]), |cell| cell),
            Column::new("STATE", 1, text(["idle", "waiting"]), |cell| cell),
        ]
    }

    #[test]
    fn accents_and_wide_characters_do_not_shift_what_follows() {
        let names =
            ["e\u{301}te\u{301}", "\u{65e5}\u{672c}", "\u{1f469}\u{1f3fd}", "abcd"].map(str::to_owned);
        let columns =
            vec![Column::new("N", 0, names, |cell| cell), Column::new("S", 0, [1; 4], |_| "x".into())];
        let text = lines(columns, None);
        let before: Vec<usize> =
            text.lines().skip(1).map(|line| width(line.strip_suffix('x').unwrap())).collect();
        assert_eq!(before, [6; 4], "{text}");
    }

    #[test]
    fn what_is_least_important_is_left_out_until_the_rest_fits() {
        let all = "ID  LONG-NAME  STATE\n 7  é          idle\n12  日本       waiting\n";
        assert_eq!(lines(columns(), None), all);
        assert_eq!(lines(columns(), Some(22)), all);
        assert_eq!(lines(columns(), Some(21)), "ID  STATE\n 7  idle\n12  waiting\n");
        assert_eq!(lines(columns(), Some(10)), "ID\n 7\n12\n");
        assert_eq!(lines(columns(), Some(1)), "ID\n 7\n12\n", "something has to be shown");
    }
}
