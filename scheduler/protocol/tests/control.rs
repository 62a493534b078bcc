//! The operators' words as they stand on the wire.
use nvshare_protocol::control::{Reply, Request, Span, Status, TenantStatus, Trace};

#[test]
fn every_request_has_its_line() {
    let table = [
        (Request::Status, r#""status""#),
        (Request::SetQuantum { seconds: 0.5 }, r#"{"set-quantum":{"seconds":0.5}}"#),
        (Request::SetEvict { mode: "always".into() }, r#"{"set-evict":{"mode":"always"}}"#),
        (Request::On, r#""on""#),
        (Request::Off, r#""off""#),
        (Request::Trace, r#""trace""#),
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
fn replies_come_back_as_they_were() {
    let tenants = vec![TenantStatus { id: 7, container: Some("c0ffee".into()), ..TenantStatus::default() }];
    let spans = vec![Span { kind: "fetch".into(), start: 0.25, end: None, bytes: 9, ..Span::default() }];
    for reply in [
        Reply::Status(Status { tenants, quantum_seconds: 30.0, ..Status::default() }),
        Reply::Trace(Trace { spans, dropped: 3 }),
        Reply::Done { message: "done".into() },
        Reply::Error { message: "no".into() },
    ] {
        let line = serde_json::to_string(&reply).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Reply>(&line).unwrap(), reply);
    }
}
