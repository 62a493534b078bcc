//! The operators' words as they stand on the wire.
use nvshare_protocol::control::{
    AuditEvent, EventQuery, Grouping, QuantumSetting, Reply, Report, ReportQuery, ReportRow, Request, Span,
    Status, TenantStatus, Trace,
};

#[test]
fn every_request_has_its_line() {
    let table = [
        (Request::Status, r#""status""#),
        (Request::SetQuantum(QuantumSetting::Seconds(0.5)), r#"{"set-quantum":{"seconds":0.5}}"#),
        (Request::SetQuantum(QuantumSetting::Auto), r#"{"set-quantum":"auto"}"#),
        (
            Request::SetGpuQuantum { gpu: "GPU-1".into(), quantum: Some(QuantumSetting::Seconds(0.5)) },
            r#"{"set-gpu-quantum":{"gpu":"GPU-1","quantum":{"seconds":0.5}}}"#,
        ),
        (
            Request::SetGpuQuantum { gpu: "GPU-1".into(), quantum: None },
            r#"{"set-gpu-quantum":{"gpu":"GPU-1","quantum":null}}"#,
        ),
        (Request::SetEvict { mode: "always".into() }, r#"{"set-evict":{"mode":"always"}}"#),
        (Request::On, r#""on""#),
        (Request::Off, r#""off""#),
        (Request::Trace, r#""trace""#),
        (Request::Events, r#""events""#),
        (
            Request::Report(ReportQuery { since: 0.5, by: Grouping::Gpu }),
            r#"{"report":{"since":0.5,"by":"gpu"}}"#,
        ),
        (
            Request::EventsSince(EventQuery { since: Some(0.5), ..EventQuery::default() }),
            r#"{"events-since":{"since":0.5,"follow":false,"tenant":null,"container":null,"gpu":null,"kind":null}}"#,
        ),
    ];
    for (request, line) in table {
        assert_eq!(serde_json::to_string(&request).unwrap(), line);
        assert_eq!(serde_json::from_str::<Request>(line).unwrap(), request);
    }
}

#[test]
fn a_request_that_is_misspelt_is_an_error() {
    for line in [r#""statu""#, r#""set-quantum""#, r#"{"set-quantum":{"second":1}}"#, "7", "{}"] {
        assert!(serde_json::from_str::<Request>(line).is_err(), "{line}");
    }
}

#[test]
fn a_quantum_that_is_none_is_told_what_it_may_be() {
    let error = serde_json::from_str::<Request>(r#"{"set-quantum":"soon"}"#).unwrap_err().to_string();
    assert!(error.starts_with("unknown variant `soon`, expected `seconds` or `auto`"), "{error}");
}

#[test]
fn what_an_older_scheduler_does_not_tell_has_its_default() {
    let line = r#"{"status":{"version":"0.1.0","enabled":true,"tenants":[{"id":7,"state":"idle"}]}}"#;
    let Reply::Status(status) = serde_json::from_str(line).unwrap() else { panic!() };
    assert_eq!((status.tenants[0].id, status.tenants[0].limit_bytes, status.quantum_auto), (7, None, false));
}

#[test]
fn replies_come_back_as_they_were() {
    let tenants = vec![TenantStatus { id: 7, container: Some("c0ffee".into()), ..TenantStatus::default() }];
    let spans = vec![Span { kind: "fetch".into(), start: 0.25, end: None, bytes: 9, ..Span::default() }];
    let row = ReportRow { uid: Some(7), held_seconds: 0.5, ..ReportRow::default() };
    for reply in [
        Reply::Status(Status { tenants, quantum_seconds: 30.0, ..Status::default() }),
        Reply::Trace(Trace { spans, dropped: 3 }),
        Reply::Event(AuditEvent { kind: "joined".into(), tenant: Some(3), ..AuditEvent::default() }),
        Reply::Report(Report { schema: 1, by: Grouping::User, since: Some(3600.0), rows: vec![row] }),
        Reply::Done { message: "done".into() },
        Reply::Error { message: "no".into() },
    ] {
        let line = serde_json::to_string(&reply).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Reply>(&line).unwrap(), reply);
    }
}
