//! What keys do.
use super::actions;
use super::model::{Focus, Model, Overlay};
use nvshare_protocol::control::Request;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::time::Duration;

/// What a key comes to beside a change of the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Continue,
    Quit,
    /// Pictures come so often from now on.
    Pace(Duration),
    /// The scheduler is to do this.
    Ask(Box<Request>),
}

/// The intervals between which `+` and `-` choose.
const INTERVALS: [f64; 9] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// The keys and what they do, for people.
pub const HELP: &[(&str, &str)] = &[
    ("↑ ↓ PgUp PgDn Home End", "move the cursor (also k j)"),
    ("Tab", "to the GPUs, to the tenants"),
    ("Enter", "everything about the line"),
    ("← →", "sort by another column (also < >)"),
    ("r", "reverse the order"),
    ("/", "show tenants with these words only"),
    ("g", "graphs of the GPU in the GPUs' table"),
    ("p", "pause or resume the tenant"),
    ("e", "move its memory out of the GPU"),
    ("l w n t", "set its limit, weight, priority, time share"),
    ("Space", "hold the picture"),
    ("+ -", "pictures more often, less often"),
    ("Esc", "close this, or end the filter"),
    ("q", "quit"),
];

pub fn pressed(model: &mut Model, key: KeyEvent) -> Outcome {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return if key.code == KeyCode::Char('c') { Outcome::Quit } else { Outcome::Continue };
    }
    model.answer = None;
    match model.overlay {
        Overlay::Filter => filter(model, key.code),
        Overlay::Help | Overlay::Details => over(model, key.code),
        Overlay::None => tables(model, key.code),
        Overlay::Entry(_) => {
            actions::write(model, key.code);
            Outcome::Continue
        }
        Overlay::Confirm(_) => {
            let request = actions::answer(model, key.code);
            request.map_or(Outcome::Continue, |request| Outcome::Ask(Box::new(request)))
        }
    }
}

fn filter(model: &mut Model, key: KeyCode) -> Outcome {
    match key {
        KeyCode::Char(c) => model.filter.push(c),
        KeyCode::Backspace => drop(model.filter.pop()),
        KeyCode::Enter => model.overlay = Overlay::None,
        KeyCode::Esc => {
            model.filter.clear();
            model.overlay = Overlay::None;
        }
        KeyCode::Down => model.scroll(1),
        KeyCode::Up => model.scroll(-1),
        _ => {}
    }
    model.keep_cursor();
    Outcome::Continue
}

fn over(model: &mut Model, key: KeyCode) -> Outcome {
    match key {
        KeyCode::Char('q') | KeyCode::Esc | KeyCode::Enter | KeyCode::Char('?') | KeyCode::F(1) => {
            model.overlay = Overlay::None;
        }
        KeyCode::Down | KeyCode::Char('j') => model.scroll(1),
        KeyCode::Up | KeyCode::Char('k') => model.scroll(-1),
        _ => {}
    }
    Outcome::Continue
}

fn tables(model: &mut Model, key: KeyCode) -> Outcome {
    match key {
        KeyCode::Char('q') => return Outcome::Quit,
        KeyCode::Esc if model.filter.is_empty() => return Outcome::Quit,
        KeyCode::Esc => {
            model.filter.clear();
            model.keep_cursor();
        }
        KeyCode::Char('?') | KeyCode::F(1) => model.overlay = Overlay::Help,
        KeyCode::Char('/') => model.overlay = Overlay::Filter,
        KeyCode::Enter => model.overlay = Overlay::Details,
        KeyCode::Tab | KeyCode::BackTab => {
            model.focus = if model.focus == Focus::Gpus { Focus::Tenants } else { Focus::Gpus };
        }
        KeyCode::Right | KeyCode::Char('>') => model.sort_by(model.sort.next()),
        KeyCode::Left | KeyCode::Char('<') => model.sort_by(model.sort.previous()),
        KeyCode::Char('r') => {
            model.reversed = !model.reversed;
            model.keep_cursor();
        }
        KeyCode::Char('g') => model.graphs = Some(model.graphs != Some(true)),
        KeyCode::Char(' ') => model.paused = !model.paused,
        KeyCode::Char('+' | '=') => return pace(model, faster(model.interval)),
        KeyCode::Char('-') => return pace(model, slower(model.interval)),
        KeyCode::Down | KeyCode::Char('j') => model.scroll(1),
        KeyCode::Up | KeyCode::Char('k') => model.scroll(-1),
        KeyCode::PageDown => model.scroll(10),
        KeyCode::PageUp => model.scroll(-10),
        KeyCode::Char('p' | 'e' | 'l' | 'w' | 'n' | 't') => actions::begin(model, key),
        KeyCode::Home => model.scroll(isize::MIN),
        KeyCode::End => model.scroll(isize::MAX),
        _ => {}
    }
    Outcome::Continue
}

fn pace(model: &mut Model, to: Option<f64>) -> Outcome {
    let Some(to) = to.map(Duration::from_secs_f64) else { return Outcome::Continue };
    model.interval = to;
    Outcome::Pace(to)
}

fn faster(interval: Duration) -> Option<f64> {
    INTERVALS.into_iter().rev().find(|seconds| Duration::from_secs_f64(*seconds) < interval)
}

