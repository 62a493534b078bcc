//! Who has how much swap space. It is charged to the process, its user and its container from the moment it is handed out
//! until its pages are freed, which is after the process has ended.
use crate::identity::{Identity, Owner};
use crate::process::Key;
use crate::swap::ledger_file::LedgerFile;
use crate::swap::pages::{Freed, PageAllocator};
use crate::swap::{GRANULE, Granted, MOST, SwapFile};
use nvshare_core::event::TenantId;
use nvshare_protocol::Bytes;
use std::collections::HashMap;
use std::io;

/// How many files a process may have: it could open connections without end.
const FILES: usize = 16;
/// What a tenant may have that has named no device yet: as much as a library requests when it joins.
const UNNAMED: u64 = 256 << 20;

/// A limit as it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Auto,
    None,
    Size(Bytes),
}

/// The limits of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Auto: twice what its devices hold.
    pub per_tenant: Limit,
    /// Auto: half of the budget, for users and for the containers of the host's engines, so that two may have what they need,
    /// and seven eighths for root, whom nobody keeps from anything. A container of these engines does not count for the
    /// user that it runs as, who is root in all of them.
    pub per_user: Limit,
    pub per_container: Limit,
}

/// Who has it: a process, or a connection whose process cannot be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    Process(Key),
    Tenant(TenantId),
}

impl Holder {
    #[must_use]
    pub fn of(tenant: TenantId, who: &Identity) -> Self {
        who.key().map_or(Self::Tenant(tenant), Self::Process)
    }
}

#[derive(Debug, Default)]
struct Account {
    owners: Vec<Owner>,
    files: Vec<SwapFile>,
    /// What it has from an earlier daemon.
    inherited: u64,
}

impl Account {
    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.granted).sum::<u64>() + self.inherited
    }
}

#[derive(Debug)]
pub struct Ledger {
    total: u64,
    limits: Limits,
    used: u64,
    by: HashMap<Owner, u64>,
    accounts: HashMap<Holder, Account>,
    /// The number of the last file.
    files: u64,
    pages: PageAllocator,
    record: Option<LedgerFile>,
}

impl Ledger {
    #[must_use]
    pub fn new(total: Bytes, limits: Limits, pages: PageAllocator, record: Option<LedgerFile>) -> Self {
        let (by, accounts) = (HashMap::new(), HashMap::new());
        Self { total: total.0, limits, used: 0, by, accounts, files: 0, pages, record }
    }

    /// Other limits, for what is wanted from now on: nobody loses what they have.
    pub fn set_limits(&mut self, total: Bytes, limits: Limits) {
        (self.total, self.limits) = (total.0, limits);
    }

    #[must_use]
    pub fn total(&self) -> Bytes {
        Bytes(self.total)
    }

    /// What is handed out and not freed.
    #[must_use]
    pub fn used(&self) -> Bytes {
        Bytes(self.used)
    }

    /// What this one has.
    #[must_use]
    pub fn has(&self, holder: Holder) -> Bytes {
        Bytes(self.accounts.get(&holder).map_or(0, Account::bytes))
    }

    /// It has so much from an earlier daemon, by that daemon's ledger.
    pub fn inherited(&mut self, holder: Holder, who: &Identity, bytes: u64) {
        self.add_inherited(holder, who, bytes);
        self.write();
    }

    /// It claims to have so much from an earlier daemon that has left no ledger. The claim counts as far as the limits go.
    pub fn claimed(&mut self, holder: Holder, who: &Identity, bytes: Bytes) {
        let before = self.has(holder).0;
        let per_tenant = match self.limits.per_tenant {
            Limit::Size(Bytes(size)) => size.saturating_sub(before),
            Limit::Auto | Limit::None => u64::MAX,
        };
        let (left, _) = self.left(who);
        self.add_inherited(holder, who, bytes.0.min(MOST).min(per_tenant).min(left));
        self.write();
    }

