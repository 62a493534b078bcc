//! Names of users. The scheduler does not ask for them: a directory service may take long to answer.
use nix::unistd::{Uid, User};
use nvshare_protocol::control::{Report, Status};
use std::collections::HashMap;

/// The names that were asked for, each once.
#[derive(Debug, Default)]
pub struct Users(HashMap<u32, Option<String>>);

impl Users {
    /// Fills in the names of the tenants' users.
    pub fn name(&mut self, status: &mut Status) {
        for tenant in &mut status.tenants {
            tenant.user = self.of(tenant.user_uid);
        }
    }

    /// Fills in the names of the users in a report.
    pub fn name_rows(&mut self, report: &mut Report) {
        for row in &mut report.rows {
            row.user = row.uid.and_then(|uid| self.of(uid));
        }
    }

    fn of(&mut self, uid: u32) -> Option<String> {
        self.0.entry(uid).or_insert_with(|| ask(uid)).clone()
    }
}

fn ask(uid: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvshare_protocol::control::TenantStatus;

    #[test]
    fn users_have_names_where_the_host_knows_them() {
        let tenant = |user_uid| TenantStatus { user_uid, ..TenantStatus::default() };
        let tenants = vec![tenant(0), tenant(4_294_000_000), tenant(0)];
        let mut status = Status { tenants, ..Status::default() };
        Users::default().name(&mut status);
        let names: Vec<_> = status.tenants.iter().map(|tenant| tenant.user.as_deref()).collect();
        assert_eq!(names, [Some("root"), None, Some("root")]);
    }
}
