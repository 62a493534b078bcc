//! The documents' text as a page has it: Markdown's marks become roff's, its tables lists.
use clap_mangen::roff::{Inline, Roff, bold, roman};

/// What stands in backquotes or between two stars is bold; of a link its text stays.
pub fn inlines(text: &str) -> Vec<Inline> {
    let text = without_links(text).replace("**", "`");
    text.split('`').enumerate().map(|(n, part)| if n % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

fn without_links(text: &str) -> String {
    let mut parts = text.split("](");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match (plain.rfind('['), part.split_once(')')) {
            (Some(open), Some((_, rest))) => {
                plain.remove(open);
                plain.push_str(rest);
            }
            _ => {
                plain.push_str("](");
                plain.push_str(part);
            }
        }
    }
    plain
}

/// The rows of the one table of a document whose heading is this line.
///
/// # Panics
/// If there is not one such table: the document and the page have to be brought together again.
pub fn table<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let heading = format!("\n{heading}\n");
    let mut tables = document.split(&heading).skip(1);
    let (Some(table), None) = (tables.next(), tables.next()) else {
        panic!("not one table is headed {heading}")
    };
    table.lines().skip(1).take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// No cell of these tables has a bar of its own.
fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

/// A list: what a row begins with, and the text made of it.
pub fn list<'a>(roff: &mut Roff, rows: impl IntoIterator<Item = (&'a str, String)>) {
    for (term, text) in rows {
        roff.control("TP", []).text(inlines(term));
        roff.text(inlines(&text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_those_of_a_page() {
        let mut roff = Roff::new();
        roff.text(inlines("see [the page](x.md#y) of `--one`, **two**"));
        assert!(
            roff.to_roff().contains("see the page of \\fB\\-\\-one\\fR, \\fBtwo\\fR"),
            "{}",
            roff.to_roff()
        );
        assert_eq!(without_links("a [b](c) [d](e) f](g"), "a b d f](g");
    }

    #[test]
    fn a_table_ends_where_its_rows_do() {
        let document = "x\n| a | b |\n|---|---|\n| 1 | 2 |\n| `3` | |\n\n| a | c |\n|---|\n| 4 |\n";
        assert_eq!(table(document, "| a | b |"), [["1", "2"], ["`3`", ""]]);
    }
}
