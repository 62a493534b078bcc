//! What is drawn: the last picture, what has been, and what the operator has chosen of it.
use super::actions::{Action, Entry};
use super::column::{Column, Source};
use super::history::History;
use nvshare_protocol::control::{DeviceStatus, Status, TenantStatus};
use std::cell::Cell;
use std::time::Duration;

#[derive(Debug, Default)]
pub struct Model {
    pub status: Status,
    /// Whether the scheduler has told a status at all.
    pub is_known: bool,
    pub history: History,
    /// Why the status is not the latest.
    pub fault: Option<String>,
    /// How old the status is.
    pub age: Duration,
    pub interval: Duration,
    /// Later pictures are not shown.
    pub paused: bool,
    pub sort: Column,
    pub reversed: bool,
    pub filter: String,
    pub focus: Focus,
    pub overlay: Overlay,
    /// Whether graphs are drawn; none: where there is room.
    pub graphs: Option<bool>,
    /// What the scheduler has answered to the last action, and whether it has done it.
    pub answer: Option<(String, bool)>,
    gpu: usize,
    /// The tenant under the cursor, and the cursor's line in case that it is gone.
    tenant: Option<u64>,
    line: usize,
    /// The first line that was drawn last, of each table.
    pub above: [Cell<usize>; 2],
}

/// Which table the cursor moves in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Focus {
    #[default]
    Tenants,
    Gpus,
}

/// What lies over the tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Overlay {
    #[default]
    None,
    Help,
    /// Of the line under the cursor.
    Details,
    /// The filter is being written.
    Filter,
    /// A value for a tenant is being written.
    Entry(Entry),
    /// It is done if the operator says yes.
    Confirm(Action),
}

impl Model {
    /// Without a picture yet.
    pub fn new(interval: Duration) -> Self {
        Self { interval, ..Self::default() }
    }

    /// The latest status.
    pub fn add(&mut self, status: Status) {
        self.history.add(&status);
        self.fault = None;
        if !self.paused || !self.is_known {
            self.is_known = true;
            self.status = status;
            self.keep_cursor();
        }
    }

    /// Whether two pictures at least have not come, or not even the first.
    pub fn is_stale(&self) -> bool {
        !self.is_known || (!self.paused && self.age > self.interval * 2)
    }

    fn source(&self) -> Source<'_> {
        Source { status: &self.status, history: &self.history }
    }

    /// Those that the filter leaves, in order.
    pub fn tenants(&self) -> Vec<&TenantStatus> {
        let source = self.source();
        let wanted = self.filter.to_lowercase();
        let has = |row: &&TenantStatus| {
            let cell = |column: &Column| column.text(source, row).to_lowercase().contains(&wanted);
            wanted.is_empty() || FILTERED.iter().any(cell)
        };
        let mut rows: Vec<&TenantStatus> = self.status.tenants.iter().filter(has).collect();
        rows.sort_by(|a, b| {
            let order = self.sort.order(source, a, b).then(a.id.cmp(&b.id));
            if self.reversed { order.reverse() } else { order }
        });
        rows
    }

    /// The cell of a tenant.
    pub fn cell(&self, column: Column, row: &TenantStatus) -> String {
        column.text(self.source(), row)
    }

    /// The width and the rank of a column.
    pub fn place(&self, column: Column) -> (u16, u8) {
        column.place(self.source())
    }

    /// Moves the cursor of the table that has it.
    pub fn scroll(&mut self, lines: isize) {
        match self.focus {
            Focus::Gpus => {
                let last = self.status.devices.len().saturating_sub(1);
                self.gpu = self.gpu.saturating_add_signed(lines).min(last);
            }
            Focus::Tenants => {
                let ids: Vec<u64> = self.tenants().iter().map(|row| row.id).collect();
                self.line = self.line.saturating_add_signed(lines).min(ids.len().saturating_sub(1));
                self.tenant = ids.get(self.line).copied();
            }
        }
    }

    /// The cursor stays on its tenant, wherever that is now; else in its line.
    pub fn keep_cursor(&mut self) {
        let ids: Vec<u64> = self.tenants().iter().map(|row| row.id).collect();
        let kept = self.tenant.and_then(|tenant| ids.iter().position(|id| *id == tenant));
        self.line = kept.unwrap_or(self.line).min(ids.len().saturating_sub(1));
        self.tenant = ids.get(self.line).copied();
        self.gpu = self.gpu.min(self.status.devices.len().saturating_sub(1));
    }

    /// Sorts anew; the cursor stays on its tenant.
    pub fn sort_by(&mut self, column: Column) {
        self.sort = column;
        self.keep_cursor();
    }

    /// The lines of the cursors.
    pub fn line(&self, of: Focus) -> usize {
        if of == Focus::Gpus { self.gpu } else { self.line }
    }

    pub fn selected_gpu(&self) -> Option<&DeviceStatus> {
        self.status.devices.get(self.gpu)
    }

    pub fn selected_tenant(&self) -> Option<&TenantStatus> {
        let id = self.tenant?;
        self.status.tenants.iter().find(|row| row.id == id)
    }

    /// The first line to draw of a table of which `room` lines can be seen.
    pub fn first_line(&self, of: Focus, lines: usize, room: usize) -> usize {
        let (above, cursor) = (&self.above[of as usize], self.line(of));
        let most = lines.saturating_sub(room);
        let first = above.get().max((cursor + 1).saturating_sub(room)).min(cursor).min(most);
        above.set(first);
        first
    }
}

