//! Names of users and containers, wherever a status names a tenant: in its columns, and in the words of `why`.
use super::containers::Containers;
use super::users::Users;
use crate::text;
use nvshare_protocol::control::{Status, TenantStatus};
use nvshare_protocol::job_rules::container_or_job;

/// What the host knows and the scheduler does not. A directory or an engine may be slow to answer.
#[derive(Debug, Default)]
pub struct Naming {
    users: Users,
    containers: Containers,
}

impl Naming {
    /// With names, as far as there are any.
    pub fn of(&mut self, mut status: Status) -> Status {
        self.users.name(&mut status);
        self.containers.name(&mut status);
        in_words(&mut status);
        status
    }
}

/// Reasons name tenants as the scheduler knows them. Those that the status does not show have no name there.
fn in_words(status: &mut Status) {
    let names: Vec<(String, String)> =
        status.tenants.iter().map(|row| (by_scheduler(row), full(row))).collect();
    for row in &mut status.tenants {
        let why = &mut row.why;
        let words = [&mut why.text].into_iter().chain(&mut why.remarks).chain(&mut why.advice);
        for word in words.filter(|word| word.contains("tenant ")) {
            for (known, full) in &names {
                if word.contains(known) {
                    *word = word.replace(known, full);
                }
            }
        }
    }
}

fn by_scheduler(row: &TenantStatus) -> String {
    let place = row.container.as_deref().map(container_or_job);
    format!("tenant {} ({})", row.id, text::label(&row.program, row.pid, None, place.as_deref()))
}

/// The same, with the names that the status shows.
pub fn full(row: &TenantStatus) -> String {
    // A container may be called as a job.
    let named = row.container_name.as_ref().map(|name| format!("container {}", text::clean(name, 64)));
    let place = named.or_else(|| row.container.as_ref().map(|id| container_or_job(&text::clean(id, 64))));
    let user = row.user.as_ref().map(|name| text::clean(name, 32));
    let program = text::clean(&row.program, 64);
    format!("tenant {} ({})", row.id, text::label(&program, row.pid, user.as_deref(), place.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::control::Why;

    /// A container of another user was named by its id, though `status` knew its name.
    #[test]
    fn reasons_name_users_and_containers_as_the_status_does() {
        let tenant = |id, container: Option<&str>, name: Option<&str>, user: &str| TenantStatus {
            id,
            pid: 4000 + id as u32,
            program: "train".into(),
            user: Some(user.into()),
            container: container.map(str::to_owned),
            container_name: name.map(str::to_owned),
            ..TenantStatus::default()
        };
        let mut status = Status {
            tenants: vec![
                tenant(1, Some("4f1d3c0b5a69"), Some("chat"), "root"),
                tenant(11, None, None, "ada"),
                TenantStatus {
                    why: Why {
                        text: "it is next: tenant 1 (train, pid 4001, container 4f1d3c0b5a69) (for 2.0 s), tenant 11 \
                               (train, pid 4011), a tenant of another user, tenant 12 (train, pid 4012) has the GPU"
                            .into(),
                        advice: vec!["tenant 11 (train, pid 4011): it loses its turn".into()],
                        ..Why::default()
                    },
                    ..tenant(3, None, None, "ada")
                },
            ],
            ..Status::default()
        };
        in_words(&mut status);
        let why = &status.tenants[2].why;
        assert_eq!(
            why.text,
            "it is next: tenant 1 (train, pid 4001, user root, container chat) (for 2.0 s), tenant 11 (train, pid 4011, \
             user ada), a tenant of another user, tenant 12 (train, pid 4012) has the GPU"
        );
        assert_eq!(why.advice, ["tenant 11 (train, pid 4011, user ada): it loses its turn"]);
    }
}
