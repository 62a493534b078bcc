//! What can be set, in one table. Every setting is an environment variable; `FAKECUDA_CARD` picks a column.
use crate::fail::{self, Plan};
use std::path::PathBuf;
use std::sync::OnceLock;

/// Name, value on the report's card, value on an H200, what it is.
///
/// The report's card: 16 GiB, DMA at 16 GB/s, 15 us for a fault of 4 KiB. The H200's figures are measured.
#[rustfmt::skip]
pub const TABLE: &[(&str, &str, &str, &str)] = &[
    ("FAKECUDA_DEVICES",          "1",      "1",       "number of devices, 1 to 8"),
    ("FAKECUDA_MEMORY",           "16GiB",  "139GiB",  "a device's memory, simulated bytes"),
    ("FAKECUDA_BYTE_SCALE",       "1",      "1",       "simulated bytes for each byte that a program really allocates"),
    ("FAKECUDA_TIME_SCALE",       "1",      "1",       "simulated seconds in a second of wall time"),
    ("FAKECUDA_CONTEXT_BYTES",    "",       "",        "what a context takes of its device, simulated bytes; none: nothing"),
    ("FAKECUDA_COPY_GBPS",        "16",     "50",      "copies and prefetches to the device, GB/s"),
    ("FAKECUDA_COPY_OUT_GBPS",    "16",     "55",      "copies to the host, GB/s"),
    ("FAKECUDA_PAGEABLE_GBPS",    "",       "",        "copies from and to memory that is not page-locked, GB/s; none: as others"),
    ("FAKECUDA_MANAGED_OUT_GBPS", "16",     "14",      "managed memory moved to the host, GB/s"),
    ("FAKECUDA_FAULT_US",         "15",     "6.5536",  "one page fault, us"),
    ("FAKECUDA_FAULT_BYTES",      "4096",   "65536",   "bytes that one fault brings"),
    ("FAKECUDA_COMPUTE_GBPS",     "700",    "4300",    "what kernels read and write, GB/s"),
    ("FAKECUDA_LAUNCH_US",        "5",      "5",       "a kernel that does nothing, us"),
    ("FAKECUDA_PREFETCH_US",      "10",     "40",      "a prefetch that moves nothing, us"),
    ("FAKECUDA_FAIL",             "",       "",        "planned failures: symbol:nth:code,..."),
    ("FAKECUDA_LOG",              "",       "",        "file to which each process appends what its device did"),
    ("FAKECUDA_DIR",              "",       "",        "folder of the state that processes share; none: a device of one's own"),
];

/// The settings of this process, read once.
#[derive(Debug)]
pub struct Settings {
    pub devices: usize,
    /// Simulated bytes.
    pub memory: u64,
    pub byte_scale: u64,
    /// Simulated bytes that a context takes.
    pub context: u64,
    pub time_scale: f64,
    /// Bytes per second, as the next four.
    pub copy_in: f64,
    pub copy_out: f64,
    pub pageable: f64,
    pub managed_out: f64,
    pub compute: f64,
    /// Simulated nanoseconds for a byte that comes by faults.
    pub fault_nanos_per_byte: f64,
    pub launch_nanos: u64,
    pub prefetch_nanos: u64,
    pub fail: Vec<Plan>,
    pub log: Option<PathBuf>,
    pub dir: Option<PathBuf>,
}

/// This process's settings. A wrong one ends the process: a test that runs on another card than it names lies.
pub fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        read(|name| std::env::var(name).ok()).unwrap_or_else(|message| {
            eprintln!("fakecuda: {message}");
            std::process::exit(2)
        })
    })
}

