//! The agent's tasks, step by step: the end of work, and memory that moves in batches.
use super::card::Way;
use super::client::{Move, Task, Timer, Why};
use super::{World, card_id};
use nvshare_protocol::Nanos;
use nvshare_protocol::tenant::Share;

const fn way(why: &Why) -> Way {
    match why {
        Why::Grant(_) | Why::Ahead | Why::Freedom => Way::In,
        Why::Revoke { .. } | Why::Asked => Way::Out,
    }
}

impl World {
    pub(super) fn begin_move(&mut self, c: usize, why: Why, shares: &[Share]) -> Result<(), ()> {
        let client = &self.clients[c];
        let at = |share: &Share| client.spec.cards.iter().position(|card| card_id(*card) == share.device);
        let asked: Vec<(usize, u64)> =
            shares.iter().rev().filter_map(|share| Some((at(share)?, share.bytes.0))).collect();
        let done = vec![0; client.holdings.len()];
        self.next_batch(c, Move { why, started: self.now, asked, done, batch: None, unheard: false })
    }

    /// Begins the next batch, or ends the task.
    fn next_batch(&mut self, c: usize, mut task: Move) -> Result<(), ()> {
        let way = way(&task.why);
        while let Some(&(h, bytes)) = task.asked.last() {
            let holding = &mut self.clients[c].holdings[h];
            let card = &mut self.cards[holding.card];
            let batch = match way {
                Way::In => holding.bring(card, bytes),
                Way::Out if task.done[h] < bytes => holding.lift(bytes - task.done[h]),
                Way::Out => None,
            };
            if let Some(batch) = batch {
                let through = card.copy(self.now, way, batch.copied);
                task.batch = Some(batch);
                self.clients[c].task = Some(Task::Move(task));
                self.set(c, Timer::Task, through.saturating_sub(self.now));
                return Ok(());
            }
            task.asked.pop();
        }
        self.moved(c, &task)
    }

    /// The present step of the agent's task is over.
    pub(super) fn task_goes_on(&mut self, c: usize) {
        let went = match self.clients[c].task.take() {
            None => Ok(()),
            Some(Task::Drain { revoke, started, ends }) => self.drained(c, revoke, started, ends),
            Some(Task::Move(mut task)) => {
                if let (Some(batch), Some(&(h, _))) = (task.batch.take(), task.asked.last()) {
                    let client = &mut self.clients[c];
                    match way(&task.why) {
                        Way::In => {
                            client.holdings[h].brought(&batch);
                            client.figures.brought += batch.bytes;
                        }
                        Way::Out => {
                            let card = client.holdings[h].card;
                            client.holdings[h].lifted(&mut self.cards[card], &batch);
                        }
                    }
                    task.done[h] += batch.bytes;
                }
                let welcomed = self.clients[c].welcomed;
                task.unheard |= welcomed && self.report(c).is_err();
                self.next_batch(c, task)
            }
        };
        if went.is_err() {
            self.lose(c);
        }
    }

    /// So much has been allocated while the gate is open: it is placed at once, or waits for room.
    pub(super) fn allocate(&mut self, c: usize, h: usize, bytes: u64) {
        let client = &mut self.clients[c];
        client.holdings[h].allocate(bytes);
        if client.placing {
            let card = client.holdings[h].card;
            client.holdings[h].place_new(&mut self.cards[card]);
            if !self.clients[c].everything_there() {
                self.set(c, Timer::Room, Nanos::from_millis(10_000));
            }
        }
    }
}
