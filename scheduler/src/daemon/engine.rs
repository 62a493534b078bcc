//! What moves a tenant's memory, and who is told that it is not what was wished for.
use super::join_leave::NOTICES_SINCE;
use super::reactor::Daemon;
use nvshare_core::event::TenantId;
use nvshare_protocol::Bytes;
use nvshare_protocol::tenant::ToTenant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Swap,
    Managed,
    Plain,
}

impl Engine {
    /// By its number in [`nvshare_protocol::tenant::MemoryReport`].
    pub const fn numbered(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Swap),
            1 => Some(Self::Managed),
            2 => Some(Self::Plain),
            _ => None,
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Swap => "swap",
            Self::Managed => "managed",
            Self::Plain => "plain",
        }
    }
}

impl Daemon {
    /// The tenant says which engine its process uses, which is decided once.
    pub fn on_engine(&mut self, tenant: TenantId, engine: Engine) {
        let Some(member) = self.members.get_mut(tenant) else { return };
        if member.engine.is_some() {
            return;
        }
        member.engine = Some(engine);
        let wished_for_swap = matches!(member.hello.engine.as_str(), "auto" | "swap");
        let lacking = member.swap_refusals.first().copied();
        let lacking = lacking.filter(|_| self.ledger.total() > Bytes::ZERO);
        let word = engine.as_str();
        let fallen = lacking.filter(|_| wished_for_swap && engine != Engine::Swap);
        let text = fallen.map_or_else(
            || word.to_owned(),
            |limit| format!("{word}, which is several times slower than swap: {limit} left no swap space"),
        );
        if fallen.is_some() {
            if member.hello.version >= NOTICES_SINCE {
                member
                    .send(ToTenant::Notice(format!("the memory of this program moves by the engine {text}")));
            }
            let line = format!("{} uses the engine {text}", self.members.name(tenant));
            self.audit.warn_of(&self.members, tenant, &line);
        }
        self.audit.publish(&self.members, "engine", tenant, |event| event.text = Some(text));
    }
}
