//! `nvsharectl top`: GPUs and tenants, drawn anew every second.
//!
//! One thread reads keys, one asks the scheduler, and one draws, so that keys work while the scheduler does not answer.
mod model;
mod view;

use super::client::{Client, Failed};
use model::{Model, Sort};
use nvshare_protocol::control::Status;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

const REFRESH: Duration = Duration::from_secs(1);

/// What causes a new picture.
enum News {
    Status(Box<Result<Status, Failed>>),
    Terminal(Event),
    /// No more keys will come.
    NoTerminal(std::io::Error),
}

/// Draws until a key ends it.
pub fn run(socket: &Path) -> Result<(), Failed> {
    // The first answer decides whether there is anything to draw.
    let status = Client::connect(socket)?.status()?;
    if !std::io::stdout().is_terminal() {
        return Err(Failed::Output(
            "top draws on a terminal; `nvsharectl status` prints the same once".into(),
        ));
    }
    let mut model = Model::default();
    model.add(status);
    let (send, news) = channel();
    let (_stop, stopped) = channel::<()>();
    let threads =
        [spawn("status", status_reader(socket.to_owned(), send.clone(), stopped)), spawn("keys", keys(send))];
    threads.into_iter().collect::<Result<(), _>>().map_err(|error| failed(&error))?;
    let terminal = ratatui::try_init().map_err(|error| failed(&error))?;
    let ended = draw(terminal, &mut model, &news);
    ratatui::restore();
    ended.map_err(|error| failed(&error))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

fn failed(error: &std::io::Error) -> Failed {
    Failed::Output(format!("the terminal cannot be used: {error}"))
}

fn draw(
    mut terminal: ratatui::DefaultTerminal,
    model: &mut Model,
    news: &Receiver<News>,
) -> std::io::Result<()> {
    loop {
        terminal.draw(|frame| view::draw(frame, model))?;
        match news.recv() {
            Ok(News::Status(answer)) => match *answer {
                Ok(status) => model.add(status),
                Err(failed) => model.fault = Some(failed.to_string()),
            },
            Ok(News::Terminal(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                if !pressed(model, key) {
                    return Ok(());
                }
            }
            // A new size, for instance.
            Ok(News::Terminal(_)) => {}
            Ok(News::NoTerminal(error)) => return Err(error),
            Err(_) => return Ok(()),
        }
    }
}

/// Whether to go on.
fn pressed(model: &mut Model, key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return false,
        KeyCode::Char('c') if control => return false,
        KeyCode::Right => model.sort = model.sort.next(),
        KeyCode::Left => model.sort = model.sort.previous(),
        KeyCode::Char('r') => model.reversed = !model.reversed,
        KeyCode::Down => model.scroll(1),
        KeyCode::Up => model.scroll(-1),
        KeyCode::PageDown => model.scroll(10),
        KeyCode::PageUp => model.scroll(-10),
        KeyCode::Home => model.sort = Sort::default(),
        _ => {}
    }
    true
}

/// Asks every second, over the same connection as long as it works.
fn status_reader(socket: PathBuf, send: Sender<News>, stopped: Receiver<()>) -> impl FnOnce() + Send {
    move || {
        let mut client = None;
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(REFRESH) {
            let answer = match client.take() {
                Some(client) => Ok(client),
                None => Client::connect(&socket),
            };
            let answer = answer.and_then(|mut connected: Client| {
                let status = connected.status()?;
                client = Some(connected);
                Ok(status)
            });
            if send.send(News::Status(Box::new(answer))).is_err() {
                return;
            }
        }
    }
}

fn keys(send: Sender<News>) -> impl FnOnce() + Send {
    move || {
        loop {
            let news = event::read().map_or_else(News::NoTerminal, News::Terminal);
            let ended = matches!(news, News::NoTerminal(_));
            if send.send(news).is_err() || ended {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_scroll_and_end() {
        let mut model = Model::default();
        let mut press = |code, modifiers| {
            let goes_on = pressed(&mut model, KeyEvent::new(code, modifiers));
            (goes_on, model.sort, model.reversed)
        };
        let none = KeyModifiers::NONE;
        assert_eq!(press(KeyCode::Right, none), (true, Sort::Container, false));
        assert_eq!(press(KeyCode::Left, none), (true, Sort::Tenant, false));
        assert_eq!(press(KeyCode::Left, none), (true, Sort::Resident, false));
        assert_eq!(press(KeyCode::Char('r'), none), (true, Sort::Resident, true));
        assert_eq!(press(KeyCode::Home, none), (true, Sort::Tenant, true));
        assert!(press(KeyCode::Char('c'), none).0);
        for (code, modifiers) in
            [(KeyCode::Char('q'), none), (KeyCode::Esc, none), (KeyCode::Char('c'), KeyModifiers::CONTROL)]
        {
            assert!(!press(code, modifiers).0, "{code:?}");
        }
    }
}
