//! What users, containers and programs have used, by hour: kept over restarts, for `nvsharectl report`.
pub mod file;

use crate::metrics::counts::Moved;
use nvshare_protocol::control::{Grouping, Report, ReportQuery, ReportRow, SCHEMA};
use nvshare_protocol::{DeviceId, Nanos};
use std::collections::{BTreeMap, BTreeSet};

/// Rows of one hour at most; what is beyond is counted together for each user.
const BY_HOUR: usize = 1024;
/// Rows of one owner in an hour or a day at most, likewise: users choose the names of their programs, and would else
/// leave no room for others, nor for days before.
const BY_OWNER: usize = 128;
/// Rows in all at most; beyond, the oldest hours are forgotten.
pub const MOST: usize = 65_536;
/// After so many hours, the rows of a day become one.
const SINGLE_HOURS: u64 = 48;
const DAY: u64 = 24;
/// The program of what is counted together.
const OTHERS: &str = "(others)";

/// Who has used what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub uid: u32,
    pub container: Option<String>,
    pub program: String,
    pub gpu: DeviceId,
}

impl Key {
    /// Whose rows are bounded together: containers of the host's engine are all root's.
    fn owner(&self) -> (u32, Option<&str>) {
        (self.uid, self.container.as_deref().filter(|_| self.uid == 0))
    }

    /// Where it counts when there is no more room for programs of its owner.
    fn among_others(self) -> Self {
        Self { container: None, program: OTHERS.into(), ..self }
    }
}

/// How much: a tenant of two GPUs uses both at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub held: Nanos,
    pub waited: Nanos,
    pub moved: Moved,
}

impl Sums {
    pub fn add(&mut self, other: &Self) {
        self.held = self.held.saturating_add(other.held);
        self.waited = self.waited.saturating_add(other.waited);
        self.moved.add(other.moved);
    }

    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// The sums by hour since 1970, or by day, which stands at its first hour.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Book {
    rows: BTreeMap<(u64, Key), Sums>,
}

impl Book {
    /// Counts what was used in this hour.
    pub fn add(&mut self, hour: u64, key: Key, sums: &Sums) {
        let has_room = |rows: &Self| {
            let of_owner = rows.hour(hour).filter(|((_, of), _)| of.owner() == key.owner()).count();
            of_owner < BY_OWNER && rows.hour(hour).count() < BY_HOUR
        };
        let known = self.rows.contains_key(&(hour, key.clone()));
        let key = if known || has_room(self) { key } else { key.among_others() };
        self.rows.entry((hour, key)).or_default().add(sums);
    }

    fn hour(&self, hour: u64) -> impl Iterator<Item = (&(u64, Key), &Sums)> {
        let least = Key { uid: 0, container: None, program: String::new(), gpu: DeviceId([0; 16]) };
        self.rows.range((hour, least)..).take_while(move |((at, _), _)| *at == hour)
    }

    /// Forgets days that ended `days` ago, makes days of old hours, and keeps to the bound. The latest `days` of which
    /// there is anything are kept in any case: a clock that jumps ahead erases nothing.
    pub fn tidy(&mut self, now: u64, days: u64) {
        let oldest = now.saturating_sub(days * DAY);
        let recorded: BTreeSet<u64> = self.rows.keys().map(|(hour, _)| hour / DAY).collect();
        let kept = recorded.iter().rev().nth(usize::try_from(days).unwrap_or(usize::MAX).saturating_sub(1));
        let kept = kept.copied().unwrap_or_default();
        self.rows.retain(|(hour, _), _| hour / DAY * DAY + DAY > oldest || hour / DAY >= kept);
        let (single, mut rows) = (now.saturating_sub(SINGLE_HOURS), BTreeMap::<_, Sums>::new());
        let mut of_owners: BTreeMap<_, usize> = BTreeMap::new();
        for ((hour, mut key), sums) in std::mem::take(&mut self.rows) {
            let hour = if hour < single { hour / DAY * DAY } else { hour };
            if hour < single && key.program != OTHERS && !rows.contains_key(&(hour, key.clone())) {
                let (uid, container) = key.owner();
                let has = of_owners.entry((hour, uid, container.map(str::to_owned))).or_default();
                *has += 1;
                if *has > BY_OWNER {
                    key = key.among_others();
                }
            }
            rows.entry((hour, key)).or_default().add(&sums);
        }
        self.rows = rows;
        while self.rows.len() > MOST {
            let Some((&(oldest, _), _)) = self.rows.first_key_value() else { return };
            self.rows.retain(|(hour, _), _| *hour != oldest);
        }
    }

