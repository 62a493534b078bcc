//! What an operator can do to the tenant under the cursor. Everything is asked about before it is done.
use super::model::{Model, Overlay};
use crate::cli::words::program;
use crate::text::{clean, memory};
use nvshare_protocol::control::{Request, Target, TenantChange, TenantStatus};
use nvshare_protocol::{Bytes, quantity};
use ratatui::crossterm::event::KeyCode;

/// What is about to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    pub request: Request,
    /// The question, and what follows from a yes.
    pub question: String,
    pub means: &'static str,
}

/// A value that is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    tenant: u64,
    /// The tenant for people.
    name: String,
    pub of: Rule,
    pub text: String,
    /// Why it cannot be understood.
    pub wrong: Option<&'static str>,
}

/// What can be set for one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Limit,
    Weight,
    Priority,
    TimeShare,
}

impl Rule {
    const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Weight => "weight",
            Self::Priority => "priority",
            Self::TimeShare => "time share",
        }
    }

    const fn allowed(self) -> &'static str {
        match self {
            Self::Limit => "a size such as 8GiB, or default",
            Self::Weight => "a number from 1 to 1000, or default",
            Self::Priority => "low, normal, high or default",
            Self::TimeShare => "per cent from 1 to 100, or default",
        }
    }

    /// What is set by this text. None: it is not understood; the scheduler knows what is allowed.
    fn change(self, text: &str) -> Option<TenantChange> {
        let text = text.trim();
        let default = text == "default";
        match self {
            Self::Limit if default => Some(TenantChange::Limit(None)),
            Self::Limit => quantity::size(text).map(|Bytes(n)| TenantChange::Limit(Some(n))),
            Self::Weight if default => Some(TenantChange::Weight(None)),
            Self::Weight => quantity::whole(text).map(|weight| TenantChange::Weight(Some(weight))),
            Self::Priority if default => Some(TenantChange::Priority(None)),
            Self::Priority => {
                ["low", "normal", "high"].contains(&text).then(|| TenantChange::Priority(Some(text.into())))
            }
            Self::TimeShare if default => Some(TenantChange::TimeShare(None)),
            Self::TimeShare => quantity::percent(text).map(|percent| TenantChange::TimeShare(Some(percent))),
        }
    }
}

impl Entry {
    /// The line in which it is written.
    pub fn prompt(&self) -> String {
        let of = self.of;
        let hint = self.wrong.map_or_else(|| of.allowed().to_owned(), |wrong| format!("this is not {wrong}"));
        format!("{} of {}: {}▏  {hint}", of.name(), self.name, clean(&self.text, 64))
    }
}

/// What a key begins for the tenant under the cursor.
pub fn begin(model: &mut Model, key: KeyCode) {
    let Some(row) = model.selected_tenant() else { return };
    let name = name(row);
    let target = Target::Tenant(row.id);
    let entry = |of| {
        Overlay::Entry(Entry { tenant: row.id, name: name.clone(), of, text: String::new(), wrong: None })
    };
    let overlay = match key {
        KeyCode::Char('p') if row.paused => Overlay::Confirm(Action {
            request: Request::Resume { target },
            question: format!("Resume {name}?"),
            means: "It has turns again.",
        }),
        KeyCode::Char('p') => Overlay::Confirm(Action {
            request: Request::Pause { target },
            question: format!("Pause {name}?"),
            means: "It gets no turns; its memory stays until others need the room.",
        }),
        KeyCode::Char('e') => Overlay::Confirm(Action {
            request: Request::Evict { target },
            question: format!("Move out {} of {name}?", memory(row.resident_bytes)),
            means: "Its memory leaves the GPU once, and comes back with its next turn.",
        }),
        KeyCode::Char('l') => entry(Rule::Limit),
        KeyCode::Char('w') => entry(Rule::Weight),
        KeyCode::Char('n') => entry(Rule::Priority),
        KeyCode::Char('t') => entry(Rule::TimeShare),
        _ => return,
    };
    model.overlay = overlay;
}

fn name(row: &TenantStatus) -> String {
    format!("tenant {} ({}, pid {})", row.id, program(row, 32), row.pid)
}

