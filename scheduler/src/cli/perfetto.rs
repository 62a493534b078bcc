//! The trace in the format that Chrome's tracing and ui.perfetto.dev read: a process for each GPU, a
//! thread for each tenant, times in microseconds.
//! Format: "Trace Event Format", the events of phases `M` (metadata) and `X` (complete).
use nvshare_protocol::control::{Span, Status, Trace};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// `trace` as one JSON document. `status`, which is requested after it, gives the names of the GPUs, and the end of spans
/// that are still open.
pub fn events(trace: &Trace, status: &Status) -> Value {
    let known = status.devices.iter().map(|device| device.uuid.as_str());
    let named = trace.spans.iter().flat_map(|span| &span.devices).map(String::as_str);
    let gpus: BTreeSet<&str> = known.chain(named).collect();
    let numbers: BTreeMap<&str, usize> = gpus.iter().zip(1..).map(|(gpu, n)| (*gpu, n)).collect();
    let mut events = Vec::new();
    for (gpu, n) in &numbers {
        let name = status.devices.iter().find(|device| device.uuid == *gpu).map_or("", |device| &device.name);
        events.push(metadata("process_name", *n, 0, json!({ "name": format!("{gpu} {name}").trim() })));
        events.push(metadata("process_sort_index", *n, 0, json!({ "sort_index": n })));
    }
    let mut rows = BTreeSet::new();
    for span in &trace.spans {
        for gpu in &span.devices {
            let Some(&n) = numbers.get(gpu.as_str()) else { continue };
            if rows.insert((n, span.tenant)) {
                let name = format!("tenant {}: {}", span.tenant, span.label);
                events.push(metadata("thread_name", n, span.tenant, json!({ "name": name })));
                events.push(metadata(
                    "thread_sort_index",
                    n,
                    span.tenant,
                    json!({ "sort_index": span.tenant }),
                ));
            }
            events.push(complete(span, n, status.uptime_seconds));
        }
    }
    json!({ "traceEvents": events, "displayTimeUnit": "ms", "otherData": {
        "scheduler": format!("nvshare-scheduler {}", status.version),
        "spans dropped because the record is bounded": trace.dropped,
    }})
}

fn metadata(name: &str, process: usize, thread: u64, args: Value) -> Value {
    json!({ "ph": "M", "name": name, "pid": process, "tid": thread, "args": args })
}

fn complete(span: &Span, process: usize, now: f64) -> Value {
    let seconds = (span.end.unwrap_or(now) - span.start).max(0.0);
    let mut args = json!({ "seconds": seconds, "pid": span.pid });
    if let Some(gang) = &span.gang {
        args["gang"] = json!(gang);
    }
    if span.bytes > 0 {
        args["bytes"] = json!(span.bytes);
        let copied = span.bytes.saturating_sub(span.unchanged_bytes.saturating_add(span.zero_bytes));
        if seconds > 0.0 {
            args["GB/s"] = json!(copied as f64 / 1e9 / seconds);
        }
        let parts = [("unchanged", span.unchanged_bytes), ("zero", span.zero_bytes)];
        for (part, bytes) in parts.into_iter().filter(|(_, bytes)| *bytes > 0) {
            args[part] = json!(bytes);
            args["copied"] = json!(copied);
        }
    }
    if span.end.is_none() {
        args["unfinished"] = json!(true);
    }
    json!({
        "ph": "X", "name": span.kind, "cat": "nvshare", "pid": process, "tid": span.tenant,
        "ts": span.start * 1e6, "dur": seconds * 1e6, "args": args,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::control::DeviceStatus;

    fn span(kind: &str, devices: &[&str], start: f64, end: Option<f64>, bytes: u64) -> Span {
        let devices = devices.iter().map(ToString::to_string).collect();
        Span {
            tenant: 3,
            pid: 4711,
            label: "python3, pid 4711".into(),
            gang: None,
            devices,
            kind: kind.into(),
            start,
            end,
            bytes,
            ..Span::default()
        }
    }

    #[test]
    fn each_gpu_is_a_process_and_each_tenant_a_thread_in_it() {
        let trace = Trace {
            spans: vec![
                span("fetch", &["GPU-a", "GPU-b"], 1.0, Some(1.25), 12_500_000_000),
                span("run", &["GPU-a"], 1.25, None, 0),
            ],
            dropped: 2,
        };
        let device = DeviceStatus { uuid: "GPU-a".into(), name: "H200".into(), ..DeviceStatus::default() };
        let status = Status { devices: vec![device], uptime_seconds: 2.0, ..Status::default() };
        let document = events(&trace, &status);
        let list = document["traceEvents"].as_array().unwrap();
        let of = |phase: &str| list.iter().filter(|event| event["ph"] == phase).collect::<Vec<_>>();
        let names: Vec<_> = of("M").iter().filter_map(|event| event["args"]["name"].as_str()).collect();
        assert_eq!(
            names,
            ["GPU-a H200", "GPU-b", "tenant 3: python3, pid 4711", "tenant 3: python3, pid 4711"]
        );
        let spans = of("X");
        assert_eq!(spans.len(), 3);
        assert_eq!((&spans[0]["pid"], &spans[1]["pid"]), (&json!(1), &json!(2)));
        assert_eq!(
            spans[0]["args"],
            json!({"seconds": 0.25, "pid": 4711, "bytes": 12_500_000_000u64, "GB/s": 50.0})
        );
        let lighter =
            Span { unchanged_bytes: 3, zero_bytes: 4, ..span("evict", &["GPU-a"], 1.0, Some(1.25), 9) };
        let parts = complete(&lighter, 1, 2.0)["args"].clone();
        assert_eq!(parts["GB/s"], json!(2.0 / 1e9 / 0.25), "what was not copied says nothing of the link");
        let part = |name: &str| parts[name].as_u64();
        assert_eq!([part("bytes"), part("copied"), part("unchanged"), part("zero")], [9, 2, 3, 4].map(Some));
        assert_eq!((&spans[0]["ts"], &spans[0]["dur"]), (&json!(1e6), &json!(0.25e6)));
        let of_a_job = Trace {
            spans: vec![Span { gang: Some("job".into()), ..span("run", &["GPU-a"], 1.0, Some(2.0), 0) }],
            dropped: 0,
        };
        let told = events(&of_a_job, &status)["traceEvents"].as_array().unwrap().clone();
        let gangs: Vec<_> = told.iter().filter_map(|event| event["args"]["gang"].as_str()).collect();
        assert_eq!(gangs, ["job"]);
        assert_eq!((&spans[2]["dur"], &spans[2]["args"]["unfinished"]), (&json!(0.75e6), &json!(true)));
    }
}
