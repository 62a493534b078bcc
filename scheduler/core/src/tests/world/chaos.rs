//! Births and deaths: of processes, and of the scheduler.
use super::client::{Client, Figures, Message, Timer};
use super::{Deed, World};
use crate::event::Event;
use crate::{Core, Settings};
use nvshare_protocol::Nanos;

impl World {
    /// The scheduler is gone without a word.
    pub fn kill_scheduler(&mut self) {
        self.core = None;
        for (tenant, link) in std::mem::take(&mut self.links) {
            let after = link.down.saturating_sub(self.now);
            self.plan(after, Deed::Told(tenant, link.client, Message::Lost));
        }
    }

    pub fn start_scheduler(&mut self, settings: Settings) {
        self.core = Some(Core::new(settings));
        self.began = self.now;
    }

    /// The process is gone without a word, and what it had; another comes in its place after a while.
    pub fn kill_client(&mut self, c: usize, back_after: Nanos) {
        if !self.clients[c].alive {
            return;
        }
        self.stop_computing(c);
        self.close(c);
        let spec = self.clients[c].spec.clone();
        let quits = self.clients[c].quits;
        for holding in &mut self.clients[c].holdings {
            holding.drop_all(&mut self.cards[holding.card]);
        }
        let figures = std::mem::take(&mut self.clients[c].figures);
        self.clients[c] = Client::new(spec);
        self.clients[c].figures = Figures { wants_since: None, brought: 0, lacked: 0, ..figures };
        (self.clients[c].alive, self.clients[c].quits) = (false, quits);
        self.plan(back_after, Deed::Birth(c));
    }

    /// The process does nothing at all until it is to go on.
    pub fn stop(&mut self, c: usize) {
        self.stop_computing(c);
        self.clients[c].stopped = true;
    }

    pub fn go_on_again(&mut self, c: usize) {
        self.clients[c].stopped = false;
        self.go_on(c);
    }

    /// Our end of the connection is closed.
    pub(super) fn close(&mut self, c: usize) {
        let _ = self.say(c, |tenant| Event::Left { tenant });
        self.clients[c].connection = None;
    }

    pub(super) fn birth(&mut self, c: usize) {
        let client = &mut self.clients[c];
        client.alive = true;
        for holding in &mut client.holdings {
            let card = &mut self.cards[holding.card];
            if !holding.hide(card, client.spec.context) || !holding.pin(card, client.spec.immovable) {
                // Its first allocation fails: it tries again later.
                client
                    .holdings
                    .iter_mut()
                    .for_each(|holding| holding.drop_all(&mut self.cards[holding.card]));
                client.alive = false;
                self.plan(Nanos::from_millis(500), Deed::Birth(c));
                return;
            }
            holding.allocate(client.spec.memory);
            holding.leave_zero(client.spec.zero);
        }
        self.set(c, Timer::Join, Nanos::ZERO);
        self.set(c, Timer::Burst, Nanos::ZERO);
        self.go_on(c);
    }
}
