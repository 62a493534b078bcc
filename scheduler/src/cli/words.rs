//! How the parts of a status read, for `status` and for `top`. The scheduler may be of another version, with another idea of
//! what it cleans.
use crate::text::{clean, quantum, word};
use nvshare_protocol::control::{DeviceStatus, QuantumSetting, Status, TenantStatus};

/// Whether turns are taken.
pub fn switch(status: &Status) -> &'static str {
    if status.enabled { "on" } else { "off" }
}

/// What is set for the device alone.
pub fn own_quantum(device: &DeviceStatus) -> Option<String> {
    device.quantum_setting.map(|own| quantum(device.quantum_seconds, own == QuantumSetting::Auto))
}

/// What a hand-over costs, both ways together.
pub fn cost(device: &DeviceStatus) -> Option<String> {
    let seconds = device.fetch_cost_seconds + device.release_cost_seconds;
    (seconds > 0.0).then(|| format!("{seconds:.2} s"))
}

/// How fast memory comes in.
pub fn rate(device: &DeviceStatus) -> Option<String> {
    (device.fetch_bytes_per_second > 0)
        .then(|| format!("{:.1} GB/s", device.fetch_bytes_per_second as f64 / 1e9))
}

/// What the tenant calls itself, cut after `most` characters.
pub fn program(tenant: &TenantStatus, most: usize) -> String {
    word(&clean(&tenant.program, most)).into_owned()
}

/// The tenant's user on the host: the name, else the number.
pub fn user(tenant: &TenantStatus) -> String {
    tenant.user.as_ref().map_or_else(|| tenant.user_uid.to_string(), |name| clean(name, 32))
}

/// The tenant's container: the name, else what is known of its id.
pub fn container(tenant: &TenantStatus) -> Option<String> {
    tenant.container_name.as_ref().or(tenant.container.as_ref()).map(|name| clean(name, 64))
}

/// What moves its memory; while that is not known, what was asked for.
pub fn engine(tenant: &TenantStatus) -> String {
    match &tenant.engine_in_use[..] {
        "" | "undecided" => clean(&tenant.engine, 16),
        known => clean(known, 16),
    }
}

/// The tenant's job of several processes. The end of a name tells jobs apart better than its beginning.
pub fn gang(tenant: &TenantStatus, most: usize) -> Option<String> {
    let name = clean(tenant.gang.as_ref()?, 128);
    let left_out = name.chars().count().saturating_sub(most);
    Some(match left_out {
        0 => name,
        _ => format!("…{}", name.chars().skip(left_out + 1).collect::<String>()),
    })
}

/// As much of a UUID as tells GPUs apart.
pub fn short(uuid: &str) -> &str {
    uuid.get(..12).unwrap_or(uuid)
}

/// A dash where there is nothing.
pub fn or_dash(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".into())
}