    /// The sums of what was used since a moment, with the greatest first; of `user` alone, or of all.
    #[must_use]
    pub fn report(&self, query: &ReportQuery, now: u64, user: Option<u32>) -> Report {
        // A number that is none of these becomes one of them.
        let since = (query.since.max(0.0) / 3600.0) as u64;
        let ends_after = |hour: u64| {
            let length = if hour + SINGLE_HOURS < now && hour.is_multiple_of(DAY) { DAY } else { 1 };
            hour.saturating_add(length) > since
        };
        let mut groups: BTreeMap<_, Sums> = BTreeMap::new();
        let mut first = None;
        let meant = |hour: u64, key: &Key| ends_after(hour) && user.is_none_or(|user| key.uid == user);
        for ((hour, key), sums) in self.rows.iter().filter(|((hour, key), _)| meant(*hour, key)) {
            first.get_or_insert(*hour);
            let gpu = key.gpu.to_string();
            let (uid, container, program) = (Some(key.uid), key.container.clone(), Some(key.program.clone()));
            let group = match query.by {
                Grouping::Tenant => (uid, container, program, None),
                Grouping::Container => (None, container, None, None),
                Grouping::User => (uid, None, None, None),
                Grouping::Gpu => (None, None, None, Some(gpu)),
            };
            groups.entry(group).or_default().add(sums);
        }
        let mut rows: Vec<ReportRow> = groups
            .into_iter()
            .map(|((uid, container, program, gpu), sums)| ReportRow {
                uid,
                user: None,
                container,
                program,
                gpu,
                held_seconds: sums.held.as_secs_f64(),
                waited_seconds: sums.waited.as_secs_f64(),
                moved_in_bytes: sums.moved.into.0,
                moved_out_bytes: sums.moved.out.0,
            })
            .collect();
        rows.sort_by(|a, b| b.held_seconds.total_cmp(&a.held_seconds));
        Report { schema: SCHEMA, by: query.by, since: first.map(|hour| hour as f64 * 3600.0), rows }
    }
}

/// Sums since the daemon's start, for the metrics.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub users: BTreeMap<String, Sums>,
    pub containers: BTreeMap<String, Sums>,
}

/// Users and containers that have series of their own; the others share one.
const SERIES: usize = 256;

