//! The settings of single GPUs: the tables `[gpu."UUID"]`.
use super::table::QUANTUM;
use super::value::{capacity, duration, quoted, seconds, whole_size};
use super::{DaemonSettings, Difference};
use nvshare_core::parse;
use nvshare_core::settings::Quantum;
use nvshare_protocol::DeviceId;
use std::collections::BTreeSet;
use toml::{Table, Value};

/// The tables' common name.
pub const SECTION: &str = "gpu";
/// What the sample file says about them; they have no defaults to print.
pub const SAMPLE: &str = "\n# A GPU, or a MIG instance, can have settings of its own, in a section that is named after its UUID (nvidia-smi -L):\n\
    #\n\
    #     [gpu.\"GPU-465b9c41-0ad1-4a3b-8a3c-1c2f5a7c9e11\"]\n\
    #     quantum = 5\n\
    #     memory = \"80GiB\"\n\
    #\n\
    # quantum holds instead of [scheduler] quantum, with the same values. A tenant that uses several GPUs has turns as\n\
    # long as on the one where they last longest.\n\
    #\n\
    # memory is what the GPU has, from \"1MiB\" to \"16384GiB\". It holds instead of what [memory] nvml tells, and is\n\
    # needed only where that library is not there: without either, tenants are believed how large a GPU is (the\n\
    # largest that one of them says). A GPU that neither of them knows is refused to tenants as soon as another is\n\
    # known, so that memory is to be set for each GPU or for none.\n";
/// What its memory may be, for errors.
pub const MEMORY: &str = "a size such as \"80GiB\", from \"1MiB\" to \"16384GiB\"";
/// How a GPU is named, for errors.
const UUID: &str = "a UUID as nvidia-smi -L shows it, such as \"GPU-465b9c41-0ad1-4a3b-8a3c-1c2f5a7c9e11\"";

/// `"auto"` or a number of seconds.
pub fn quantum(value: &Value) -> Option<Quantum> {
    if value.as_str() == Some("auto") { Some(Quantum::Auto) } else { duration(value).map(Quantum::Fixed) }
}

pub fn show(quantum: Quantum) -> String {
    match quantum {
        Quantum::Auto => quoted("auto"),
        Quantum::Fixed(length) => seconds(length),
    }
}

/// Reads the tables, and says what is wrong with them.
pub fn read(settings: &mut DaemonSettings, tables: &Table, file: &str, wrong: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (uuid, entries) in tables {
        let Some(device) = parse::gpu(uuid) else {
            wrong.push(format!("{file}: [gpu.{uuid:?}] is no GPU (allowed: {UUID})"));
            continue;
        };
        let Value::Table(entries) = entries else {
            wrong.push(format!(
                "{file}: [gpu] {uuid:?} = {entries} is not allowed (allowed: a section, [gpu.{uuid:?}])"
            ));
            continue;
        };
        if !seen.insert(device) {
            wrong.push(format!("{file}: [gpu.{uuid:?}] is there twice, by its two names"));
            continue;
        }
        for (key, value) in entries {
            if let Err(why) = set(settings, device, key, value) {
                wrong.push(format!("{file}: [gpu.{uuid:?}] {why}"));
            }
        }
    }
}

/// Takes one entry, or says what is wrong with it.
fn set(settings: &mut DaemonSettings, device: DeviceId, key: &str, value: &Value) -> Result<(), String> {
    let allowed = |allowed| format!("{key} = {value} is not allowed (allowed: {allowed})");
    match key {
        "quantum" => {
            let quantum = quantum(value).ok_or_else(|| allowed(QUANTUM))?;
            settings.core.quanta.insert(device, quantum);
        }
        "memory" => {
            let memory = capacity(value).ok_or_else(|| allowed(MEMORY))?;
            settings.capacities.insert(device, memory);
        }
        _ => return Err(format!("{key} is no setting (known: quantum, memory)")),
    }
    Ok(())
}

/// The tables in force.
pub fn print(settings: &DaemonSettings) -> String {
    let (quanta, capacities) = (&settings.core.quanta, &settings.capacities);
    let devices: BTreeSet<DeviceId> = quanta.keys().chain(capacities.keys()).copied().collect();
    let table = |device: DeviceId| {
        let quantum = quanta.get(&device).map(|quantum| format!("quantum = {}\n", show(*quantum)));
        let memory = capacities.get(&device).map(|memory| format!("memory = {}\n", whole_size(*memory)));
        format!("\n[gpu.\"{device}\"]\n{}{}", quantum.unwrap_or_default(), memory.unwrap_or_default())
    };
    devices.into_iter().map(table).collect()
}

