//! Answers operators and other users.
use super::metering;
use super::operators::{Command, understand};
use super::reactor::Daemon;
use super::{reload, tenant_rules};
use crate::operator_api::{OperatorQuery, Viewer};
use nvshare_core::event::Event;
use nvshare_protocol::control::{Reply, Request};

/// Answers a query, now or when what it asks for is read.
pub fn answer(daemon: &mut Daemon, query: OperatorQuery) {
    let OperatorQuery { request, viewer, reply } = query;
    match request {
        Request::Report(asked) if viewer.may(&Request::Report(asked)) => {
            metering::on_report(daemon, asked, viewer.sees_only(), reply);
        }
        // An operator who has gone needs no answer.
        request => drop(reply.send(reply_to(daemon, &request, &viewer))),
    }
}

fn reply_to(daemon: &mut Daemon, request: &Request, viewer: &Viewer) -> Reply {
    if !viewer.may(request) {
        return Reply::Error { message: "only operators may do this, through control.sock".into() };
    }
    let changed = match understand(request, &daemon.core) {
        Ok(Command::Status) => return Reply::Status(daemon.status(viewer.sees_only()).0),
        Ok(Command::Trace) => {
            // The core's picture of now, and not of its last event.
            daemon.apply(Event::Tick);
            return Reply::Trace(daemon.report().trace());
        }
        Ok(Command::Change { event, message }) => {
            daemon.apply(event);
            Ok(message)
        }
        Ok(Command::Set { target, change }) => tenant_rules::set(daemon, &target, &change),
        Ok(Command::Pause { target, paused }) => tenant_rules::pause(daemon, &target, paused),
        Ok(Command::MoveOut { target }) => tenant_rules::move_out(daemon, &target),
        Ok(Command::Reload) => return reload(daemon, &viewer.name),
        Err(message) => Err(message),
    };
    done(daemon, changed, &viewer.name)
}

/// Reads the settings again, and tells the log what came of it. `by`: who wants it.
pub fn reload(daemon: &mut Daemon, by: &str) -> Reply {
    let done_so = reload::reload(daemon);
    if let Err(why) = &done_so {
        daemon.audit.log().warn(why);
    }
    done(daemon, done_so, by)
}

/// What an operator is answered; what has changed is in the log.
fn done(daemon: &Daemon, done: Result<String, String>, by: &str) -> Reply {
    match done {
        Ok(message) => {
            daemon.audit.setting_changed(&message, by);
            Reply::Done { message }
        }
        Err(message) => Reply::Error { message },
    }
}