/// A key while a value is written.
pub fn write(model: &mut Model, key: KeyCode) {
    let Overlay::Entry(entry) = &mut model.overlay else { return };
    entry.wrong = None;
    match key {
        KeyCode::Char(c) => entry.text.push(c),
        KeyCode::Backspace => drop(entry.text.pop()),
        KeyCode::Esc => model.overlay = Overlay::None,
        KeyCode::Enter => match entry.of.change(&entry.text) {
            Some(change) => {
                let (what, to) = (entry.of.name(), words(&change));
                let action = Action {
                    question: format!("Set the {what} of {} to {to}?", entry.name),
                    request: Request::SetTenant { target: Target::Tenant(entry.tenant), change },
                    means: "It holds until the tenant leaves or the scheduler is restarted.",
                };
                model.overlay = Overlay::Confirm(action);
            }
            None => entry.wrong = Some(entry.of.allowed()),
        },
        _ => {}
    }
}

fn words(change: &TenantChange) -> String {
    let value = match change {
        TenantChange::Limit(bytes) => bytes.map(memory),
        TenantChange::Weight(weight) => weight.map(|weight| weight.to_string()),
        TenantChange::Priority(priority) => priority.clone(),
        TenantChange::TimeShare(percent) => percent.map(|percent| format!("{percent} %")),
    };
    value.unwrap_or_else(|| "what the settings and its own wish say".into())
}

/// What is to be asked for after this key; any other than `y` means no.
pub fn answer(model: &mut Model, key: KeyCode) -> Option<Request> {
    let Overlay::Confirm(action) = std::mem::take(&mut model.overlay) else { return None };
    (key == KeyCode::Char('y')).then_some(action.request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::keys::{Outcome, pressed};
    use nvshare_protocol::control::Status;
    use ratatui::crossterm::event::{KeyEvent, KeyModifiers};

    fn model(paused: bool) -> Model {
        let row = TenantStatus {
            id: 3,
            program: "train".into(),
            pid: 4703,
            resident_bytes: 6 << 30,
            paused,
            ..TenantStatus::default()
        };
        let mut model = Model::default();
        model.add(Status { tenants: vec![row], ..Status::default() });
        model
    }

    /// What the last of these keys comes to.
    fn after(model: &mut Model, keys: &str) -> Outcome {
        let press = |key| pressed(model, KeyEvent::new(key, KeyModifiers::NONE));
        let code = |c| if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) };
        keys.chars().map(code).map(press).last().unwrap()
    }

    fn asks(request: Request) -> Outcome {
        Outcome::Ask(Box::new(request))
    }

    #[test]
    fn nothing_is_done_without_a_yes() {
        let target = || Target::Tenant(3);
        for (paused, key, request) in [
            (false, "p", Request::Pause { target: target() }),
            (true, "p", Request::Resume { target: target() }),
            (false, "e", Request::Evict { target: target() }),
        ] {
            let mut model = model(paused);
            for no in ["n", "\n", "q", "Y"] {
                assert_eq!(after(&mut model, key), Outcome::Continue);
                assert!(matches!(model.overlay, Overlay::Confirm(_)));
                assert_eq!(after(&mut model, no), Outcome::Continue, "{no:?}");
                assert_eq!(model.overlay, Overlay::None);
            }
            after(&mut model, key);
            assert_eq!(after(&mut model, "y"), asks(request));
            assert_eq!(model.overlay, Overlay::None);
        }
    }

    #[test]
    fn a_value_is_written_understood_and_confirmed() {
        for (keys, change) in [
            ("l8GiB\ny", TenantChange::Limit(Some(8 << 30))),
            ("ldefault\ny", TenantChange::Limit(None)),
            ("w12\ny", TenantChange::Weight(Some(12))),
            ("wdefault\ny", TenantChange::Weight(None)),
            ("nhigh\ny", TenantChange::Priority(Some("high".into()))),
            ("ndefault\ny", TenantChange::Priority(None)),
            ("t30 %\ny", TenantChange::TimeShare(Some(30))),
            ("tdefault\ny", TenantChange::TimeShare(None)),
        ] {
            let target = Target::Tenant(3);
            assert_eq!(
                after(&mut model(false), keys),
                asks(Request::SetTenant { target, change }),
                "{keys:?}"
            );
        }
    }

    #[test]
    fn a_value_that_is_not_understood_is_told_what_it_may_be() {
        for keys in ["lmuch\n", "l\n", "w1.5\n", "nhighest\n", "thalf\n"] {
            let mut model = model(false);
            after(&mut model, keys);
            let Overlay::Entry(entry) = &model.overlay else { panic!("{keys}") };
            assert!(entry.prompt().contains("this is not "), "{}", entry.prompt());
            assert!(entry.prompt().ends_with("or default"), "{}", entry.prompt());
        }
    }

    #[test]
    fn where_there_is_no_tenant_nothing_begins() {
        let mut model = Model::default();
        assert_eq!(after(&mut model, "pewlnt"), Outcome::Continue);
        assert_eq!(model.overlay, Overlay::None);
    }
}
