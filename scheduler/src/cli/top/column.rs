//! The columns of the tenants: what they show, and in which order they put tenants.
use super::history::History;
use crate::cli::columns::width;
use crate::cli::gpus::called;
use crate::cli::words::{container, engine, gang, or_dash, program, user};
use crate::text::{clean, memory};
use nvshare_protocol::control::{Status, TenantStatus};
use std::cmp::Ordering;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    #[default]
    Tenant,
    Pid,
    User,
    Container,
    Program,
    Gpu,
    State,
    Gang,
    Engine,
    Priority,
    Weight,
    Limit,
    Allocated,
    Resident,
    Swap,
    Held,
    Waited,
}

/// What cells are made from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub status: &'a Status,
    pub history: &'a History,
}

impl Column {
    pub const ALL: [Self; 17] = [
        Self::Tenant,
        Self::Pid,
        Self::User,
        Self::Container,
        Self::Program,
        Self::Gpu,
        Self::State,
        Self::Gang,
        Self::Engine,
        Self::Priority,
        Self::Weight,
        Self::Limit,
        Self::Allocated,
        Self::Resident,
        Self::Swap,
        Self::Held,
        Self::Waited,
    ];

    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    pub fn previous(self) -> Self {
        Self::ALL[(self as usize + Self::ALL.len() - 1) % Self::ALL.len()]
    }

    pub const fn head(self) -> &'static str {
        match self {
            Self::Tenant => "TENANT",
            Self::Pid => "PID",
            Self::User => "USER",
            Self::Container => "CONTAINER",
            Self::Program => "PROGRAM",
            Self::Gpu => "GPU",
            Self::State => "STATE",
            Self::Gang => "GANG",
            Self::Engine => "ENGINE",
            Self::Priority => "PRIO",
            Self::Weight => "WEIGHT",
            Self::Limit => "LIMIT",
            Self::Allocated => "ALLOC",
            Self::Resident => "RES",
            Self::Swap => "SWAP",
            Self::Held => "HELD",
            Self::Waited => "WAITED",
        }
    }

    /// Its width, and how readily it is left out: 0 never, of the others the one with the highest number first.
    pub fn place(self, source: Source<'_>) -> (u16, u8) {
        let tenants = &source.status.tenants;
        let longest = |most: usize| {
            let lengths = tenants.iter().map(|row| width(&self.text(source, row)));
            lengths.max().unwrap_or(0).clamp(self.head().len() + 1, most) as u16
        };
        match self {
            Self::Tenant => (longest(10), 0),
            Self::Pid => (8, 6),
            Self::User => (longest(12), 3),
            Self::Container if tenants.iter().all(|row| row.container.is_none()) => (10, 11),
            Self::Container => (longest(24), 2),
            Self::Program => (10, 0),
            Self::Gpu => (longest(12), 0),
            Self::State => (12, 0),
            // Nobody is of one: the column is not shown.
            Self::Gang if tenants.iter().all(|row| row.gang.is_none()) => (0, u8::MAX),
            Self::Gang => (longest(24), 1),
            Self::Engine => (8, 8),
            Self::Priority => (6, 9),
            Self::Weight => (7, 10),
            Self::Limit => (7, 7),
            Self::Allocated => (7, 0),
            Self::Resident | Self::Held => (6, 0),
            Self::Swap => (6, 4),
            Self::Waited => (7, 5),
        }
    }

    /// Quantities stand to the right.
    pub const fn is_number(self) -> bool {
        !matches!(
            self,
            Self::User
                | Self::Container
                | Self::Program
                | Self::Gpu
                | Self::State
                | Self::Gang
                | Self::Engine
                | Self::Priority
        )
    }

    /// The tenant's cell.
    pub fn text(self, source: Source<'_>, row: &TenantStatus) -> String {
        match self {
            Self::Tenant => row.id.to_string(),
            Self::Pid => row.pid.to_string(),
            Self::User => user(row),
            Self::Container => or_dash(container(row)),
            Self::Program => program(row, 64),
            Self::Gpu => {
                let names = row.devices.iter().map(|uuid| called(&source.status.devices, uuid));
                or_dash(Some(names.collect::<Vec<_>>().join(",")))
            }
            Self::State => clean(&row.state, 16),
            Self::Gang => or_dash(gang(row, 24)),
            Self::Engine => or_dash(Some(engine(row))),
            Self::Priority => or_dash(Some(clean(&row.priority, 16))),
            Self::Weight => row.weight.to_string(),
            Self::Limit => or_dash(row.limit_bytes.map(compact)),
            Self::Allocated => compact(row.allocated_bytes),
            Self::Resident => compact(row.resident_bytes),
            Self::Swap => compact(row.moved_out_bytes),
            Self::Held => or_dash(source.history.held(row).map(percent)),
            Self::Waited => brief(row.waited_seconds),
        }
    }

    /// The order of two tenants; numbers begin with the largest.
    pub fn order(self, source: Source<'_>, a: &TenantStatus, b: &TenantStatus) -> Ordering {
        let held = |row: &TenantStatus| source.history.held(row).unwrap_or(0.0);
        match self {
            Self::Tenant => Ordering::Equal,
            Self::Pid => a.pid.cmp(&b.pid),
            Self::Weight => b.weight.cmp(&a.weight),
            Self::Limit => b.limit_bytes.cmp(&a.limit_bytes),
            Self::Allocated => b.allocated_bytes.cmp(&a.allocated_bytes),
            Self::Resident => b.resident_bytes.cmp(&a.resident_bytes),
            Self::Swap => b.moved_out_bytes.cmp(&a.moved_out_bytes),
            Self::Held => held(b).total_cmp(&held(a)),
            Self::Waited => b.waited_seconds.total_cmp(&a.waited_seconds),
            Self::Priority => rank(&a.priority).cmp(&rank(&b.priority)),
            // Those of one job stand together, and before those that are of none.
            Self::Gang => (a.gang.is_none(), &a.gang).cmp(&(b.gang.is_none(), &b.gang)),
            Self::User | Self::Container | Self::Program | Self::Gpu | Self::State | Self::Engine => {
                self.text(source, a).cmp(&self.text(source, b))
            }
        }
    }
}

