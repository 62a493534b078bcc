//! The log of events and actions, from which a run is replayed.
use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file that is only appended to.
pub struct TraceFile {
    path: PathBuf,
    /// None: it could not be written to.
    file: Option<File>,
}

impl TraceFile {
    /// # Errors
    /// Where the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
        let file = file.with_context(|| format!("--trace {}: cannot be opened", path.display()))?;
        Ok(Self { path: path.to_owned(), file: Some(file) })
    }

    /// Adds whole lines. A trace with a gap would not replay, so that the first failure ends it.
    pub fn add(&mut self, lines: &str) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = file.write_all(lines.as_bytes()) {
            tracing::warn!(
                "--trace {}: cannot be written to ({error}); the trace ends here, scheduling goes on",
                self.path.display()
            );
            self.file = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_ends_the_trace_and_nothing_else() {
        let mut trace = TraceFile::open(Path::new("/dev/full")).unwrap();
        trace.add("0.0 event tick\n");
        assert!(trace.file.is_none());
        trace.add("0.1 event tick\n");
    }

    #[test]
    fn lines_are_added_to_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        for line in ["one\n", "two\n"] {
            TraceFile::open(&path).unwrap().add(line);
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntwo\n");
    }
}
