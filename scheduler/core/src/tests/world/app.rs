//! The application: work that comes, waits at the gate, and runs.
use super::World;
use super::client::{Load, Task, Timer};
use nvshare_protocol::Nanos;

const GIB: u64 = 1 << 30;

impl World {
    /// Work runs while the gate is open and all memory is there.
    pub(super) fn run_app(&mut self, c: usize) {
        let client = &self.clients[c];
        let there = client.everything_there();
        let can = client.alive && client.has_work() && client.gate_open && there;
        let drains = matches!(client.task, Some(Task::Drain { .. }));
        match (can, client.computes) {
            (true, None) => {
                self.number += 1;
                let client = &mut self.clients[c];
                client.holdings.iter_mut().for_each(|holding| holding.compute(self.number));
                client.computes = Some(self.now);
                for holding in &self.clients[c].holdings {
                    self.cards[holding.card].begins(self.now);
                }
                if self.clients[c].work < Nanos::MAX {
                    self.set(c, Timer::Work, self.clients[c].work);
                }
            }
            (false, Some(_)) if !drains => {
                assert!(!there, "the gate shuts with a drain");
                self.stop_computing(c);
            }
            _ => {}
        }
    }

    pub(super) fn stop_computing(&mut self, c: usize) {
        self.unset(c, Timer::Work);
        let client = &mut self.clients[c];
        let Some(since) = client.computes.take() else { return };
        let ran = self.now.saturating_sub(since);
        client.figures.computed = client.figures.computed.saturating_add(ran);
        if client.work < Nanos::MAX {
            client.work = client.work.saturating_sub(ran);
        }
        for holding in &self.clients[c].holdings {
            self.cards[holding.card].ends(self.now);
        }
        if self.clients[c].work == Nanos::ZERO {
            self.burst_is_done(c);
        }
    }

    pub(super) fn burst_ends(&mut self, c: usize) {
        self.stop_computing(c);
    }

    fn burst_is_done(&mut self, c: usize) {
        let client = &mut self.clients[c];
        client.figures.bursts.push(self.now.saturating_sub(client.came));
        let (came, load) = (client.came, client.spec.load);
        if self.clients[c].spec.grows {
            self.grow_or_shrink(c);
        }
        let next = match load {
            Load::Batch => Nanos::ZERO,
            Load::Bursts { every, .. } => came.saturating_add(every).saturating_sub(self.now),
            Load::Steps { pause, .. } => pause,
            Load::Random { pause, .. } => self.some(pause),
        };
        self.set(c, Timer::Burst, next);
    }

    pub(super) fn burst_comes(&mut self, c: usize) {
        if self.clients[c].quits {
            return;
        }
        let work = match self.clients[c].spec.load {
            Load::Batch => Nanos::MAX,
            Load::Bursts { work, .. } | Load::Steps { work, .. } => work,
            Load::Random { work, .. } => self.some(work).max(Nanos::from_millis(1)),
        };
        (self.clients[c].work, self.clients[c].came) = (work, self.now);
    }

    /// No new work comes, and what there is ends.
    pub fn quit(&mut self, c: usize) {
        self.clients[c].quits = true;
        if self.clients[c].work == Nanos::MAX {
            self.stop_computing(c);
            self.clients[c].work = Nanos::ZERO;
        }
        self.unset(c, Timer::Burst);
        self.go_on(c);
    }

    /// The application allocates so much more.
    pub fn grow(&mut self, c: usize, h: usize, bytes: u64) {
        self.allocate(c, h, bytes);
        self.go_on(c);
    }

    fn grow_or_shrink(&mut self, c: usize) {
        let h = usize::try_from(self.roll(self.clients[c].holdings.len() as u64)).unwrap();
        let has = self.clients[c].holdings[h].totals().allocated.0;
        let bytes = self.roll(2 * GIB);
        let (most, card) = (self.cards[0].model.capacity.0 * 3 / 4, self.clients[c].holdings[h].card);
        match self.roll(4) {
            0 if has + bytes <= most => self.allocate(c, h, bytes),
            1 if has > bytes => self.clients[c].holdings[h].free(&mut self.cards[card], bytes),
            _ => {}
        }
    }

    /// For what waits for room there is none: the application goes on without it.
    pub(super) fn give_up_allocation(&mut self, c: usize) {
        let client = &mut self.clients[c];
        if client.placing {
            client.holdings.iter_mut().for_each(super::memory::Holding::give_up);
        }
    }
}
