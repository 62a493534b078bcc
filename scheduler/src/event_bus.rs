//! Publishes what happens to the operators that subscribe (`nvsharectl events`), and remembers the latest of it.
use crate::clock::Clock;
use nvshare_protocol::control::{AuditEvent, EVENT_KINDS, EventQuery};
use nvshare_protocol::job_rules::is_job;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast;

/// How many events a subscriber may be behind. It misses older ones, and is told how many.
const CAPACITY: usize = 1024;
/// How many events of turns are remembered, and how many others: turns, of which a tenant can make many, do not push out
/// who came, left and was refused.
const TURNS: usize = 3072;
const OTHERS: usize = 1024;
/// What the remembered events may take in all, bytes.
const MEMORY: usize = 8 << 20;
/// The longest text of an event, bytes.
const TEXT: usize = 2048;

/// What happens in every turn.
const OF_TURNS: [&str; 13] = [
    "device",
    "requested",
    "granted",
    "bring-in",
    "ready",
    "idle",
    "revoked",
    "drain-cancelled",
    "released",
    "move-out",
    "moved-out",
    "memory-refused",
    "report",
];

/// Where events are published. It waits for nobody.
#[derive(Debug)]
pub struct EventBus {
    clock: Clock,
    past: Mutex<Past>,
    subscribers: broadcast::Sender<Arc<AuditEvent>>,
}

/// One event, when it was, and how many there were before it.
type Entry = (u64, SystemTime, Arc<AuditEvent>);

#[derive(Debug, Default)]
struct Past {
    published: u64,
    turns: VecDeque<Entry>,
    others: VecDeque<Entry>,
    bytes: usize,
}

impl Past {
    fn add(&mut self, at: SystemTime, event: &Arc<AuditEvent>) {
        let (ring, most) = match OF_TURNS.contains(&&event.kind[..]) {
            true => (&mut self.turns, TURNS),
            false => (&mut self.others, OTHERS),
        };
        ring.push_back((self.published, at, Arc::clone(event)));
        let surplus = if ring.len() > most { ring.pop_front() } else { None };
        self.published += 1;
        self.bytes = self.bytes + size(event) - surplus.map_or(0, |(_, _, event)| size(&event));
        while self.bytes > MEMORY {
            let turns_first = self.turns.len() * OTHERS >= self.others.len() * TURNS;
            let ring = if turns_first { &mut self.turns } else { &mut self.others };
            let Some((_, _, event)) = ring.pop_front() else { return };
            self.bytes -= size(&event);
        }
    }

    fn since(&self, since: SystemTime) -> Vec<Arc<AuditEvent>> {
        let all = self.turns.iter().chain(&self.others);
        let mut chosen: Vec<&Entry> = all.filter(|(_, at, _)| *at >= since).collect();
        chosen.sort_by_key(|(number, ..)| *number);
        chosen.into_iter().map(|(_, _, event)| Arc::clone(event)).collect()
    }
}

/// About what it takes in memory.
fn size(event: &AuditEvent) -> usize {
    let texts = [&event.session, &event.by, &event.program, &event.container, &event.gang, &event.text];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    let devices: usize = event.devices.iter().map(|device| device.len() + size_of::<String>()).sum();
    size_of::<AuditEvent>() + size_of::<Entry>() + event.kind.len() + event.time.len() + texts + devices
}

impl EventBus {
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, past: Mutex::default(), subscribers: broadcast::Sender::new(CAPACITY) }
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes an event, with its time.
    pub fn publish(&self, event: AuditEvent) {
        debug_assert!(EVENT_KINDS.contains(&&event.kind[..]), "{:?} is in the list of kinds", event.kind);
        let mut event = event;
        let at = Clock::time_of_day();
        event.seconds = self.clock.now().as_secs_f64();
        event.time = humantime::format_rfc3339_millis(at).to_string();
        if let Some(text) = event.text.as_mut().filter(|text| text.len() > TEXT) {
            text.truncate(text.floor_char_boundary(TEXT));
        }
        let event = Arc::new(event);
        let mut past = self.past();
        past.add(at, &event);
        // There may be no subscriber.
        let _ = self.subscribers.send(event);
    }

    /// The events from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<AuditEvent>> {
        self.subscribers.subscribe()
    }

    /// What is remembered of the events since `seconds` after 1970, and those from now on: none is missing between, none
    /// comes twice.
    #[must_use]
    pub fn subscribe_since(
        &self,
        seconds: Option<f64>,
    ) -> (Vec<Arc<AuditEvent>>, broadcast::Receiver<Arc<AuditEvent>>) {
        let past = self.past();
        let since = seconds.map(|seconds| {
            let since = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
            UNIX_EPOCH.checked_add(since)
        });
        let remembered = since.flatten().map_or_else(Vec::new, |since| past.since(since));
        (remembered, self.subscribe())
    }
}