fn slower(interval: Duration) -> Option<f64> {
    INTERVALS.into_iter().find(|seconds| Duration::from_secs_f64(*seconds) > interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::column::Column;
    use nvshare_protocol::control::{DeviceStatus, Status, TenantStatus};

    fn model() -> Model {
        let tenants = (1..=30).map(|id| TenantStatus { id, ..TenantStatus::default() }).collect();
        let devices = vec![DeviceStatus::default(); 3];
        let mut model = Model::new(Duration::from_secs(1));
        model.add(Status { tenants, devices, ..Status::default() });
        model
    }

    fn press(model: &mut Model, code: KeyCode) -> Outcome {
        pressed(model, KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn write(model: &mut Model, text: &str) {
        text.chars().for_each(|c| assert_eq!(press(model, KeyCode::Char(c)), Outcome::Continue));
    }

    #[test]
    fn keys_sort_and_scroll() {
        let mut model = model();
        let mut after = |code| {
            assert_eq!(press(&mut model, code), Outcome::Continue);
            (model.sort, model.reversed, model.line(Focus::Tenants))
        };
        assert_eq!(after(KeyCode::Right), (Column::Pid, false, 0));
        assert_eq!(after(KeyCode::Char('<')), (Column::Tenant, false, 0));
        assert_eq!(after(KeyCode::Left), (Column::Waited, false, 0));
        assert_eq!(after(KeyCode::Char('r')), (Column::Waited, true, 29), "the cursor follows its tenant");
        assert_eq!(after(KeyCode::Home).2, 0);
        assert_eq!(after(KeyCode::PageDown).2, 10);
        assert_eq!(after(KeyCode::Char('j')).2, 11);
        assert_eq!(after(KeyCode::Up).2, 10);
        assert_eq!(after(KeyCode::End).2, 29);
    }

    #[test]
    fn the_cursor_goes_to_the_gpus_and_back() {
        let mut model = model();
        press(&mut model, KeyCode::Tab);
        press(&mut model, KeyCode::End);
        assert_eq!((model.line(Focus::Gpus), model.line(Focus::Tenants)), (2, 0));
        press(&mut model, KeyCode::Tab);
        press(&mut model, KeyCode::Down);
        assert_eq!((model.line(Focus::Gpus), model.line(Focus::Tenants)), (2, 1));
    }

    #[test]
    fn a_filter_is_written_kept_and_ended() {
        let mut model = model();
        write(&mut model, "/q 1");
        press(&mut model, KeyCode::Backspace);
        press(&mut model, KeyCode::Backspace);
        press(&mut model, KeyCode::Backspace);
        write(&mut model, "12");
        assert_eq!((&model.filter[..], model.tenants().len()), ("12", 1));
        press(&mut model, KeyCode::Enter);
        assert_eq!((&model.overlay, &model.filter[..]), (&Overlay::None, "12"));
        assert_eq!(press(&mut model, KeyCode::Esc), Outcome::Continue);
        assert_eq!((&model.filter[..], model.tenants().len()), ("", 30));
        write(&mut model, "/x");
        press(&mut model, KeyCode::Esc);
        assert_eq!((&model.overlay, &model.filter[..]), (&Overlay::None, ""));
    }

    #[test]
    fn help_and_details_are_opened_and_closed() {
        let mut model = model();
        for (open, overlay) in [(KeyCode::Char('?'), Overlay::Help), (KeyCode::Enter, Overlay::Details)] {
            for close in [KeyCode::Esc, KeyCode::Char('q'), KeyCode::Enter] {
                press(&mut model, open);
                assert_eq!(model.overlay, overlay);
                assert_eq!(press(&mut model, close), Outcome::Continue);
                assert_eq!(model.overlay, Overlay::None);
            }
        }
    }

    #[test]
    fn pictures_come_more_often_less_often_or_not() {
        let mut model = model();
        let pace = |seconds| Outcome::Pace(Duration::from_secs_f64(seconds));
        assert_eq!(press(&mut model, KeyCode::Char('+')), pace(0.5));
        assert_eq!(press(&mut model, KeyCode::Char('+')), pace(0.2));
        assert_eq!(press(&mut model, KeyCode::Char('+')), pace(0.1));
        assert_eq!(press(&mut model, KeyCode::Char('+')), Outcome::Continue);
        model.interval = Duration::from_secs(3);
        assert_eq!(press(&mut model, KeyCode::Char('-')), pace(5.0));
        press(&mut model, KeyCode::Char(' '));
        assert!(model.paused);
        press(&mut model, KeyCode::Char(' '));
        assert!(!model.paused);
    }

    #[test]
    fn it_is_left_by_any_of_three_keys() {
        for (code, modifiers) in [
            (KeyCode::Char('q'), KeyModifiers::NONE),
            (KeyCode::Esc, KeyModifiers::NONE),
            (KeyCode::Char('c'), KeyModifiers::CONTROL),
        ] {
            assert_eq!(pressed(&mut model(), KeyEvent::new(code, modifiers)), Outcome::Quit, "{code:?}");
        }
        let control_q = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::CONTROL);
        assert_eq!(pressed(&mut model(), control_q), Outcome::Continue);
    }
}