/// Where the filter looks.
const FILTERED: [Column; 10] = [
    Column::Tenant,
    Column::Pid,
    Column::User,
    Column::Container,
    Column::Program,
    Column::Gpu,
    Column::State,
    Column::Gang,
    Column::Engine,
    Column::Priority,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(id: u64, program: &str, state: &str, allocated_bytes: u64) -> TenantStatus {
        TenantStatus {
            id,
            program: program.into(),
            state: state.into(),
            allocated_bytes,
            ..TenantStatus::default()
        }
    }

    fn model(tenants: Vec<TenantStatus>) -> Model {
        let mut model = Model::default();
        model.add(Status { tenants, ..Status::default() });
        model
    }

    fn three() -> Vec<TenantStatus> {
        vec![tenant(1, "b", "idle", 5), tenant(2, "a", "waiting", 9), tenant(3, "c", "idle", 7)]
    }

    fn ids(model: &Model) -> Vec<u64> {
        model.tenants().iter().map(|row| row.id).collect()
    }

    #[test]
    fn tenants_are_sorted_by_any_column_both_ways() {
        let mut model = model(three());
        let mut order = |sort, reversed| {
            (model.sort, model.reversed) = (sort, reversed);
            ids(&model)
        };
        assert_eq!(order(Column::Tenant, false), [1, 2, 3]);
        assert_eq!(order(Column::Program, false), [2, 1, 3]);
        assert_eq!(order(Column::State, false), [1, 3, 2]);
        assert_eq!(order(Column::Allocated, false), [2, 3, 1]);
        assert_eq!(order(Column::Allocated, true), [1, 3, 2]);
    }

    #[test]
    fn a_filter_leaves_those_that_have_its_words() {
        let mut model = model(three());
        for (filter, left) in
            [("", &[1, 2, 3][..]), ("IDLE", &[1, 3]), ("wait", &[2]), ("x", &[]), ("2", &[2])]
        {
            model.filter = filter.into();
            assert_eq!(ids(&model), left, "{filter}");
        }
    }

    #[test]
    fn the_cursor_stays_on_its_tenant_and_within_the_table() {
        let mut model = model(three());
        model.scroll(1);
        assert_eq!(model.selected_tenant().unwrap().id, 2);
        model.sort_by(Column::Program);
        assert_eq!((model.selected_tenant().unwrap().id, model.line(Focus::Tenants)), (2, 0));
        model.scroll(10);
        assert_eq!(model.selected_tenant().unwrap().id, 3);
        model.add(Status { tenants: three()[..1].to_vec(), ..Status::default() });
        assert_eq!(model.selected_tenant().unwrap().id, 1, "the line is gone with the tenant");
        model.add(Status::default());
        assert_eq!(model.selected_tenant(), None);
        model.scroll(1);
        assert_eq!(model.line(Focus::Tenants), 0);
    }

    #[test]
    fn a_table_is_scrolled_as_far_as_its_cursor_needs() {
        let mut model = model((0..10).map(|id| tenant(id, "", "", 0)).collect());
        let mut first = |lines| {
            model.scroll(lines);
            model.first_line(Focus::Tenants, 10, 4)
        };
        assert_eq!([3, 1, 9, -1, -2, -1, -9].map(&mut first), [0, 1, 6, 6, 6, 5, 0]);
    }

    #[test]
    fn a_pause_keeps_the_picture() {
        let mut model = model(three());
        (model.paused, model.age, model.interval) = (true, Duration::from_secs(9), Duration::from_secs(1));
        model.add(Status::default());
        assert_eq!((model.status.tenants.len(), model.is_stale()), (3, false));
        model.paused = false;
        assert!(model.is_stale());
        model.add(Status::default());
        assert_eq!(model.status.tenants.len(), 0);
    }
}
