//! `nvsharectl why`: what tenants wait for, in words.
use super::naming;
use crate::text::{clean, time};
use nvshare_protocol::control::{Status, Target, TenantStatus};
use nvshare_protocol::job_rules::is_job;

/// No line is longer, whatever the scheduler says.
const LONGEST: usize = 1000;

/// The tenants that are meant; without a word, all of them.
///
/// # Errors
/// Whom there is not.
pub fn of<'a>(status: &'a Status, target: Option<&Target>) -> Result<Vec<&'a TenantStatus>, String> {
    let meant = |tenant: &&TenantStatus| match target {
        None => true,
        Some(Target::Tenant(id)) => tenant.id == *id,
        Some(Target::Container(id)) => {
            tenant
                .container
                .as_deref()
                .is_some_and(|container| !id.is_empty() && same_container(container, id))
                || tenant.container_name.as_deref() == Some(id)
        }
    };
    let found: Vec<&TenantStatus> = status.tenants.iter().filter(meant).collect();
    match target {
        Some(Target::Tenant(id)) if found.is_empty() => {
            Err(format!("there is no tenant {id} that you may see (nvsharectl status shows them)"))
        }
        Some(Target::Container(id)) if found.is_empty() => {
            Err(format!("no tenant that you may see is in a container {id:?} (nvsharectl status shows them)"))
        }
        _ => Ok(found),
    }
}

/// Whether one begins as the other: status shows the first characters of an id.
pub fn same_container(shown: &str, id: &str) -> bool {
    let shown = shown.split(' ').next().unwrap_or_default();
    if is_job(shown) || is_job(id) {
        return shown == id;
    }
    shown.starts_with(id) || id.starts_with(shown)
}

/// For people.
pub fn text(tenants: &[&TenantStatus]) -> String {
    if tenants.is_empty() {
        return "no tenant\n".into();
    }
    tenants.iter().map(|tenant| one(tenant)).collect()
}

fn one(tenant: &TenantStatus) -> String {
    let why = &tenant.why;
    let mut lines = vec![format!("{}: {}", naming::full(tenant), clean(&why.reason, 64))];
    let mut say = |line: String| lines.push(format!("  {}", clean(&line, LONGEST)));
    say(why.text.clone());
    if let Some(seconds) = why.seconds {
        let expected = why.expected_seconds.map(|at| match at {
            0.0 => "; its turn can come at any moment".to_owned(),
            at => format!("; its turn can be expected in {}", time(at)),
        });
        say(format!("for {}{}", time(seconds), expected.unwrap_or_default()));
    }
    why.remarks.iter().for_each(|remark| say(format!("note: {remark}")));
    tenant.reports.iter().for_each(|report| say(format!("it reports: {report}")));
    why.advice.iter().for_each(|advice| say(format!("to do: {advice}")));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::control::Why;

    #[test]
    fn one_tenant_or_all_of_a_container_are_explained() {
        let tenant = |id, container: &str| TenantStatus {
            id,
            pid: 7,
            program: "train\u{1b}".into(),
            container: Some(container.into()),
            why: Why {
                reason: "turn".into(),
                text: "it is next".into(),
                seconds: Some(7.5),
                expected_seconds: Some(3.0),
                remarks: vec!["a remark".into()],
                advice: vec!["a deed".into()],
                ..Why::default()
            },
            ..TenantStatus::default()
        };
        let status = Status {
            tenants: vec![tenant(1, "4f1d3c0b5a69"), tenant(2, "aaaa3c0b5a69 of uid 7")],
            ..Status::default()
        };
        let shown = |target| of(&status, Some(&target)).map(|tenants| text(&tenants));
        assert_eq!(
            shown(Target::Tenant(1)).unwrap(),
            "tenant 1 (\"train?\", pid 7, container 4f1d3c0b5a69): turn\n  it is next\n  for 7.5 s; its turn can be \
             expected in 3.0 s\n  note: a remark\n  to do: a deed\n"
        );
        assert!(shown(Target::Tenant(3)).unwrap_err().contains("no tenant 3"));
        assert!(shown(Target::Container("aaaa3c0b5a69ff".into())).unwrap().starts_with("tenant 2"));
        assert!(shown(Target::Container("bb".into())).is_err());
        assert_eq!(text(&of(&status, None).unwrap()).matches("tenant").count(), 2);
    }
}
