//! The part of a status that the command line asks for.
use super::args::StatusArgs;
use super::gpus;
use super::why::same_container;
use nvshare_protocol::control::{Status, TenantStatus};

/// Leaves out what was not asked for.
///
/// # Errors
/// Where the GPU is not known.
pub fn reduce(status: &mut Status, args: &StatusArgs) -> Result<(), String> {
    let gpu = args.gpu.as_ref().map(|word| gpus::find(&status.devices, word)).transpose()?;
    let gpu = gpu.map(|device| device.uuid.clone());
    status.tenants.retain(|row| {
        args.tenant.is_none_or(|id| row.id == id)
            && args.container.as_ref().is_none_or(|word| has_container(row, word))
            && args.user.as_ref().is_none_or(|word| has_user(row, word))
            && gpu.as_ref().is_none_or(|uuid| row.devices.contains(uuid))
    });
    let used = |uuid: &String| status.tenants.iter().any(|row| row.devices.contains(uuid));
    status.devices.retain(|device| match &gpu {
        Some(uuid) => device.uuid == *uuid,
        None => !args.names_tenants() || used(&device.uuid),
    });
    Ok(())
}

fn has_container(row: &TenantStatus, word: &str) -> bool {
    !word.is_empty()
        && (row.container_name.as_deref() == Some(word)
            || row.container.as_ref().is_some_and(|shown| same_container(shown, word)))
}

fn has_user(row: &TenantStatus, word: &str) -> bool {
    row.user.as_deref() == Some(word) || word.parse() == Ok(row.user_uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Args, Command};
    use clap::Parser;
    use nvshare_protocol::control::DeviceStatus;

    fn status() -> Status {
        let tenant = |id, user: &str, user_uid, container: Option<&str>, gpus: &[&str]| TenantStatus {
            id,
            user: Some(user.into()),
            user_uid,
            container: container.map(str::to_owned),
            container_name: (id == 2).then(|| "web".into()),
            devices: gpus.iter().map(ToString::to_string).collect(),
            ..TenantStatus::default()
        };
        let gpu = |index, uuid: &str| DeviceStatus {
            index: Some(index),
            uuid: uuid.into(),
            ..DeviceStatus::default()
        };
        Status {
            devices: vec![gpu(0, "GPU-a"), gpu(1, "GPU-b"), gpu(2, "GPU-c")],
            tenants: vec![
                tenant(1, "anna", 1000, Some("4f1d3c0b5a69"), &["GPU-a"]),
                tenant(2, "bob", 1001, Some("4f1d3c0b5a70 of uid 1001"), &["GPU-a", "GPU-b"]),
                tenant(3, "anna", 1000, None, &[]),
            ],
            ..Status::default()
        }
    }

    fn shown(words: &[&str]) -> Result<(Vec<u64>, Vec<u32>), String> {
        let line = [&["nvsharectl", "status"], words].concat();
        let Some(Command::Status(args)) = Args::parse_from(line).command else { panic!() };
        let mut status = status();
        reduce(&mut status, &args)?;
        let indices = status.devices.iter().filter_map(|device| device.index).collect();
        Ok((status.tenants.iter().map(|row| row.id).collect(), indices))
    }

    #[test]
    fn what_is_asked_for_is_shown_with_what_belongs_to_it() {
        for (words, tenants, gpus) in [
            (&[][..], &[1, 2, 3][..], &[0, 1, 2][..]),
            (&["--gpu", "0"], &[1, 2], &[0]),
            (&["--gpu", "GPU-c"], &[], &[2]),
            (&["--tenant", "2"], &[2], &[0, 1]),
            (&["--tenant", "9"], &[], &[]),
            (&["--container", "4f1d3c0b5a7"], &[2], &[0, 1]),
            (&["--container", "4f1d3c0b5a69788796a5b4c3d2e1f001"], &[1], &[0]),
            (&["--container", "web"], &[2], &[0, 1]),
            (&["--user", "anna"], &[1, 3], &[0]),
            (&["--user", "1001"], &[2], &[0, 1]),
            (&["--user", "anna", "--gpu", "1"], &[], &[1]),
        ] {
            assert_eq!(shown(words), Ok((tenants.to_vec(), gpus.to_vec())), "{words:?}");
        }
        assert!(shown(&["--gpu", "7"]).is_err());
    }
}
