//! The operators' socket, both ways.
use nvshare_core::settings::EvictMode;
use nvshare_protocol::control::{QuantumSetting, Reply, Request};
use nvshare_scheduler::cli::table;
use nvshare_scheduler::settings::from_seconds;

/// Promises: a request that is understood is one line when it is written, and reads back; what it asks for is within
/// what is allowed.
pub fn request(bytes: &[u8]) {
    let Ok(request) = serde_json::from_slice::<Request>(bytes) else { return };
    match &request {
        Request::SetQuantum(QuantumSetting::Seconds(seconds))
        | Request::SetGpuQuantum { quantum: Some(QuantumSetting::Seconds(seconds)), .. } => {
            match from_seconds(*seconds) {
                Some(quantum) => assert!((0.001..=86_400.0).contains(&quantum.as_secs_f64())),
                None => return,
            }
        }
        Request::SetEvict { mode } => {
            if let Some(evict) = EvictMode::named(mode) {
                assert_eq!(evict.as_str(), mode);
            }
        }
        Request::Status
        | Request::SetQuantum(QuantumSetting::Auto)
        | Request::SetGpuQuantum { quantum: None | Some(QuantumSetting::Auto), .. }
        | Request::On
        | Request::Off
        | Request::Trace
        | Request::SetTenant { .. }
        | Request::Pause { .. }
        | Request::Resume { .. }
        | Request::Evict { .. }
        | Request::Reload
        | Request::EventsSince(_)
        | Request::Report(_)
        | Request::Events => {}
    }
    let line = serde_json::to_string(&request).expect("a request can be written");
    assert!(!line.contains('\n'));
    assert_eq!(serde_json::from_str::<Request>(&line).expect("what we write can be read"), request);
}

/// Promise: nothing in the table that an operator sees steers a terminal.
pub fn reply(bytes: &[u8]) {
    let Ok(Reply::Status(status)) = serde_json::from_slice(bytes) else { return };
    let shown = table::status(&status, table::Room::Wide);
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
}
