//! Keeps the sums in a file of the state directory. A thread of its own owns them, so that the loop waits for no disk.
use super::{Book, Key, MOST, Sums};
use crate::clock::Clock;
use crate::metrics::counts::Moved;
use nvshare_core::parse;
use nvshare_protocol::control::{Report, ReportQuery};
use nvshare_protocol::{Bytes, Nanos};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, UNIX_EPOCH};

const NAME: &str = "usage";
/// What a damaged file is kept as, before its number.
const DAMAGED: &str = "usage.damaged.";
/// So many of these are kept.
const MOST_DAMAGED: usize = 8;
const HEAD: &str = "nvshare usage 1";
/// The longest file that is read, bytes: each row takes 400 at most.
const LENGTH: u64 = 64 << 20;
/// It is written at most once in this time, and at the end.
const EVERY: Duration = Duration::from_secs(60);
/// The hour in which the year 9999 ends; sums with a greater one would overflow.
const LATEST: u64 = 70_389_528;
/// Words for the thread that may wait while a disk is slow; beyond, what was used is not counted.
const WAITING: usize = 4096;

enum Word {
    Used(Vec<(Key, Sums)>),
    /// By whom: none sees all.
    Asked(ReportQuery, Option<u32>, Box<dyn FnOnce(Report) + Send>),
}

/// The sums. Dropped, it writes what is not written yet.
pub struct Usage {
    words: Option<SyncSender<Word>>,
    thread: Option<JoinHandle<()>>,
    lost: bool,
}

impl Usage {
    /// Keeps the sums of so many days in `dir`; without, until the daemon's end.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn keep(dir: Option<PathBuf>, days: u64) -> io::Result<Self> {
        let (words, heard) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("nvshare-usage".into());
        let thread = thread.spawn(move || {
            let place = dir.and_then(Place::claim);
            let book = place.as_ref().map(Place::read).unwrap_or_default();
            serve(book, place.as_ref(), days, &heard);
        })?;
        Ok(Self { words: Some(words), thread: Some(thread), lost: false })
    }

    /// Counts what was used.
    pub fn add(&mut self, used: Vec<(Key, Sums)>) {
        if used.is_empty() {
            return;
        }
        let heard = self.words.as_ref().is_some_and(|words| words.try_send(Word::Used(used)).is_ok());
        if !heard && !std::mem::replace(&mut self.lost, true) {
            tracing::warn!(
                "what tenants use is not counted for now: the disk of the state directory is too slow"
            );
        }
        self.lost &= !heard;
    }

    /// Hands the report, on `user` alone or on all, to `answer`, in another thread. Whether it will.
    pub fn ask(
        &self,
        query: ReportQuery,
        user: Option<u32>,
        answer: impl FnOnce(Report) + Send + 'static,
    ) -> bool {
        let asked = Word::Asked(query, user, Box::new(answer));
        self.words.as_ref().is_some_and(|words| words.try_send(asked).is_ok())
    }
}

