//! The configuration file is read again while the daemon runs: all of it, or nothing.
use super::reactor::Daemon;
use super::tenant_rules;
use crate::settings::{DaemonSettings, differences};
use nvshare_core::Settings;
use nvshare_core::event::{Event, TenantId};
use nvshare_protocol::Bytes;

/// Applies what has changed in the file, and says what; what `nvsharectl` has changed stays, unless the file says
/// something new about it.
///
/// # Errors
/// Everything that is wrong with the file. Nothing has changed then.
pub fn reload(daemon: &mut Daemon) -> Result<String, String> {
    let new = (daemon.source)().map_err(|wrong| format!("the settings stay as they are: {wrong}"))?;
    let old = daemon.settings.clone();
    let changed = differences(&old, &new);
    let (later, now): (Vec<_>, Vec<_>) = changed.into_iter().partition(|change| change.needs_restart);
    let new = keeping(&old, new);
    apply(daemon, &old, new);
    let words = |changes: &[crate::settings::Difference]| {
        changes.iter().map(|change| change.text.clone()).collect::<Vec<_>>().join(", ")
    };
    let mut message = match now.is_empty() {
        true => "reloaded: nothing that holds at once has changed".to_owned(),
        false => format!("reloaded: {}", words(&now)),
    };
    if !later.is_empty() {
        message += &format!("; after a restart of the scheduler: {}", words(&later));
    }
    Ok(message)
}

/// The new settings, with those of the old that need a restart.
fn keeping(old: &DaemonSettings, new: DaemonSettings) -> DaemonSettings {
    let mut kept = old.clone();
    let DaemonSettings {
        core,
        enabled,
        gangs,
        tenants,
        memory,
        time_share,
        hello_timeout,
        messages_per_second,
        swap,
        swap_limits,
        weight,
        priority,
        full_fails,
        nvml: _,
        capacities: _,
        tenant_mode: _,
        control_group: _,
        reader_group: _,
        metrics: _,
        usage_days: _,
    } = new;
    kept.core = Settings { grace: old.core.grace, record: old.core.record, ..core };
    (kept.enabled, kept.gangs) = (enabled, gangs);
    kept.tenants = tenants;
    kept.memory = memory;
    kept.time_share = time_share;
    (kept.hello_timeout, kept.messages_per_second) = (hello_timeout, messages_per_second);
    (kept.swap, kept.swap_limits) = (swap, swap_limits);
    (kept.weight, kept.priority, kept.full_fails) = (weight, priority, full_fails);
    kept
}

fn apply(daemon: &mut Daemon, old: &DaemonSettings, new: DaemonSettings) {
    let rules = changed_rules(daemon.core.settings(), &old.core, &new.core);
    let terms_changed = old.memory != new.memory
        || rules.reserve != daemon.core.settings().reserve
        || rules.most != daemon.core.settings().most;
    if rules != *daemon.core.settings() {
        daemon.apply(Event::SetRules { rules });
    }
    if old.enabled != new.enabled {
        daemon.apply(Event::SetEnabled { enabled: new.enabled });
    }
    daemon.shared.set_rules(&new);
    daemon.permits.set_limits(new.tenants);
    daemon
        .ledger
        .set_limits(new.swap.unwrap_or_else(|| Bytes(crate::swap::half_of_memory())), new.swap_limits);
    daemon.reservations.set_ceilings(new.memory);
    daemon.settings = new;
    let tenants: Vec<TenantId> = daemon.members.all().map(|(tenant, _)| tenant).collect();
    tenants.into_iter().for_each(|tenant| tenant_rules::apply(daemon, tenant));
    if terms_changed {
        tenant_rules::reserve_again(daemon, true);
    }
}

/// The rules in force, with what has changed in the file.
fn changed_rules(now: &Settings, old: &Settings, new: &Settings) -> Settings {
    let mut rules = now.clone();
    macro_rules! take {
        ($($field:ident),*) => {
            $(if old.$field != new.$field {
                rules.$field = new.$field;
            })*
        };
    }
    take!(quantum, share, overlap, evict, reserve, most, fetch_bound, drain_bound, evict_bound, patience);
    take!(turn_bound, silence, starvation);
    for device in old.quanta.keys().chain(new.quanta.keys()) {
        match (old.quanta.get(device), new.quanta.get(device)) {
            (before, Some(quantum)) if before != Some(quantum) => {
                rules.quanta.insert(*device, *quantum);
            }
            (Some(_), None) => {
                rules.quanta.remove(device);
            }
            _ => {}
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_core::settings::Quantum;
    use nvshare_protocol::{DeviceId, Nanos};

    #[test]
    fn what_operators_have_set_stays_unless_the_file_says_something_new() {
        let seconds = |n: u64| Quantum::Fixed(Nanos::from_millis(n * 1000));
        let device = |n| DeviceId([n; 16]);
        let file = Settings {
            quanta: [(device(1), seconds(1)), (device(2), seconds(2))].into(),
            ..Settings::default()
        };
        let now = Settings {
            quantum: seconds(9),
            share: true,
            quanta: [(device(1), seconds(9)), (device(3), seconds(3))].into(),
            ..file.clone()
        };
        let new = Settings {
            share: false,
            starvation: Nanos(7),
            quanta: [(device(1), seconds(1)), (device(4), seconds(4))].into(),
            ..file.clone()
        };
        let rules = changed_rules(&now, &file, &new);
        assert_eq!(rules.quantum, seconds(9));
        assert!(rules.share, "the file has always said so");
        assert_eq!(rules.starvation, Nanos(7));
        assert_eq!(
            rules.quanta,
            [(device(1), seconds(9)), (device(3), seconds(3)), (device(4), seconds(4))].into()
        );
    }
}