    fn add_inherited(&mut self, holder: Holder, who: &Identity, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let bytes = bytes.min(MOST);
        self.account(holder, who).inherited += bytes;
        self.charge(who, bytes);
    }

    fn account(&mut self, holder: Holder, who: &Identity) -> &mut Account {
        let owners = || owners(who);
        self.accounts.entry(holder).or_insert_with(|| Account { owners: owners(), ..Account::default() })
    }

    fn charge(&mut self, who: &Identity, bytes: u64) {
        self.used = self.used.saturating_add(bytes);
        for owner in owners(who) {
            let has = self.by.entry(owner).or_default();
            *has = has.saturating_add(bytes);
        }
    }

    /// What its owners' limits leave for it, and the limit that leaves least.
    fn left(&self, who: &Identity) -> (u64, &'static str) {
        let mut least = (self.total.saturating_sub(self.used), "[swap] budget");
        for owner in owners(who) {
            let (limit, name) = match owner {
                Owner::Container(..) => (self.limits.per_container, "[limits] swap_per_container"),
                _ => (self.limits.per_user, "[limits] swap_per_user"),
            };
            let most = match limit {
                Limit::Auto if owner == Owner::User(0) => self.total / 8 * 7,
                Limit::Auto => self.total / 2,
                Limit::None => continue,
                Limit::Size(Bytes(size)) => size,
            };
            let left = most.saturating_sub(self.by.get(&owner).copied().unwrap_or(0));
            if left < least.0 {
                least = (left, name);
            }
        }
        least
    }

    /// What one tenant may have, whose devices hold so much.
    fn per_tenant(&self, capacity: u64) -> u64 {
        match self.limits.per_tenant {
            Limit::Auto => capacity.saturating_mul(2).max(UNNAMED),
            Limit::None => u64::MAX,
            Limit::Size(Bytes(size)) => size,
        }
    }

    /// Lengthens the file of the connection `tenant`, whose devices hold `capacity` bytes, to `wanted`, or as far as the
    /// limits go.
    ///
    /// # Errors
    /// The kernel's, with nothing granted beyond what the tenant had.
    pub fn grant(
        &mut self,
        tenant: TenantId,
        who: &Identity,
        capacity: u64,
        wanted: Bytes,
    ) -> io::Result<Granted> {
        let holder = Holder::of(tenant, who);
        let wanted = wanted.0.min(MOST).next_multiple_of(GRANULE);
        let per_tenant = self.per_tenant(capacity).saturating_sub(self.has(holder).0);
        let (mut left, mut limit) = self.left(who);
        if per_tenant < left {
            (left, limit) = (per_tenant, "[limits] swap_per_tenant");
        }
        let account = self.accounts.get(&holder);
        let files = account.map_or(&[][..], |account| &account.files);
        let before = files.iter().find(|file| file.tenant == tenant).map_or(0, |file| file.granted);
        if before == 0 && files.len() >= FILES {
            (left, limit) = (0, "the number of swap files of a process");
        }
        let more = wanted.saturating_sub(before).min(left) / GRANULE * GRANULE;
        let refused = (before + more < wanted).then_some(limit);
        if more == 0 {
            return Ok(Granted { bytes: Bytes(before), file: None, refused });
        }
        let file = self.lengthen(holder, tenant, who, before + more)?;
        self.charge(who, more);
        self.write();
        Ok(Granted { bytes: Bytes(before + more), file, refused })
    }

    /// The file, if it is new.
    fn lengthen(
        &mut self,
        holder: Holder,
        tenant: TenantId,
        who: &Identity,
        length: u64,
    ) -> io::Result<Option<std::sync::Arc<std::os::fd::OwnedFd>>> {
        let known = self.account(holder, who).files.iter().position(|file| file.tenant == tenant);
        if let Some(at) = known {
            let file = &mut self.account(holder, who).files[at];
            let (number, before, fd) = (file.number, file.granted, std::sync::Arc::clone(&file.fd));
            file.lengthen(length)?;
            self.pages.allocate(number, &fd, before, length);
            return Ok(None);
        }
        self.files += 1;
        let mut file = SwapFile::make(tenant, self.files)?;
        file.lengthen(length)?;
        self.pages.allocate(file.number, &file.fd, 0, length);
        let fd = std::sync::Arc::clone(&file.fd);
        self.account(holder, who).files.push(file);
        Ok(Some(fd))
    }