impl Drop for Usage {
    fn drop(&mut self) {
        self.words = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Hours since 1970.
fn hour() -> u64 {
    Clock::time_of_day().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 3600)
}

fn serve(mut book: Book, place: Option<&Place>, days: u64, heard: &Receiver<Word>) {
    // None: there is nothing to be written.
    let mut due: Option<Instant> = None;
    let (mut written, mut failed) = (None::<Instant>, false);
    loop {
        let word = match due {
            Some(due) => heard.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => heard.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match word {
            Ok(Word::Used(used)) => {
                let hour = hour();
                used.into_iter().for_each(|(key, sums)| book.add(hour, key, &sums));
                due = due.or_else(|| Some(written.map_or_else(Instant::now, |written| written + EVERY)));
            }
            Ok(Word::Asked(query, user, answer)) => answer(book.report(&query, hour(), user)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if due.is_none() => return,
            Err(RecvTimeoutError::Disconnected) => due = Some(Instant::now()),
        }
        if due.is_some_and(|due| Instant::now() >= due) {
            due = None;
            written = Some(Instant::now());
            book.tidy(hour(), days);
            let error = place.and_then(|place| place.write(&book).err().map(|error| (place, error)));
            if let Some((place, error)) = error.as_ref().filter(|_| !failed) {
                let path = place.dir.join(NAME);
                tracing::warn!(
                    "{} cannot be written: {error}; what tenants use is lost with this daemon",
                    path.display()
                );
            }
            failed = error.is_some();
        }
    }
}

/// The directory, which no other daemon has at the same time.
struct Place {
    dir: PathBuf,
    _lock: File,
}

impl Place {
    fn claim(dir: PathBuf) -> Option<Self> {
        let claim = || -> Result<File, String> {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .map_err(|error| error.to_string())?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600);
            let lock = options.open(dir.join("lock")).map_err(|error| error.to_string())?;
            match lock.try_lock() {
                Ok(()) => Ok(lock),
                Err(TryLockError::WouldBlock) => Err("another nvshare-scheduler uses it".into()),
                Err(TryLockError::Error(error)) => Err(error.to_string()),
            }
        };
        match claim() {
            Ok(lock) => Some(Self { dir, _lock: lock }),
            Err(why) => {
                tracing::warn!(
                    "the state directory {} cannot be used: {why}; what tenants use is counted until this daemon ends",
                    dir.display()
                );
                None
            }
        }
    }

    /// What was kept here. A file that is damaged is put aside.
    fn read(&self) -> Book {
        let path = self.dir.join(NAME);
        let read = File::open(&path).and_then(|file| parse_book(BufReader::new(file.take(LENGTH))));
        match read {
            Ok(book) => book,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Book::default(),
            Err(error) => {
                let kept = match self.put_aside(&path) {
                    Ok(aside) => format!("it is kept as {}", aside.display()),
                    Err(error) => format!("it cannot be put aside: {error}"),
                };
                tracing::warn!(
                    "{} cannot be read: {error}; {kept}, and counting begins anew",
                    path.display()
                );
                Book::default()
            }
        }
    }

    /// Under a number that none of those that were put aside has had; of those, the latest stay.
    fn put_aside(&self, path: &Path) -> io::Result<PathBuf> {
        let number = |entry: io::Result<fs::DirEntry>| {
            let name = entry.ok()?.file_name();
            name.to_str()?.strip_prefix(DAMAGED)?.parse::<u32>().ok()
        };
        let mut numbers: Vec<u32> = fs::read_dir(&self.dir)?.filter_map(number).collect();
        numbers.sort_unstable();
        let next = numbers.last().map_or(1, |last| last.saturating_add(1));
        let aside = self.dir.join(format!("{DAMAGED}{next}"));
        fs::rename(path, &aside)?;
        for old in &numbers[..(numbers.len() + 1).saturating_sub(MOST_DAMAGED)] {
            // Another start removes it.
            let _ = fs::remove_file(self.dir.join(format!("{DAMAGED}{old}")));
        }
        Ok(aside)
    }

    /// Writes the whole file or nothing.
    fn write(&self, book: &Book) -> io::Result<()> {
        let (new, path) = (self.dir.join(format!("{NAME}.new")), self.dir.join(NAME));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let mut out = BufWriter::new(file);
        print_book(book, &mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
        fs::rename(new, path)
    }
}

/// One row of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    hour: u64,
    uid: u32,
    container: Option<String>,
    program: String,
    gpu: String,
    held_ns: u64,
    waited_ns: u64,
    in_bytes: u64,
    out_bytes: u64,
}

fn print_book(book: &Book, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{HEAD}")?;
    for ((hour, key), sums) in &book.rows {
        let line = Line {
            hour: *hour,
            uid: key.uid,
            container: key.container.clone(),
            program: key.program.clone(),
            gpu: key.gpu.to_string(),
            held_ns: sums.held.0,
            waited_ns: sums.waited.0,
            in_bytes: sums.moved.into.0,
            out_bytes: sums.moved.out.0,
        };
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    }
    Ok(())
}

fn parse_book(text: impl BufRead) -> io::Result<Book> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    let mut lines = text.lines();
    if lines.next().transpose()?.as_deref() != Some(HEAD) {
        return Err(wrong("it is no record of usage of this version of nvshare-scheduler"));
    }
    let mut book = Book::default();
    for line in lines {
        let line: Line = serde_json::from_str(&line?)?;
        let gpu = parse::gpu(&line.gpu).ok_or_else(|| wrong("a line names no GPU"))?;
        let Line { hour, uid, container, program, .. } = line;
        if hour > LATEST {
            return Err(wrong("a line names no hour"));
        }
        let moved = Moved { into: Bytes(line.in_bytes), out: Bytes(line.out_bytes) };
        let sums = Sums { held: Nanos(line.held_ns), waited: Nanos(line.waited_ns), moved };
        book.rows.insert((hour, Key { uid, container, program, gpu }), sums);
        if book.rows.len() > 2 * MOST {
            return Err(wrong("it has too many lines"));
        }
    }
    Ok(book)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{key, sums};
    use super::*;
    use nvshare_protocol::control::Grouping;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc::channel;

    fn rows(usage: &Usage) -> usize {
        let (send, answer) = channel();
        let query = ReportQuery { since: 0.0, by: Grouping::Tenant };
        assert!(usage.ask(query, None, move |report| send.send(report.rows.len()).unwrap()));
        answer.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    fn keep(dir: &Path) -> Usage {
        Usage::keep(Some(dir.to_owned()), 30).unwrap()
    }

    #[test]
    fn what_was_used_is_known_to_the_next_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let mut usage = keep(dir.path());
        usage.add(vec![(key(1, None, "a", 1), sums(1)), (key(2, Some("c"), "b \"\n", 1), sums(1))]);
        assert_eq!(rows(&usage), 2);
        drop(usage);
        let file = dir.path().join(NAME);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let mut usage = keep(dir.path());
        usage.add(vec![(key(3, None, "a", 1), sums(1))]);
        assert_eq!(rows(&usage), 3);
    }

    #[test]
    fn a_damaged_file_is_put_aside_and_counting_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let late = "nvshare usage 1\n{\"hour\":18446744073709551615,\"uid\":1,\"container\":null,\"program\":\"a\",\
                    \"gpu\":\"GPU-01010101-0101-0101-0101-010101010101\",\"held_ns\":1,\"waited_ns\":1,\"in_bytes\":1,\
                    \"out_bytes\":1}\n";
        let damaged = ["", "x", "nvshare usage 1\n{}\n", "nvshare usage 1\n{\"hour\":1", late];
        for (n, text) in damaged.into_iter().enumerate() {
            fs::write(dir.path().join(NAME), text).unwrap();
            let mut usage = keep(dir.path());
            usage.add(vec![(key(1, None, "a", 1), sums(1))]);
            assert_eq!(rows(&usage), 1, "{text:?}");
            drop(usage);
            let kept = |n: usize| fs::read_to_string(dir.path().join(format!("{DAMAGED}{n}"))).unwrap();
            assert_eq!(kept(n + 1), text);
            assert_eq!(kept(1), damaged[0], "the next one does not take the place of the first");
            assert_eq!(rows(&keep(dir.path())), 1);
        }
        for n in 0..20 {
            fs::write(dir.path().join(NAME), format!("{n}")).unwrap();
            drop(keep(dir.path()));
        }
        let mut kept: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        kept.retain(|path| path.display().to_string().contains(DAMAGED));
        let mut texts: Vec<i32> =
            kept.iter().map(|path| fs::read_to_string(path).unwrap().parse().unwrap()).collect();
        texts.sort_unstable();
        assert_eq!(texts, (12..20).collect::<Vec<_>>(), "the latest are kept");
    }

    #[test]
    fn one_daemon_at_a_time_has_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = keep(dir.path());
        first.add(vec![(key(1, None, "a", 1), sums(1))]);
        assert_eq!(rows(&first), 1);
        let mut second = keep(dir.path());
        second.add(vec![(key(2, None, "b", 1), sums(1))]);
        assert_eq!(rows(&second), 1, "it counts without the file");
        drop(second);
        drop(first);
        assert_eq!(rows(&keep(dir.path())), 1);
    }
}
