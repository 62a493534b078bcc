//! What can be named on the command line, for the shells' completions.
use super::args::Named;
use super::client::Client;
use super::users::Users;
use crate::text::clean;
use nvshare_protocol::control::Status;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// Whoever has pressed the Tab key waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// One name a line; none where the scheduler cannot be asked, for a completion is no place for an error.
pub fn lines(sockets: &[PathBuf], of: Named) -> String {
    let client = Client::connect_to_see(sockets).and_then(|client| client.within(PATIENCE));
    let status = client.and_then(|mut client| client.status());
    let Ok(mut status) = status else { return String::new() };
    if of == Named::Users {
        Users::default().name(&mut status);
    }
    names(&status, of).into_iter().map(|name| name + "\n").collect()
}

fn names(status: &Status, of: Named) -> BTreeSet<String> {
    let tenants = status.tenants.iter();
    let names: Vec<String> = match of {
        Named::Gpus => {
            let gpus = status.devices.iter();
            gpus.flat_map(|gpu| {
                gpu.index.map(|index| index.to_string()).into_iter().chain([gpu.uuid.clone()])
            })
            .collect()
        }
        Named::Tenants => tenants.map(|row| row.id.to_string()).collect(),
        Named::Containers => tenants.filter_map(|row| row.container.clone()).collect(),
        Named::Users => tenants.filter_map(|row| row.user.clone()).collect(),
    };
    // What follows a blank is an explanation; a shell must not read anything else in it.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    let word = |name: String| clean(name.split(' ').next().unwrap_or_default(), 128);
    names.into_iter().map(word).filter(|name| !name.is_empty() && name.chars().all(plain)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::control::{DeviceStatus, TenantStatus};

    #[test]
    fn what_can_be_named_is_named_once_and_is_safe_for_a_shell() {
        let gpu = |index, uuid: &str| DeviceStatus { index, uuid: uuid.into(), ..DeviceStatus::default() };
        let tenant = |id, user: &str, container: &str| TenantStatus {
            id,
            user: Some(user.into()),
            container: Some(container.into()),
            ..TenantStatus::default()
        };
        let status = Status {
            devices: vec![gpu(Some(1), "GPU-b"), gpu(None, "GPU-a")],
            tenants: vec![
                tenant(1, "anna", "4f1d3c0b5a69"),
                tenant(2, "anna", "4f1d3c0b5a70 of uid 1000"),
                tenant(3, "$(reboot)", "a`b`"),
            ],
            ..Status::default()
        };
        let of = |of| names(&status, of).into_iter().collect::<Vec<_>>();
        assert_eq!(of(Named::Gpus), ["1", "GPU-a", "GPU-b"]);
        assert_eq!(of(Named::Tenants), ["1", "2", "3"]);
        assert_eq!(of(Named::Containers), ["4f1d3c0b5a69", "4f1d3c0b5a70"]);
        assert_eq!(of(Named::Users), ["anna"]);
    }
}
