//! `nvsharectl report`: what was used, as a table or for a spreadsheet.
use super::columns::{self, Column};
use super::words::or_dash;
use crate::text::{bytes, clean, time};
use nvshare_protocol::Bytes;
use nvshare_protocol::control::{Grouping, Report, ReportRow};
use std::time::{Duration, UNIX_EPOCH};

/// The columns that name what a row is of.
const fn names(by: Grouping) -> &'static [&'static str] {
    match by {
        Grouping::Tenant => &["USER", "CONTAINER", "PROGRAM"],
        Grouping::Container => &["CONTAINER"],
        Grouping::User => &["USER"],
        Grouping::Gpu => &["GPU"],
    }
}

fn name(row: &ReportRow, column: &str) -> Option<String> {
    match column {
        "USER" => row.user.clone().or_else(|| row.uid.map(|uid| uid.to_string())),
        "CONTAINER" => row.container.clone(),
        "PROGRAM" => row.program.clone(),
        _ => row.gpu.clone(),
    }
}

pub fn table(report: &Report) -> String {
    let Some(since) = report.since else { return "nothing that you may see was used\n".into() };
    let since = Duration::try_from_secs_f64(since).ok().and_then(|since| UNIX_EPOCH.checked_add(since));
    let since = since.map_or_else(String::new, |since| humantime::format_rfc3339_seconds(since).to_string());
    let rows = &report.rows;
    let named = |column: &'static &'static str| {
        Column::new(column, 0, rows, |row| or_dash(name(row, column).map(|name| clean(&name, 96))))
    };
    let bytes =
        |head, of: fn(&ReportRow) -> u64| Column::new(head, 0, rows, |row| bytes(Bytes(of(row)))).right();
    let time = |head, of: fn(&ReportRow) -> f64| Column::new(head, 0, rows, |row| time(of(row))).right();
    let sums = [
        time("HELD", |row| row.held_seconds),
        time("WAITED", |row| row.waited_seconds),
        bytes("MOVED-IN", |row| row.moved_in_bytes),
        bytes("MOVED-OUT", |row| row.moved_out_bytes),
    ];
    let all = names(report.by).iter().map(named).chain(sums).collect();
    format!("since {since}\n\n{}", columns::lines(all, None))
}

pub fn csv(report: &Report) -> String {
    let columns = names(report.by);
    let mut out = columns.iter().map(|column| column.to_lowercase() + ",").collect::<String>();
    out += "held_seconds,waited_seconds,moved_in_bytes,moved_out_bytes\n";
    for row in &report.rows {
        for column in columns {
            out += &(field(&name(row, column).unwrap_or_default()) + ",");
        }
        let ReportRow { held_seconds, waited_seconds, moved_in_bytes, moved_out_bytes, .. } = row;
        out += &format!("{held_seconds:.3},{waited_seconds:.3},{moved_in_bytes},{moved_out_bytes}\n");
    }
    out
}

/// As RFC 4180 writes it. What a spreadsheet would take for a formula begins with an apostrophe.
fn field(text: &str) -> String {
    let text = clean(text, 96);
    let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text };
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(by: Grouping) -> Report {
        let row = ReportRow {
            uid: Some(0),
            user: Some("root".into()),
            container: Some("4f1d3c0b5a69".into()),
            program: Some("=a,\"b\"".into()),
            gpu: Some("GPU-1".into()),
            held_seconds: 3661.5,
            waited_seconds: 0.25,
            moved_in_bytes: 12_900_000_000,
            moved_out_bytes: 0,
        };
        Report { by, since: Some(1e9), rows: vec![row], ..Report::default() }
    }

    #[test]
    fn a_table_says_since_when_and_what_it_is_by() {
        let text = table(&report(Grouping::Gpu));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "since 2001-09-09T01:46:40Z");
        assert_eq!(lines[2].split_whitespace().next(), Some("GPU"));
        assert!(lines[3].starts_with("GPU-1") && lines[3].contains("12.0 GiB"), "{text}");
        assert!(table(&report(Grouping::User)).contains("root"));
        assert_eq!(table(&Report::default()), "nothing that you may see was used\n");
    }

    #[test]
    fn fields_for_a_spreadsheet_are_quoted_and_are_no_formula() {
        let text = csv(&report(Grouping::Tenant));
        assert_eq!(
            text,
            "user,container,program,held_seconds,waited_seconds,moved_in_bytes,moved_out_bytes\n\
             root,4f1d3c0b5a69,\"'=a,\"\"b\"\"\",3661.500,0.250,12900000000,0\n"
        );
    }
}
