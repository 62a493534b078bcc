//! Keeps what is handed out in a file in the runtime directory, for the next daemon.
use crate::process::Key;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

const NAME: &str = "ledger";
const HEAD: &str = "nvshare ledger 1";
/// Processes that are read and written at most, and bytes of the file.
const MOST: usize = 65_536;
const LENGTH: u64 = 8 << 20;

/// Bytes by process.
pub type Balances = HashMap<Key, u64>;

#[derive(Debug, Default)]
struct Next {
    handed: Option<Balances>,
    over: bool,
}

/// The file. A thread of its own writes the newest state, however often it changes, and once more when this is dropped.
#[derive(Debug)]
pub struct LedgerFile {
    shared: Arc<(Mutex<Next>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

/// What the previous daemon has left here; none: nothing.
///
/// # Errors
/// Where it is no such file.
pub fn read(dir: &Path) -> io::Result<Option<Balances>> {
    let file = match fs::File::open(dir.join(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(LENGTH).read_to_string(&mut text)?;
    parse(&text, &boot()).map(Some)
}

/// A file of another boot says nothing about today's processes.
fn parse(text: &str, boot: &str) -> io::Result<Balances> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "it is no ledger of nvshare-scheduler");
    let mut lines = text.lines();
    let of = lines.next().and_then(|line| line.strip_prefix(HEAD)).ok_or_else(wrong)?.trim();
    if of != boot {
        return Ok(Balances::new());
    }
    let entry = |line: &str| {
        let mut fields = line.split(' ').map(|field| field.parse::<u64>().ok());
        let (pid, start, bytes) = (fields.next()??, fields.next()??, fields.next()??);
        fields.next().is_none().then_some((Key { pid: u32::try_from(pid).ok()?, start }, bytes))
    };
    lines.take(MOST).map(|line| entry(line).ok_or_else(wrong)).collect()
}

fn print(handed: &Balances, boot: &str) -> String {
    let mut lines: Vec<_> = handed.iter().take(MOST).collect();
    lines.sort();
    let lines = lines.iter().map(|(key, bytes)| format!("{} {} {bytes}\n", key.pid, key.start));
    format!("{HEAD} {boot}\n") + &lines.collect::<String>()
}

/// What this boot of the machine is called.
pub fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

impl LedgerFile {
    /// Keeps the file of `dir`.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn keep(dir: &Path) -> io::Result<Self> {
        let shared: Arc<(Mutex<Next>, Condvar)> = Arc::default();
        let (theirs, dir) = (Arc::clone(&shared), dir.to_owned());
        let thread = std::thread::Builder::new().name("nvshare-ledger".into());
        let thread = Some(thread.spawn(move || serve(&theirs, &dir))?);
        Ok(Self { shared, thread })
    }

    /// Writes what is handed out now.
    pub fn write(&self, handed: Balances) {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).handed = Some(handed);
        self.shared.1.notify_one();
    }
}

impl Drop for LedgerFile {
    fn drop(&mut self) {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.shared.1.notify_one();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve((next, changed): &(Mutex<Next>, Condvar), dir: &Path) {
    let mut failed = false;
    loop {
        let mut waiting = next.lock().unwrap_or_else(PoisonError::into_inner);
        let handed = loop {
            if let Some(handed) = waiting.handed.take() {
                break handed;
            }
            if waiting.over {
                return;
            }
            waiting = changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        };
        drop(waiting);
        let error = replace(dir, &print(&handed, &boot())).err();
        if let Some(error) = error.as_ref().filter(|_| !failed) {
            let path = dir.join(NAME);
            tracing::warn!(
                "{} cannot be written: {error}; the next scheduler will not know what swap space was handed out",
                path.display()
            );
        }
        failed = error.is_some();
    }
}

/// Writes the whole file or nothing.
fn replace(dir: &Path, text: &str) -> io::Result<()> {
    let (new, path): (PathBuf, PathBuf) = (dir.join(format!("{NAME}.new")), dir.join(NAME));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn handed() -> Balances {
        [(Key { pid: 7, start: 9 }, 2 << 20), (Key { pid: 8, start: 1 }, 4 << 20)].into()
    }

    #[test]
    fn what_is_written_is_read_again_and_is_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        replace(dir.path(), &print(&handed(), &boot())).unwrap();
        replace(dir.path(), &print(&handed(), &boot())).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(handed()));
        let mode = fs::metadata(dir.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(parse(&print(&handed(), "before"), "after").unwrap(), Balances::new(), "another boot");
    }

    #[test]
    fn what_is_no_ledger_is_refused_whole() {
        for text in [
            "",
            "x",
            "nvshare ledger 1 b\n1 2",
            "nvshare ledger 1 b\n1 2 3 4\n",
            "nvshare ledger 1 b\n-1 2 3\n",
        ] {
            assert!(parse(text, "b").is_err(), "{text:?}");
        }
        assert_eq!(parse("nvshare ledger 1 b\n", "b").unwrap(), Balances::new());
    }

    #[test]
    fn the_last_word_is_written_before_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let record = LedgerFile::keep(dir.path()).unwrap();
        record.write(Balances::new());
        record.write(handed());
        drop(record);
        assert_eq!(read(dir.path()).unwrap(), Some(handed()));
    }
}
