//! A tenant comes: what it may have of what it wishes, and what the core is told of it.
use super::Daemon;
use super::members::Member;
use crate::identity::Identity;
use crate::settings::{Settings, whole_size};
use crate::swap::ledger::Holder;
use crate::tenants::inbound::Connected;
use crate::tenants::reservations::Reservation;
use crate::text;
use nvshare_core::Priority;
use nvshare_core::event::{Event, TenantId};
use nvshare_protocol::tenant::{Hello, ToTenant, Welcome};
use nvshare_protocol::{Bytes, Nanos};

/// The first version of the tenants' language in which there is a word for the program's user.
const NOTICES_SINCE: u32 = 4;
/// After a scheduler that has written nothing down, claims are believed for so long.
pub(super) const CLAIMS: Nanos = Nanos::from_millis(10_000);

/// What a tenant gets of its wishes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wishes {
    weight: Option<u32>,
    priority: Option<Priority>,
    /// The least of what the tenant wishes and what one may have, if that is less than all.
    time_share: Option<u32>,
    /// What it does not get, for its user and the log.
    cut: Vec<String>,
}

impl Wishes {
    fn of(hello: &Hello, settings: &Settings) -> Self {
        let (most, highest) = (settings.weight, settings.priority);
        let mut cut = Vec::new();
        let wish = hello.priority.and_then(|n| Priority::ALL.get(n as usize)).copied();
        let priority = wish.map(|wish| if rank(wish) > rank(highest) { highest } else { wish });
        if let (Some(wish), Some(given)) = (wish, priority)
            && wish != given
        {
            let (wish, given) = (wish.as_str(), given.as_str());
            cut.push(format!(
                "priority {wish} is more than [limits] priority = \"{given}\" allows: it is {given}"
            ));
        }
        let weight = hello.weight.map(|wish| wish.min(most));
        if let Some(wish) = hello.weight.filter(|wish| *wish > most) {
            cut.push(format!("weight {wish} is more than [limits] weight = {most} allows: it is {most}"));
        }
        let share = hello.time_share.filter(|percent| *percent > 0);
        let time_share = share.into_iter().chain(settings.time_share).min().filter(|percent| *percent < 100);
        Self { weight, priority, time_share, cut }
    }
}

fn rank(priority: Priority) -> Option<usize> {
    Priority::ALL.iter().position(|known| *known == priority)
}

/// Who is counted together with this tenant: those of its container, or nobody.
fn group(who: &Identity, tenant: TenantId) -> u64 {
    who.container_key().map_or(tenant.0, |key| key.number())
}

impl Daemon {
    pub(super) fn joined(&mut self, joined: Connected) {
        self.succeeds(&joined);
        let Connected { tenant, who, hello, outbound, .. } = &joined;
        let (tenant, holds, owner) = (*tenant, hello.holds, who.owner());
        let wishes = Wishes::of(hello, &self.settings);
        let reservation = self.reservations.reserve(who, hello.limit);
        let group = group(who, tenant);
        outbound.put(ToTenant::Welcome(Welcome {
            version: nvshare_protocol::VERSION,
            enabled: self.core.enabled(),
            reserve: self.core.settings().reserve,
            limit: reservation.limit.into_iter().chain(self.usable()).min(),
        }));
        if hello.version >= NOTICES_SINCE {
            wishes.cut.iter().for_each(|text| outbound.put(ToTenant::Notice(text.clone())));
        }
        let details = details(who, hello, &wishes, &reservation);
        let short = reservation.by.filter(|_| reservation.limit == Some(Bytes::ZERO));
        self.claims(tenant, who, hello.swap);
        if self.members.is_empty() {
            self.nvml.set_wanted(true);
        }
        self.watch_process(who.process.as_ref());
        self.members.join(joined, reservation);
        let line = format!("{} joined: {details}", self.members.name(tenant));
        self.info_of(tenant, &line);
        for cut in &wishes.cut {
            self.warn_of(tenant, &format!("{} wishes too much: {cut}", self.members.name(tenant)));
        }
        if let Some((setting, ceiling)) = short {
            let (name, ceiling) = (self.members.name(tenant), whole_size(ceiling));
            let why = format!("[limits] {setting} = {ceiling} is used up by others");
            self.warn_of(tenant, &format!("{name} cannot allocate: {why}"));
        }
        // A remark, for whoever reads the trace.
        self.record(&format!("# {line}\n"));
        self.news("joined", tenant, |event| event.text = Some(details));
        self.tell(Event::Joined { tenant, holds });
        self.tell(Event::Owner { tenant, owner });
        if let Some(weight) = wishes.weight {
            self.tell(Event::Weight { tenant, weight });
        }
        if let Some(priority) = wishes.priority {
            self.tell(Event::Priority { tenant, priority });
        }
        if let Some(percent) = wishes.time_share {
            self.tell(Event::TimeShare { tenant, group, percent });
        }
        self.tell_if_swaps(tenant);
    }

