//! Which GPU an operator means.
use super::words::short;
use crate::text::clean;
use nvshare_protocol::control::DeviceStatus;

/// So many digits are an index and never the beginning of a UUID.
const INDEX_DIGITS: usize = 3;

/// The GPU of this index, bus id or UUID; of a UUID the beginning suffices where it fits one GPU alone, without `GPU-` too.
///
/// # Errors
/// What is known, where it is none of them or several.
pub fn find<'a>(devices: &'a [DeviceStatus], word: &str) -> Result<&'a DeviceStatus, String> {
    let shown = clean(word, 64);
    if devices.is_empty() {
        return Err(format!("there is no GPU {shown:?}: no GPU is known, for no tenant has named one yet"));
    }
    let meant: Vec<&DeviceStatus> = devices.iter().filter(|device| is_meant(device, word)).collect();
    match meant[..] {
        [device] => Ok(device),
        [] => Err(format!("there is no GPU {shown:?} (known: {})", names(devices))),
        _ => Err(format!(
            "{shown:?} can be several GPUs: {}. Write as much of the UUID as tells them apart",
            names(meant)
        )),
    }
}

fn is_meant(device: &DeviceStatus, word: &str) -> bool {
    if word.len() <= INDEX_DIGITS && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return device.index.is_some() && device.index == word.parse().ok();
    }
    let (word, uuid) = (word.to_ascii_lowercase(), device.uuid.to_ascii_lowercase());
    if word.contains(':') {
        // 19:00.0 is short for 00000000:19:00.0.
        let bus = device.bus_id.to_ascii_lowercase();
        return bus == word || bus.strip_prefix("00000000:") == Some(&word);
    }
    let digits = |text: &str| {
        let known = text.strip_prefix("gpu-").or_else(|| text.strip_prefix("mig-"));
        known.unwrap_or(text).to_owned()
    };
    !digits(&word).is_empty() && digits(&uuid).starts_with(&digits(&word))
}

/// `0 GPU-30313233, 1 GPU-40414243`
fn names<'a>(devices: impl IntoIterator<Item = &'a DeviceStatus>) -> String {
    let name = |device: &DeviceStatus| {
        let index = device.index.map(|index| format!("{index} ")).unwrap_or_default();
        index + &clean(&device.uuid, 64)
    };
    devices.into_iter().map(name).collect::<Vec<_>>().join(", ")
}

/// How a GPU is called in a small place: its index, else the beginning of its UUID.
pub fn called(devices: &[DeviceStatus], uuid: &str) -> String {
    let index = devices.iter().find(|device| device.uuid == uuid).and_then(|device| device.index);
    index.map_or_else(|| clean(short(uuid), 12), |index| index.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(uuid: &str, index: Option<u32>, bus_id: &str) -> DeviceStatus {
        DeviceStatus { uuid: uuid.into(), index, bus_id: bus_id.into(), ..DeviceStatus::default() }
    }

    fn host() -> Vec<DeviceStatus> {
        vec![
            gpu("GPU-30313233-0000-0000-0000-000000000001", Some(1), "00000000:3B:00.0"),
            gpu("GPU-30319999-0000-0000-0000-000000000002", Some(0), "00000000:19:00.0"),
            gpu("GPU-10000000-0000-0000-0000-000000000003", None, ""),
        ]
    }

    fn found(word: &str) -> Result<usize, String> {
        let host = host();
        find(&host, word).map(|found| host.iter().position(|gpu| gpu == found).unwrap())
    }

    #[test]
    fn a_gpu_has_an_index_a_place_and_a_uuid_whose_beginning_suffices() {
        for (word, which) in [
            ("1", 0),
            ("0", 1),
            ("GPU-30313233-0000-0000-0000-000000000001", 0),
            ("GPU-30313233", 0),
            ("30313233", 0),
            ("MIG-30319", 1),
            ("gpu-1", 2),
            ("1000", 2),
            ("3b:00.0", 0),
            ("00000000:19:00.0", 1),
        ] {
            assert_eq!(found(word), Ok(which), "{word}");
        }
    }

    #[test]
    fn what_is_none_or_several_is_answered_with_what_is_known() {
        let known = "1 GPU-30313233-0000-0000-0000-000000000001, 0 GPU-30319999-0000-0000-0000-000000000002";
        let third = "GPU-10000000-0000-0000-0000-000000000003";
        for word in ["7", "100", "GPU-9", "", "GPU-", "9:00.0", ":"] {
            assert_eq!(found(word), Err(format!("there is no GPU {word:?} (known: {known}, {third})")));
        }
        let several = "can be several GPUs";
        let advice = "Write as much of the UUID as tells them apart";
        assert_eq!(found("3031"), Err(format!("\"3031\" {several}: {known}. {advice}")));
        let parts = [gpu("GPU-a", Some(0), ""), gpu("GPU-b", Some(0), "")];
        let words = find(&parts, "0").unwrap_err();
        assert_eq!(words, format!("\"0\" {several}: 0 GPU-a, 0 GPU-b. {advice}"), "MIG instances of one GPU");
        let words = find(&[], "0").unwrap_err();
        assert_eq!(words, "there is no GPU \"0\": no GPU is known, for no tenant has named one yet");
        assert!(!find(&parts, "\u{1b}[2J").unwrap_err().contains('\u{1b}'));
    }

    #[test]
    fn in_a_small_place_a_gpu_is_called_by_its_index() {
        assert_eq!(called(&host(), "GPU-30319999-0000-0000-0000-000000000002"), "0");
        assert_eq!(called(&host(), "GPU-10000000-0000-0000-0000-000000000003"), "GPU-10000000");
        assert_eq!(called(&[], "GPU-1"), "GPU-1");
    }
}