/// High comes first.
fn rank(priority: &str) -> u8 {
    match priority {
        "high" => 0,
        "low" => 2,
        _ => 1,
    }
}

/// As [`memory`], as short as tables of monitors have it: `12.0G`.
pub fn compact(bytes: u64) -> String {
    memory(bytes).replace(' ', "").replace("iB", "")
}

pub fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// A time in six characters.
pub fn brief(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..100 => format!("{seconds:.1}s"),
        100..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3600..360_000 => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d", whole / 86_400),
    }
}

/// Which columns of these widths and ranks fit into `room` cells, with one blank between them.
pub fn fitting(places: &[(u16, u8)], room: u16) -> Vec<bool> {
    let mut shown = vec![true; places.len()];
    let needed = |shown: &[bool]| {
        let widths = places.iter().zip(shown).filter(|(_, shown)| **shown);
        widths.map(|((width, _), _)| usize::from(*width) + 1).sum::<usize>().saturating_sub(1)
    };
    while needed(&shown) > room.into() {
        let candidates = (0..places.len()).filter(|&i| shown[i] && places[i].1 > 0);
        let Some(last) = candidates.max_by_key(|&i| places[i].1) else { break };
        shown[last] = false;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!([0, 1, 5 << 20, 12 << 30].map(compact), ["0", "1K", "5M", "12.0G"]);
        assert_eq!([0.0, 0.974, 1.0].map(percent), ["0%", "97%", "100%"]);
        for (seconds, text) in
            [(9.94, "9.9s"), (99.0, "99.0s"), (754.0, "12m34s"), (45_296.0, "12h34m"), (864_000.0, "10d")]
        {
            assert_eq!(brief(seconds), text);
        }
    }

    #[test]
    fn the_least_important_column_is_left_out_first() {
        let places = [(4, 0), (10, 1), (6, 2)];
        assert_eq!(fitting(&places, 22), [true, true, true]);
        assert_eq!(fitting(&places, 21), [true, true, false]);
        assert_eq!(fitting(&places, 14), [true, false, false]);
        assert_eq!(fitting(&places, 1), [true, false, false]);
    }

    #[test]
    fn columns_follow_each_other_in_a_ring() {
        let mut column = Column::default();
        for _ in Column::ALL {
            assert_eq!(column.next().previous(), column);
            column = column.next();
        }
        assert_eq!(column, Column::default());
    }
}