/// Whether an operator wants to see the event.
#[must_use]
pub fn is_wanted(event: &AuditEvent, query: &EventQuery) -> bool {
    let EventQuery { tenant, container, gpu, kind, .. } = query;
    let is_tenant = |wanted: &String| {
        event.session.as_ref() == Some(wanted) || event.tenant.is_some_and(|id| id.to_string() == *wanted)
    };
    let is_container = |wanted: &String| {
        let is =
            |shown: &str| shown == wanted || shown.len() >= 12 && !is_job(shown) && wanted.starts_with(shown);
        event.container.as_deref().is_some_and(is)
    };
    let is_gpu = |wanted: &String| {
        let begins =
            |uuid: &String| uuid.get(..wanted.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(wanted));
        event.devices.iter().any(begins)
    };
    event.kind == "missed"
        || tenant.as_ref().is_none_or(is_tenant)
            && container.as_ref().is_none_or(is_container)
            && gpu.as_ref().is_none_or(is_gpu)
            && kind.as_ref().is_none_or(|kind| event.kind == *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, text: &str) -> AuditEvent {
        AuditEvent { kind: kind.into(), text: Some(text.into()), ..AuditEvent::default() }
    }

    fn kinds(events: &[Arc<AuditEvent>]) -> Vec<&str> {
        events.iter().map(|event| &event.kind[..]).collect()
    }

    #[tokio::test]
    async fn turns_do_not_push_out_who_came() {
        let bus = EventBus::new(Clock::start());
        bus.publish(event("joined", ""));
        (0..TURNS + 9).for_each(|_| bus.publish(event("requested", "")));
        bus.publish(event("left", ""));
        let (past, _) = bus.subscribe_since(Some(0.0));
        assert_eq!(past.len(), TURNS + 2);
        assert_eq!((kinds(&past)[0], kinds(&past)[TURNS + 1]), ("joined", "left"), "in their order");
        let later = past[0].time.clone();
        let seconds = humantime::parse_rfc3339(&later).unwrap().duration_since(UNIX_EPOCH).unwrap();
        assert!(bus.subscribe_since(Some(seconds.as_secs_f64() + 3600.0)).0.is_empty());
        assert!(bus.subscribe_since(Some(f64::INFINITY)).0.is_empty());
        assert!(bus.subscribe_since(None).0.is_empty(), "no past was asked for");
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let bus = EventBus::new(Clock::start());
        let long = "x".repeat(3 * TEXT);
        for kind in ["report", "left"] {
            (0..10_000).for_each(|_| bus.publish(event(kind, &long)));
        }
        let past = bus.past();
        let sum: usize = past.turns.iter().chain(&past.others).map(|(_, _, event)| size(event)).sum();
        assert_eq!(past.bytes, sum);
        assert!(sum <= MEMORY, "{sum}");
        assert!(past.others.len() > OTHERS / 2 && past.turns.len() > TURNS / 2);
    }

    /// Every text that an event can hold is a tenant's, or could be.
    #[test]
    fn every_text_of_an_event_counts() {
        let text = || Some("x".repeat(100));
        let full = AuditEvent {
            session: text(),
            by: text(),
            program: text(),
            container: text(),
            gang: text(),
            text: text(),
            ..AuditEvent::default()
        };
        assert_eq!(size(&full), size(&AuditEvent::default()) + 600);
    }

    #[test]
    fn an_event_is_chosen_by_all_that_was_asked_for() {
        let event = AuditEvent {
            kind: "ready".into(),
            tenant: Some(3),
            session: Some("4711-0badcafe".into()),
            container: Some("4f1d3c0b5a69".into()),
            devices: vec!["GPU-30313233-3435".into()],
            ..AuditEvent::default()
        };
        let wanted = |tenant: &str, container: &str, gpu: &str, kind: &str| {
            let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let (tenant, container, gpu, kind) = (text(tenant), text(container), text(gpu), text(kind));
            is_wanted(&event, &EventQuery { tenant, container, gpu, kind, ..EventQuery::default() })
        };
        assert!(wanted("", "", "", "") && wanted("3", "4f1d3c0b5a69", "gpu-3031", "ready"));
        assert!(wanted("4711-0badcafe", "4f1d3c0b5a69ffff", "", ""));
        for (tenant, container, gpu, kind) in
            [("4", "", "", ""), ("", "4f1d", "", ""), ("", "", "GPU-4", ""), ("3", "", "", "idle")]
        {
            assert!(!wanted(tenant, container, gpu, kind), "{tenant} {container} {gpu} {kind}");
        }
    }
}
