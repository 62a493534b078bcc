//! What was measured, a line for each figure and a column for each round.
use anyhow::{Context as _, Result, bail};
use std::fmt;

/// One look at a process.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Resident memory without files and shared memory, KiB: what a leak makes grow.
    anonymous: u64,
    descriptors: u64,
    threads: u64,
}

impl Sample {
    /// # Errors
    /// If there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let field = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let word = line.and_then(|rest| rest.split_whitespace().next());
            Ok(word.with_context(|| format!("/proc/{pid}/status has no {name}"))?.parse()?)
        };
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
        Ok(Self { anonymous: field("RssAnon:")?, descriptors, threads: field("Threads:")? })
    }

    #[must_use]
    pub fn least(self, other: Self) -> Self {
        Self {
            anonymous: self.anonymous.min(other.anonymous),
            descriptors: self.descriptors.min(other.descriptors),
            threads: self.threads.min(other.threads),
        }
    }
}

/// How much more memory than after the warm-up is none, KiB: a heap keeps what its busiest moment took.
const SLACK: u64 = 1024;

#[derive(Debug)]
struct Row {
    name: String,
    unit: &'static str,
    values: Vec<u64>,
    /// By how much the last value may be above the one after the warm-up.
    slack: u64,
}

#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// The next round's look at `who`.
    pub fn add(&mut self, who: &str, sample: Sample) {
        self.add_row(&format!("{who}: memory"), "KiB", sample.anonymous, SLACK);
        self.add_row(&format!("{who}: descriptors"), "", sample.descriptors, 0);
        self.add_row(&format!("{who}: threads"), "", sample.threads, 0);
    }

    /// The next round's value of one figure.
    pub fn add_row(&mut self, name: &str, unit: &'static str, value: u64, slack: u64) {
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.values.push(value),
            None => self.rows.push(Row { name: name.into(), unit, values: vec![value], slack }),
        }
    }

    /// Whether nothing grew after the first `warm_up` rounds.
    ///
    /// # Errors
    /// With every figure that did.
    pub fn judge(&self, warm_up: usize) -> Result<()> {
        let mut grown = Vec::new();
        for row in &self.rows {
            let (Some(after), Some(last)) = (row.values.get(warm_up - 1), row.values.last()) else {
                bail!("{}: {} rounds, and {warm_up} are the warm-up", row.name, row.values.len());
            };
            if *last > after + row.slack {
                grown.push(format!("{}: {after} after the warm-up, {last} at the end", row.name));
            }
        }
        if grown.is_empty() { Ok(()) } else { bail!("grown beyond what is allowed:\n{}", grown.join("\n")) }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Row { name, unit, values, slack } in &self.rows {
            write!(f, "{:<48}", format!("{name} {unit}").trim_end())?;
            values.iter().try_for_each(|value| write!(f, " {value:>7}"))?;
            writeln!(f, "  (+{slack} allowed)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(values: &[u64]) -> Table {
        let mut table = Table::default();
        values.iter().for_each(|value| table.add_row("descriptors", "", *value, 1));
        table
    }

    #[test]
    fn growth_counts_from_the_warm_up_on() {
        assert!(table(&[5, 9, 9, 10]).judge(2).is_ok());
        let grown = table(&[5, 9, 9, 11]).judge(2).unwrap_err().to_string();
        assert!(grown.contains("descriptors: 9 after the warm-up, 11 at the end"), "{grown}");
        assert!(table(&[5]).judge(2).is_err());
    }
}