/// Reads the settings from a source of environment variables.
pub fn read(env: impl Fn(&str) -> Option<String>) -> Result<Settings, String> {
    let h200 = match env("FAKECUDA_CARD").as_deref() {
        None | Some("report") => false,
        Some("h200") => true,
        Some(other) => return Err(format!("FAKECUDA_CARD={other}: one of report, h200")),
    };
    let text = |name: &str| {
        let row = TABLE.iter().find(|row| row.0 == name).expect("a row of the table");
        env(name).unwrap_or_else(|| if h200 { row.2 } else { row.1 }.to_owned())
    };
    let number = |name: &str| {
        let text = text(name);
        let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
        number.ok_or_else(|| format!("{name}={text}: a number above 0"))
    };
    let bytes = |name: &str| {
        let text = text(name);
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let shift = match unit.trim() {
            "" => Some(0),
            "KiB" => Some(10),
            "MiB" => Some(20),
            "GiB" => Some(30),
            _ => None,
        };
        let value = digits.parse::<u64>().ok().zip(shift).and_then(|(n, shift)| n.checked_mul(1 << shift));
        value
            .filter(|n| *n > 0)
            .ok_or_else(|| format!("{name}={text}: a number of bytes, as 4096, 512MiB, 16GiB"))
    };
    let path = |name: &str| Some(text(name)).filter(|t| !t.is_empty()).map(PathBuf::from);
    let micros = |name: &str| number(name).map(|n| (n * 1e3) as u64);
    // Who names one rate for copies means both directions.
    let rate = |name: &str| match (env(name), env("FAKECUDA_COPY_GBPS")) {
        (None, Some(_)) => number("FAKECUDA_COPY_GBPS"),
        _ => number(name),
    };
    let fail = text("FAKECUDA_FAIL");
    let devices = number("FAKECUDA_DEVICES")? as usize;
    if devices > crate::sim::shared::DEVICES {
        return Err(format!("FAKECUDA_DEVICES={devices}: at most {}", crate::sim::shared::DEVICES));
    }
    Ok(Settings {
        devices: devices.max(1),
        memory: bytes("FAKECUDA_MEMORY")?,
        byte_scale: bytes("FAKECUDA_BYTE_SCALE")?,
        context: match text("FAKECUDA_CONTEXT_BYTES").as_str() {
            "" => 0,
            _ => bytes("FAKECUDA_CONTEXT_BYTES")?,
        },
        time_scale: number("FAKECUDA_TIME_SCALE")?,
        copy_in: number("FAKECUDA_COPY_GBPS")? * 1e9,
        copy_out: rate("FAKECUDA_COPY_OUT_GBPS")? * 1e9,
        pageable: match text("FAKECUDA_PAGEABLE_GBPS").as_str() {
            "" => f64::INFINITY,
            _ => number("FAKECUDA_PAGEABLE_GBPS")? * 1e9,
        },
        managed_out: rate("FAKECUDA_MANAGED_OUT_GBPS")? * 1e9,
        compute: number("FAKECUDA_COMPUTE_GBPS")? * 1e9,
        fault_nanos_per_byte: number("FAKECUDA_FAULT_US")? * 1e3 / bytes("FAKECUDA_FAULT_BYTES")? as f64,
        launch_nanos: micros("FAKECUDA_LAUNCH_US")?,
        prefetch_nanos: micros("FAKECUDA_PREFETCH_US")?,
        fail: fail::parse(&fail).ok_or_else(|| format!("FAKECUDA_FAIL={fail}: symbol:nth:code,..."))?,
        log: path("FAKECUDA_LOG"),
        dir: path("FAKECUDA_DIR"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_report_s_card_needs_47_seconds_for_12_gib_of_faults() {
        let card = given(&[("FAKECUDA_CARD", "report")]).unwrap();
        let seconds = card.fault_nanos_per_byte * (12_u64 << 30) as f64 / 1e9;
        assert!((seconds - 47.186).abs() < 0.001, "{seconds}");
        assert_eq!(card.memory, 16 << 30);
    }

    #[test]
    fn one_copy_rate_means_both_directions_unless_both_are_given() {
        let both = given(&[("FAKECUDA_CARD", "h200"), ("FAKECUDA_COPY_GBPS", "10")]).unwrap();
        assert_eq!((both.copy_in, both.copy_out, both.managed_out), (10e9, 10e9, 10e9));
        let out = given(&[("FAKECUDA_COPY_GBPS", "10"), ("FAKECUDA_COPY_OUT_GBPS", "5")]).unwrap();
        assert_eq!((out.copy_in, out.copy_out), (10e9, 5e9));
    }

    #[test]
    fn a_wrong_setting_is_named_with_its_value_and_what_is_allowed() {
        let wrong = |name, value| given(&[(name, value)]).unwrap_err();
        assert_eq!(wrong("FAKECUDA_CARD", "a100"), "FAKECUDA_CARD=a100: one of report, h200");
        assert!(wrong("FAKECUDA_MEMORY", "12GB").starts_with("FAKECUDA_MEMORY=12GB: a number of bytes"));
        assert!(wrong("FAKECUDA_TIME_SCALE", "0").starts_with("FAKECUDA_TIME_SCALE=0: a number above 0"));
        assert!(wrong("FAKECUDA_FAIL", "cuInit").starts_with("FAKECUDA_FAIL=cuInit: symbol:nth:code"));
        assert!(wrong("FAKECUDA_DEVICES", "9").ends_with("at most 8"));
    }
}