    /// Frees what the holder has. It is charged until the pages are free ([`Self::freed`]).
    pub fn close(&mut self, holder: Holder) {
        let Some(account) = self.accounts.remove(&holder) else { return };
        for SwapFile { number, granted, fd, .. } in account.files {
            self.pages.free(number, fd, Freed { bytes: granted, owners: account.owners.clone() });
        }
        self.freed(&Freed { bytes: account.inherited, owners: account.owners });
        self.write();
    }

    /// So much has been freed.
    pub fn freed(&mut self, freed: &Freed) {
        self.used = self.used.saturating_sub(freed.bytes);
        for owner in &freed.owners {
            if let Some(has) = self.by.get_mut(owner) {
                *has = has.saturating_sub(freed.bytes);
                if *has == 0 {
                    self.by.remove(owner);
                }
            }
        }
    }

    /// Writes what is handed out now to the file.
    pub fn write(&self) {
        let Some(record) = &self.record else { return };
        let processes = self.accounts.iter().filter_map(|(holder, account)| match holder {
            // Without its start it could be mistaken for another by the next daemon.
            Holder::Process(key @ Key { start: 1.., .. }) => Some((*key, account.bytes())),
            _ => None,
        });
        record.write(processes.filter(|(_, bytes)| *bytes > 0).collect());
    }
}