    /// A process that connects anew is nobody else than before: what it was ends where this begins.
    fn succeeds(&mut self, joined: &Connected) {
        for old in self.members.of_process(joined.who.key()) {
            let Some(member) = self.members.get(old) else { continue };
            if !member.is_connected() {
                self.left(old, None);
            } else if member.hello.instance == joined.hello.instance {
                self.left(old, Some("its process has connected anew"));
            }
        }
    }

    /// What it has from a scheduler before this one is known where that wrote it down.
    fn claims(&mut self, tenant: TenantId, who: &Identity, claim: Option<Bytes>) {
        if let Some(bytes) = claim.filter(|_| self.claims_until.is_some_and(|until| self.clock.now() < until))
        {
            let holder = Holder::of(tenant, who);
            if self.ledger.has(holder) == Bytes::ZERO {
                self.ledger.claimed(holder, who, bytes);
            }
        }
    }

    /// The core hears once that the tenant's memory moves by the swap engine.
    pub(super) fn tell_if_swaps(&mut self, tenant: TenantId) {
        let has = self.swap_of(tenant);
        if self.members.get_mut(tenant).is_some_and(|member: &mut Member| member.begins_to_swap(has)) {
            self.tell(Event::Swaps { tenant });
        }
    }

    /// What tenants may have of a device, where that is set: nobody could ever hold more.
    fn usable(&self) -> Option<Bytes> {
        Some(self.core.settings().most).filter(|most| *most < Bytes::MAX)
    }
}

fn details(who: &Identity, hello: &Hello, wishes: &Wishes, reservation: &Reservation) -> String {
    let (library, engine) = (text::word(&hello.library), text::word(&hello.engine));
    let mut details = format!("uid {}, library {library}, engine {engine}", who.uid);
    if hello.holds {
        details += ", running";
    }
    if let Some(priority) = wishes.priority.filter(|priority| *priority != Priority::Normal) {
        details += &format!(", priority {}", priority.as_str());
    }
    if let Some(percent) = wishes.time_share {
        details += &format!(", at most {percent} % of the time");
    }
    if let Some(limit) = reservation.limit {
        details += &format!(", limit {}", text::memory(limit.0));
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::InstanceId;

    fn hello(weight: Option<u32>, priority: Option<u32>) -> Hello {
        Hello {
            version: 4,
            instance: InstanceId::default(),
            program: "p".into(),
            library: "1".into(),
            engine: "auto".into(),
            holds: false,
            pid: 1,
            weight,
            limit: None,
            swap: None,
            priority,
            time_share: Some(0),
        }
    }

    #[test]
    fn nobody_gets_more_than_the_operator_allows() {
        let settings = Settings::default();
        let wishes = Wishes::of(&hello(Some(1000), Some(2)), &settings);
        assert_eq!((wishes.weight, wishes.priority), (Some(1), Some(Priority::Normal)));
        assert_eq!(
            wishes.cut,
            [
                "priority high is more than [limits] priority = \"normal\" allows: it is normal",
                "weight 1000 is more than [limits] weight = 1 allows: it is 1"
            ]
        );
        let modest = Wishes::of(&hello(Some(1), Some(0)), &settings);
        assert_eq!((modest.priority, modest.cut), (Some(Priority::Low), Vec::new()));
        let generous = Settings { weight: 5, priority: Priority::High, ..settings };
        let wishes = Wishes::of(&hello(Some(3), Some(2)), &generous);
        assert_eq!((wishes.weight, wishes.priority, wishes.cut), (Some(3), Some(Priority::High), Vec::new()));
        assert_eq!(Wishes::of(&hello(None, Some(9)), &generous), Wishes::default(), "no such priority");
    }
}
