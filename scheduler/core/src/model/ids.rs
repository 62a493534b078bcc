//! Who is who: tenants, and the owners that they belong to.

/// A connection of a tenant. Never used twice within one run of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub u64);

/// A user or a container, by a number of the daemon's; or a tenant of which nothing is known, by its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Tenant(TenantId),
    Named(u64),
}