/// Whose limits it counts against.
fn owners(who: &Identity) -> Vec<Owner> {
    let user = Some(who.user_key()).filter(|user| *user == who.charged_to());
    user.into_iter().chain(who.container_key()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::tests::who;
    use crate::swap::pages::PageEvent;
    use std::sync::mpsc::{Receiver, channel};

    const MIB: u64 = 1 << 20;
    const AUTO: Limits =
        Limits { per_tenant: Limit::Auto, per_user: Limit::Auto, per_container: Limit::Auto };
    const NONE: Limits =
        Limits { per_tenant: Limit::None, per_user: Limit::None, per_container: Limit::None };

    fn ledger(mib: u64, limits: Limits) -> (Ledger, Receiver<PageEvent>) {
        let (send, said) = channel();
        let pages = PageAllocator::start(move |word| drop(send.send(word))).unwrap();
        (Ledger::new(Bytes(mib * MIB), limits, pages, None), said)
    }

    fn granted(ledger: &mut Ledger, tenant: u64, who: &Identity, mib: u64) -> (u64, Option<&'static str>) {
        let wanted = Bytes(mib.saturating_mul(MIB));
        let granted = ledger.grant(TenantId(tenant), who, 0, wanted).unwrap();
        (granted.bytes.0 / MIB, granted.refused)
    }

    fn back(ledger: &mut Ledger, said: &Receiver<PageEvent>) {
        match said.recv().unwrap() {
            PageEvent::Freed(freed) => ledger.freed(&freed),
            PageEvent::Failed(why) => panic!("{why}"),
        }
    }

    #[test]
    fn wishes_are_granted_as_far_as_the_budget_goes_until_it_is_back() {
        let (mut ledger, said) = ledger(10, NONE);
        let (one, two) = (who(1, None), who(2, None));
        let first = ledger.grant(TenantId(1), &one, 0, Bytes(3 * MIB)).unwrap();
        assert_eq!((first.bytes, first.refused), (Bytes(4 * MIB), None));
        let file = first.file.expect("the first grant brings the file");
        assert_eq!(nix::sys::stat::fstat(&*file).unwrap().st_size as u64, 4 * MIB);
        assert_eq!(granted(&mut ledger, 2, &two, 8), (6, Some("[swap] budget")));
        assert_eq!(granted(&mut ledger, 1, &one, 6), (4, Some("[swap] budget")));
        ledger.close(Holder::Tenant(TenantId(2)));
        back(&mut ledger, &said);
        assert_eq!(granted(&mut ledger, 1, &one, 6), (6, None));
        assert_eq!(
            (ledger.used(), ledger.has(Holder::Tenant(TenantId(1)))),
            (Bytes(6 * MIB), Bytes(6 * MIB))
        );
    }

    #[test]
    fn one_gets_what_its_devices_hold_and_little_before_it_has_named_one() {
        let (mut ledger, _said) = ledger(64 << 10, AUTO);
        let one = who(1, None);
        assert_eq!(granted(&mut ledger, 1, &one, u64::MAX), (256, Some("[limits] swap_per_tenant")));
        let more = ledger.grant(TenantId(1), &one, 512 * MIB, Bytes(1 << 62)).unwrap();
        assert_eq!((more.bytes, more.refused), (Bytes(1 << 30), Some("[limits] swap_per_tenant")));
    }

    #[test]
    fn the_tenants_of_one_user_or_container_leave_something_for_others() {
        let (mut ledger, _said) = ledger(80, Limits { per_tenant: Limit::None, ..AUTO });
        let first = who(1000, None);
        assert_eq!(granted(&mut ledger, 1, &first, 30), (30, None));
        assert_eq!(granted(&mut ledger, 2, &first, 50), (10, Some("[limits] swap_per_user")));
        assert_eq!(granted(&mut ledger, 3, &who(1001, None), 40), (40, None));
        let (mut ledger, _said) = self::ledger(80, Limits { per_tenant: Limit::None, ..AUTO });
        assert_eq!(granted(&mut ledger, 1, &who(0, Some(1)), 80), (40, Some("[limits] swap_per_container")));
        assert_eq!(granted(&mut ledger, 2, &who(0, Some(2)), 40), (40, None), "root in another is another");
        let (mut ledger, _said) = self::ledger(80, Limits { per_tenant: Limit::None, ..AUTO });
        assert_eq!(
            granted(&mut ledger, 1, &who(0, None), 80),
            (70, Some("[limits] swap_per_user")),
            "root itself"
        );
    }

    #[test]
    fn a_process_that_connects_again_and_again_keeps_what_it_has_and_gets_no_more() {
        let (mut ledger, said) = ledger(1000, NONE);
        let process = crate::process::Process::open(std::process::id()).unwrap();
        let holder = Holder::Process(process.key);
        let one = Identity { process: Some(std::sync::Arc::new(process)), ..who(1, None) };
        for tenant in 1..=FILES as u64 {
            assert_eq!(granted(&mut ledger, tenant, &one, 2), (2, None));
        }
        assert_eq!(granted(&mut ledger, 99, &one, 2).0, 0);
        assert_eq!(ledger.has(holder), Bytes(2 * FILES as u64 * MIB));
        ledger.close(holder);
        (0..FILES).for_each(|_| back(&mut ledger, &said));
        assert!(ledger.used() == Bytes::ZERO && ledger.by.is_empty());
    }

    #[test]
    fn what_is_inherited_counts_and_a_claim_only_within_the_limits() {
        let (mut ledger, _said) = ledger(16, AUTO);
        let (one, two) = (who(1, None), who(2, None));
        let holder = Holder::Tenant(TenantId(1));
        ledger.claimed(holder, &one, Bytes(1 << 44));
        assert_eq!(ledger.has(holder), Bytes(8 * MIB), "half of the budget");
        assert_eq!(granted(&mut ledger, 2, &two, 4), (4, None));
        ledger.close(holder);
        assert_eq!(ledger.used(), Bytes(4 * MIB));
    }
}
