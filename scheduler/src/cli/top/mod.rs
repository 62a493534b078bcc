//! `nvsharectl top`: GPUs and tenants, drawn anew with every picture.
//!
//! One thread reads keys, one asks the scheduler, and one draws, so that keys work while the scheduler does not answer.
mod actions;
mod column;
mod details;
mod gpu_table;
mod graph;
mod history;
mod keys;
mod model;
mod tenant_table;
mod view;

#[cfg(test)]
mod tests;

use super::client::{Client, Failed};
use super::naming::Naming;
use keys::{Outcome, pressed};
use model::Model;
use nvshare_protocol::control::{Reply, Request, Status};
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long the first answer may take before the screen comes without it.
const FIRST: Duration = Duration::from_millis(500);
/// How often the age of an old picture is drawn anew.
const AGEING: Duration = Duration::from_secs(1);

/// What causes a new picture.
enum News {
    Status(Box<Result<Status, Failed>>),
    Terminal(Event),
    /// To an action.
    Answer(Box<Result<Reply, Failed>>),
    /// No more keys will come.
    NoTerminal(std::io::Error),
}

/// Draws until a key ends it. What is drawn is asked for at the first of the sockets that lets us, what is to be done at
/// `control`.
pub fn run(control: &Path, sockets: Vec<PathBuf>, interval: Duration) -> Result<(), Failed> {
    if !std::io::stdout().is_terminal() {
        return Err(Failed::Output(
            "top draws on a terminal; `nvsharectl status` prints the same once".into(),
        ));
    }
    let mut model = Model::new(interval);
    let (send, news) = channel();
    let (pace, paces) = channel();
    let reader = Reader { sockets, client: None, names: Naming::default(), interval };
    spawn("status", status_reader(reader, send.clone(), paces)).map_err(|error| failed(&error))?;
    // An error that comes at once is told without a screen. A scheduler that hangs is told of on one, where keys work.
    if let Ok(News::Status(answer)) = news.recv_timeout(FIRST) {
        model.add((*answer)?);
    }
    spawn("keys", keys_reader(send.clone())).map_err(|error| failed(&error))?;
    let terminal = ratatui::try_init().map_err(|error| failed(&error))?;
    let ends = Ends { news, pace, send, control: control.to_owned() };
    let ended = draw(terminal, &mut model, &ends);
    ratatui::restore();
    ended.map_err(|error| failed(&error))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

fn failed(error: &std::io::Error) -> Failed {
    Failed::Output(format!("the terminal cannot be used: {error}"))
}

/// What the thread that draws has of the others.
struct Ends {
    news: Receiver<News>,
    pace: Sender<Duration>,
    send: Sender<News>,
    control: PathBuf,
}

impl Ends {
    /// Has a thread ask the scheduler to do it: the answer may take long, and comes as news.
    fn act(&self, request: Request) -> std::io::Result<()> {
        let (control, send) = (self.control.clone(), self.send.clone());
        spawn("action", move || {
            let answer = Client::connect(&control).and_then(|mut client| client.ask(&request));
            // Nobody reads it any more where it is quit meanwhile.
            let _ = send.send(News::Answer(Box::new(answer)));
        })
    }
}

fn draw(mut terminal: ratatui::DefaultTerminal, model: &mut Model, ends: &Ends) -> std::io::Result<()> {
    let mut came = Instant::now();
    loop {
        model.age = came.elapsed();
        terminal.draw(|frame| view::draw(frame, model))?;
        match ends.news.recv_timeout(until_older(model)) {
            Ok(News::Status(answer)) => match *answer {
                Ok(status) => {
                    if !model.paused {
                        came = Instant::now();
                    }
                    model.add(status);
                }
                Err(failed) => model.fault = Some(failed.to_string()),
            },
            Ok(News::Terminal(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                match pressed(model, key) {
                    Outcome::Continue => {}
                    Outcome::Quit => return Ok(()),
                    Outcome::Pace(interval) => {
                        // The reader lives as long as this does.
                        let _ = ends.pace.send(interval);
                    }
                    Outcome::Ask(request) => ends.act(*request)?,
                }
            }
            Ok(News::Answer(answer)) => {
                model.answer = Some(match *answer {
                    Ok(Reply::Done { message }) => (message, true),
                    Ok(_) => ("it answers something else than was asked".into(), false),
                    Err(failed) => (failed.to_string(), false),
                });
                // What has changed can be seen at once.
                let _ = ends.pace.send(model.interval);
            }
            // A new size, for instance; or the picture has become older.
            Ok(News::Terminal(_)) | Err(RecvTimeoutError::Timeout) => {}
            Ok(News::NoTerminal(error)) => return Err(error),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// When the age of the picture has to be drawn, if nothing happens.
fn until_older(model: &Model) -> Duration {
    if model.paused || model.is_stale() || model.fault.is_some() {
        return AGEING;
    }
    // A little later than the age at which it counts as old.
    (model.interval * 2).saturating_sub(model.age) + Duration::from_millis(1)
}

/// What asks the scheduler.
struct Reader {
    sockets: Vec<PathBuf>,
    client: Option<Client>,
    /// Asked by this thread, and not while drawing.
    names: Naming,
    interval: Duration,
}

impl Reader {
    /// Over the same connection as long as it works.
    fn ask(&mut self) -> Result<Status, Failed> {
        let mut client = self.client.take().map_or_else(|| Client::connect_to_see(&self.sockets), Ok)?;
        let status = self.names.of(client.status()?);
        self.client = Some(client);
        Ok(status)
    }
}

fn status_reader(mut reader: Reader, send: Sender<News>, paces: Receiver<Duration>) -> impl FnOnce() + Send {
    move || {
        while send.send(News::Status(Box::new(reader.ask()))).is_ok() {
            match paces.recv_timeout(reader.interval) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(interval) => reader.interval = interval,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

fn keys_reader(send: Sender<News>) -> impl FnOnce() + Send {
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