/// What `new` sets differently for single GPUs.
pub fn differences(old: &DaemonSettings, new: &DaemonSettings) -> Vec<Difference> {
    let all = [&old.core.quanta, &new.core.quanta].into_iter().flat_map(|of| of.keys());
    let all = all.chain([&old.capacities, &new.capacities].into_iter().flat_map(|of| of.keys()));
    let devices: BTreeSet<DeviceId> = all.copied().collect();
    let mut found = Vec::new();
    for device in devices {
        let quantum = |of: &DaemonSettings| of.core.quanta.get(&device).map(|quantum| show(*quantum));
        let memory = |of: &DaemonSettings| of.capacities.get(&device).map(|memory| whole_size(*memory));
        for (key, before, after, needs_restart) in
            [("quantum", quantum(old), quantum(new), false), ("memory", memory(old), memory(new), true)]
        {
            if before != after {
                let after = after.unwrap_or_else(|| "not set".into());
                found.push(Difference { text: format!("[gpu.\"{device}\"] {key} = {after}"), needs_restart });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::*;
    use nvshare_protocol::Nanos;

    const ONE: &str = "465b9c41-0ad1-4a3b-8a3c-1c2f5a7c9e11";
    const TWO: &str = "00000000-0ad1-4a3b-8a3c-1c2f5a7c9e11";

    #[test]
    fn each_gpu_or_mig_instance_has_its_quantum_and_is_printed_with_it() {
        let text = format!("[gpu.\"GPU-{ONE}\"]\nquantum = 5\n[gpu.\"MIG-{TWO}\"]\nquantum = \"auto\"\n");
        let settings = load(&text, "c.toml", &[]).unwrap();
        let quantum = |uuid: &str| settings.core.quanta[&parse::gpu(uuid).unwrap()];
        assert_eq!(quantum(&format!("GPU-{ONE}")), Quantum::Fixed(Nanos(5 * Nanos::SECOND.0)));
        assert_eq!(quantum(&format!("MIG-{}", TWO.to_uppercase())), Quantum::Auto);
        assert_eq!(load(&settings.print(), "c.toml", &[]).unwrap(), settings);
    }

    #[test]
    fn each_gpus_memory_is_a_size_and_is_printed() {
        let text = format!(
            "[gpu.\"GPU-{ONE}\"]\nmemory = \"80GiB\"\nquantum = 5\n[gpu.\"MIG-{TWO}\"]\nmemory = \"1.5GiB\"\n"
        );
        let settings = load(&text, "c.toml", &[]).unwrap();
        let memory = |uuid: &str| settings.capacities[&parse::gpu(&format!("GPU-{uuid}")).unwrap()].0;
        assert_eq!((memory(ONE), memory(TWO)), (80 << 30, 3 << 29));
        let printed = settings.print();
        assert!(
            printed.ends_with(&format!("\n[gpu.\"GPU-{ONE}\"]\nquantum = 5\nmemory = \"80GiB\"\n")),
            "{printed}"
        );
        assert_eq!(load(&printed, "c.toml", &[]).unwrap(), settings);
        for wrong in ["80", "\"80\"", "\"0B\"", "\"17000GiB\"", "\"auto\""] {
            let text = format!("[gpu.\"GPU-{ONE}\"]\nmemory = {wrong}\n");
            let expected =
                format!("c.toml: [gpu.\"GPU-{ONE}\"] memory = {wrong} is not allowed (allowed: {MEMORY})");
            assert_eq!(load(&text, "c.toml", &[]).unwrap_err().0, [expected]);
        }
    }

    #[test]
    fn what_is_wrong_with_a_gpus_table_is_told_with_what_is_allowed() {
        let text = format!(
            "[gpu.one]\nquantum = 5\n[gpu]\n\"GPU-{ONE}\" = 3\n[gpu.\"GPU-{TWO}\"]\nquantum = 0\nweight = 3\n"
        );
        let mut sorted = load(&text, "c.toml", &[]).unwrap_err().0;
        sorted.sort();
        let expected = [
            format!("c.toml: [gpu.\"GPU-{TWO}\"] quantum = 0 is not allowed (allowed: {QUANTUM})"),
            format!("c.toml: [gpu.\"GPU-{TWO}\"] weight is no setting (known: quantum, memory)"),
            format!("c.toml: [gpu.\"one\"] is no GPU (allowed: {UUID})"),
            format!(
                "c.toml: [gpu] \"GPU-{ONE}\" = 3 is not allowed (allowed: a section, [gpu.\"GPU-{ONE}\"])"
            ),
        ];
        let text = format!("[gpu.\"GPU-{ONE}\"]\nquantum = 5\n[gpu.\"MIG-{ONE}\"]\nquantum = 6\n");
        assert_eq!(
            load("gpu = 3", "c.toml", &[]).unwrap_err().0,
            [
                "c.toml: gpu = 3 is not allowed (allowed: sections such as [gpu.\"GPU-465b9c41-0ad1-4a3b-8a3c-1c2f5a7c9e11\"])"
            ]
        );
        assert_eq!(
            load(&text, "c.toml", &[]).unwrap_err().0,
            [format!("c.toml: [gpu.\"MIG-{ONE}\"] is there twice, by its two names")]
        );
        assert_eq!(sorted, expected);
    }
}