impl Totals {
    pub fn add(&mut self, key: &Key, sums: &Sums) {
        let to = |series: &mut BTreeMap<String, Sums>, name: String| {
            let known = series.contains_key(&name) || series.len() < SERIES;
            series.entry(if known { name } else { "others".into() }).or_default().add(sums);
        };
        to(&mut self.users, key.uid.to_string());
        if let Some(container) = &key.container {
            to(&mut self.containers, container.clone());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use nvshare_protocol::Bytes;

    pub fn key(uid: u32, container: Option<&str>, program: &str, gpu: u8) -> Key {
        let container = container.map(str::to_owned);
        Key { uid, container, program: program.into(), gpu: DeviceId([gpu; 16]) }
    }

    pub fn sums(seconds: u64) -> Sums {
        let held = Nanos::from_millis(seconds * 1000);
        Sums { held, waited: Nanos(1), moved: Moved { into: Bytes(2), out: Bytes(3) } }
    }

    fn held(book: &Book, by: Grouping, since: f64, now: u64) -> Vec<f64> {
        book.report(&ReportQuery { since, by }, now, None).rows.iter().map(|row| row.held_seconds).collect()
    }

    #[test]
    fn sums_are_grouped_as_was_asked_and_the_greatest_is_first() {
        let mut book = Book::default();
        for (uid, container, program, gpu, seconds) in [
            (1, None, "a", 1, 1),
            (1, Some("c"), "a", 2, 2),
            (2, Some("c"), "b", 1, 4),
            (2, Some("c"), "b", 2, 8),
        ] {
            book.add(100, key(uid, container, program, gpu), &sums(seconds));
        }
        assert_eq!(held(&book, Grouping::Tenant, 0.0, 100), [12.0, 2.0, 1.0]);
        assert_eq!(held(&book, Grouping::Container, 0.0, 100), [14.0, 1.0]);
        assert_eq!(held(&book, Grouping::User, 0.0, 100), [12.0, 3.0]);
        assert_eq!(held(&book, Grouping::Gpu, 0.0, 100), [10.0, 5.0]);
        let report = book.report(&ReportQuery { since: 0.0, by: Grouping::User }, 100, None);
        assert_eq!((report.since, report.rows[0].moved_out_bytes), (Some(360_000.0), 6));
        for (user, rows) in [(1, vec![3.0]), (2, vec![12.0]), (3, vec![])] {
            let own = book.report(&ReportQuery { since: 0.0, by: Grouping::User }, 100, Some(user));
            assert_eq!(own.rows.iter().map(|row| row.held_seconds).collect::<Vec<_>>(), rows);
            assert_eq!(own.since.is_some(), user < 3, "nothing tells that others have used something");
        }
        assert_eq!(held(&book, Grouping::User, 101.0 * 3600.0, 101), [0.0; 0], "it was before");
        assert_eq!(held(&book, Grouping::User, f64::NAN, 101), [12.0, 3.0]);
        assert_eq!(held(&book, Grouping::User, f64::INFINITY, 101), [0.0; 0]);
    }

    #[test]
    fn hours_become_days_and_days_are_forgotten() {
        let (mut book, now) = (Book::default(), 1000 * DAY);
        for hour in now - 40 * DAY..now {
            book.add(hour, key(1, None, "a", 1), &sums(1));
        }
        book.tidy(now, 30);
        assert_eq!(book.rows.len() as u64, 28 + SINGLE_HOURS);
        assert_eq!(held(&book, Grouping::User, 0.0, now), [30.0 * 24.0]);
        let week = ((now - 7 * DAY) * 3600) as f64;
        assert_eq!(held(&book, Grouping::User, week, now), [7.0 * 24.0]);
        let in_a_day = ((now - 7 * DAY + 5) * 3600) as f64;
        assert_eq!(held(&book, Grouping::User, in_a_day, now), [7.0 * 24.0], "the whole day");
    }

    #[test]
    fn a_clock_that_jumps_erases_nothing() {
        let (mut book, now) = (Book::default(), 1000 * DAY);
        book.add(now, key(1, None, "a", 1), &sums(1));
        let far = now + 10_000 * DAY;
        book.add(far, key(1, None, "a", 1), &sums(1));
        book.tidy(far, 30);
        assert_eq!(held(&book, Grouping::User, 0.0, far), [2.0]);
    }

    /// Users choose the names of their programs, as many as they like.
    #[test]
    fn a_user_leaves_room_for_others_and_for_the_days_before() {
        let (mut book, start) = (Book::default(), 1000 * DAY);
        for hour in start..start + 6 * DAY {
            let name = |n: u64| format!("{hour}-{n}");
            (0..300).for_each(|n| book.add(hour, key(1, None, &name(n), 1), &sums(1)));
            book.add(hour, key(2, Some("c"), "train", 1), &sums(1));
            book.add(hour, key(0, Some("d"), "train", 1), &sums(1));
            book.tidy(hour, 30);
        }
        let now = start + 6 * DAY;
        let report = book.report(&ReportQuery { since: 0.0, by: Grouping::Tenant }, now, None);
        assert_eq!(report.since, Some(start as f64 * 3600.0), "nothing is forgotten");
        for (uid, container) in [(2, "c"), (0, "d")] {
            let of = report.rows.iter().find(|row| row.uid == Some(uid)).unwrap();
            let program = (of.container.as_deref(), of.program.as_deref());
            assert_eq!((program, of.held_seconds), ((Some(container), Some("train")), 6.0 * DAY as f64));
        }
        assert_eq!(held(&book, Grouping::User, 0.0, now)[0], 300.0 * 6.0 * DAY as f64);
    }

    #[test]
    fn the_book_is_bounded_and_nothing_of_an_hour_is_lost() {
        let mut book = Book::default();
        for program in 0..2 * BY_HOUR {
            book.add(7, key(1, Some("c"), &program.to_string(), 1), &sums(1));
        }
        assert_eq!(book.rows.len(), BY_OWNER + 1);
        assert_eq!(held(&book, Grouping::User, 0.0, 7), [2.0 * BY_HOUR as f64]);
        for hour in 0..70 {
            (0..BY_HOUR).for_each(|n| book.add(1000 + hour, key(n as u32, None, "p", 1), &sums(1)));
        }
        book.tidy(1070, 366);
        assert!(book.rows.len() <= MOST && book.rows.len() > MOST / 2, "{}", book.rows.len());
        let mut totals = Totals::default();
        (0..1000).for_each(|n| totals.add(&key(n, Some(&n.to_string()), "p", 1), &sums(1)));
        assert_eq!((totals.users.len(), totals.containers.len()), (SERIES + 1, SERIES + 1));
        assert_eq!(totals.users["others"].held, Nanos::from_millis(744_000));
    }
}
