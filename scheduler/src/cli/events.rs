//! `nvsharectl events`: what has happened and happens, one line each, until somebody stops it.
use super::client::{Client, Failed};
use crate::text::{bytes, clean, seconds, word};
use nvshare_protocol::control::{AuditEvent, Request};
use nvshare_protocol::job_rules::container_or_job;
use nvshare_protocol::{Bytes, Nanos};
use std::io::{ErrorKind, Write};

/// Prints every event, as JSON or for people. Ends well when nobody reads it any more.
pub fn follow(client: &mut Client, request: &Request, json: bool) -> Result<(), Failed> {
    client.follow(request, |event| {
        let line = if json {
            serde_json::to_string(&event).map_err(|error| Failed::Broken(error.to_string()))?
        } else {
            line(&event)
        };
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failed::Output(format!("standard output cannot be written to: {error}"))),
        }
    })
}

/// `2026-11-30T16:15:54.123Z  ready            tenant 3 (python3, pid 4711, container 4f1d3c0b5a69): 12.0 GiB in 0.258 s, GPU-30313233`
fn line(event: &AuditEvent) -> String {
    let container = event.container.as_deref().map(container_or_job);
    let pid = event.pid.map(|pid| format!("pid {pid}"));
    let who: Vec<String> =
        [event.program.as_deref().map(|program| word(program).into_owned()), pid, container]
            .into_iter()
            .flatten()
            .collect();
    let tenant = event.tenant.map(|id| format!("tenant {id}"));
    let who = match (tenant, who.join(", ")) {
        (Some(tenant), who) => format!("{tenant} ({who})"),
        (None, who) => event.by.clone().unwrap_or(who),
    };
    // A scheduler of an older version does not say it.
    let time = if event.time.is_empty() { format!("{:>10.3} s", event.seconds) } else { event.time.clone() };
    let took = event.took_seconds.map(|time| seconds(Nanos((time * 1e9) as u64)));
    let moved = match (event.bytes.map(|n| bytes(Bytes(n))), took) {
        (Some(bytes), Some(took)) => Some(format!("{bytes} in {took}")),
        (bytes, took) => bytes.or(took),
    };
    let devices: Vec<&str> = event.devices.iter().map(|uuid| uuid.get(..12).unwrap_or(uuid)).collect();
    let devices = (!devices.is_empty()).then(|| devices.join(" "));
    // A report is the tenant's own words.
    let text = event
        .text
        .as_ref()
        .map(|text| if event.kind == "report" { format!("{text:?}") } else { text.clone() });
    let details: Vec<String> = [text, moved, devices].into_iter().flatten().collect();
    let parts = [who, details.join(", ")];
    let rest: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let line = format!("{time}  {:<15}  {}", event.kind, rest.join(": "));
    clean(line.trim_end(), 512)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_that_says_who_what_and_how_much() {
        let ready = AuditEvent {
            seconds: 12.3451,
            time: "2026-11-30T16:15:54.123Z".into(),
            session: Some("4711-0badcafe".into()),
            by: None,
            kind: "ready".into(),
            tenant: Some(3),
            pid: Some(4711),
            program: Some("python3".into()),
            container: Some("4f1d3c0b5a69".into()),
            gang: None,
            devices: vec!["GPU-30313233-3435-3637-3839-616263646566".into()],
            bytes: Some(12_900_000_000),
            took_seconds: Some(0.258),
            text: None,
        };
        let revoked = AuditEvent { kind: "revoked".into(), bytes: None, took_seconds: None, ..ready.clone() };
        let odd = AuditEvent {
            kind: "set".into(),
            text: Some("evict is\nnever".into()),
            by: Some("root (uid 0)".into()),
            ..AuditEvent::default()
        };
        let refused = AuditEvent {
            kind: "refused".into(),
            pid: Some(9),
            text: Some("the limit [limits] tenants = 3 is reached".into()),
            ..AuditEvent::default()
        };
        for (event, expected) in [
            (
                ready,
                "2026-11-30T16:15:54.123Z  ready            tenant 3 (python3, pid 4711, container 4f1d3c0b5a69): 12.0 GiB in 0.258 s, GPU-30313233",
            ),
            (
                revoked,
                "2026-11-30T16:15:54.123Z  revoked          tenant 3 (python3, pid 4711, container 4f1d3c0b5a69): GPU-30313233",
            ),
            (odd, "     0.000 s  set              root (uid 0): evict is?never"),
            (refused, "     0.000 s  refused          pid 9: the limit [limits] tenants = 3 is reached"),
        ] {
            assert_eq!(line(&event), expected);
        }
    }
}
