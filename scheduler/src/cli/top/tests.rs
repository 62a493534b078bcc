//! Whole pictures.
use super::column::Column;
use super::keys::pressed;
use super::model::{Focus, Model, Overlay};
use super::view;
use nvshare_protocol::control::{DeviceStatus, QuantumSetting, SCHEMA, Status, TenantMoves, TenantStatus};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Modifier;
use std::time::Duration;

fn gpu(n: u32, at: f64) -> DeviceStatus {
    let part = f64::from(n + 1) / 8.0;
    let wave = (at / 10.0 + part).sin().abs();
    DeviceStatus {
        uuid: format!("GPU-{n}0313233-3435-3637-3839-616263646566"),
        index: Some(n),
        bus_id: format!("00000000:{n}9:00.0"),
        name: "NVIDIA H200".into(),
        capacity_bytes: 140 << 30,
        capacity_from: "nvml".into(),
        allocated_bytes: ((u64::from(n) + 1) * 24) << 30,
        resident_bytes: ((120.0 * wave) as u64) << 30,
        outside_bytes: 2 << 30,
        used_bytes: Some(((122.0 * wave) as u64) << 30),
        utilization_percent: Some((100.0 * wave) as u32),
        holders: if n == 7 { vec![] } else { vec![u64::from(n) + 1] },
        waiting: if n == 0 { vec![8, 9, 10] } else { vec![] },
        handovers: 1200 + (at * part / 4.0) as u64,
        held_seconds: at * part,
        quantum_seconds: 8.4,
        quantum_setting: (n == 3).then_some(QuantumSetting::Seconds(8.4)),
        fetch_cost_seconds: 0.26,
        release_cost_seconds: 0.16,
        fetch_bytes_per_second: 50_000_000_000,
    }
}

fn tenant(id: u64, at: f64) -> TenantStatus {
    let waits = id > 7;
    let user_uid = 1000 + id as u32 % 3;
    TenantStatus {
        id,
        pid: 4700 + id as u32,
        uid: user_uid,
        user_uid,
        user: (user_uid != 1002).then(|| ["anna", "bob"][(user_uid - 1000) as usize].into()),
        program: match id {
            3 => "odd\u{1b}[31m".into(),
            5 => "a-program-with-a-long-name".into(),
            _ => "python3".into(),
        },
        container: (id.is_multiple_of(2)).then(|| format!("4f1d3c0b5a{id:02}")),
        container_name: (id == 4).then(|| "jupyter-anna".into()),
        state: match id {
            5 => "unresponsive",
            _ if waits => "waiting",
            _ => "running",
        }
        .into(),
        devices: (id - 1..id).map(|n| gpu(if waits { 0 } else { n as u32 }, at).uuid).collect(),
        allocated_bytes: (id * 24) << 30,
        resident_bytes: if waits { 0 } else { (id * 16) << 30 },
        moved_out_bytes: if waits { (id * 24) << 30 } else { (id * 8) << 30 },
        held_seconds: if waits { 10.0 } else { at / id as f64 },
        waited_seconds: if waits { at - 10.0 } else { 0.0 },
        grants: id,
        weight: 1,
        priority: "normal".into(),
        limit_bytes: (id == 2).then_some(64 << 30),
        swap_bytes: 280 << 30,
        library: "0.1.0".into(),
        engine: "auto".into(),
        engine_in_use: if id == 4 { "managed".into() } else { "swap".into() },
        reports: if id == 5 { vec!["37 launches met no gate".into()] } else { vec![] },
        ..TenantStatus::default()
    }
}

fn status(at: f64, gpus: u32, tenants: u64) -> Status {
    Status {
        schema: SCHEMA,
        version: "0.1.0".into(),
        enabled: true,
        quantum_seconds: 8.4,
        quantum_auto: true,
        evict: "pressure".into(),
        uptime_seconds: at,
        devices: (0..gpus).map(|n| gpu(n, at)).collect(),
        tenants: (1..=tenants).map(|id| tenant(id, at)).collect(),
    }
}

/// After 40 pictures.
fn model(gpus: u32, tenants: u64) -> Model {
    let mut model = Model::new(Duration::from_secs(1));
    (100..140).for_each(|at| model.add(status(f64::from(at), gpus, tenants)));
    model
}

fn picture(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, model)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn processes_of_a_job_stand_together_and_name_each_other() {
    let mut status = status(100.0, 2, 6);
    for row in &mut status.tenants {
        row.gang = [2, 5].contains(&row.id).then(|| "torch:127.0.0.1:29500@4711".into());
        row.gang_size = row.gang.is_some().then_some(4);
        (row.uid, row.container) = (1000, None);
    }
    let mut model = Model::new(Duration::from_secs(1));
    assert!(!picture(&model, 200, 30).contains("GANG"));
    model.add(status);
    let ids = |model: &Model| model.tenants().iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(&model), [1, 2, 3, 4, 5, 6]);
    model.sort_by(Column::Gang);
    assert_eq!(ids(&model), [2, 5, 1, 3, 4, 6]);
    let drawn = picture(&model, 200, 30);
    assert!(drawn.contains("GANG") && drawn.matches("…ch:127.0.0.1:29500@4711").count() == 2, "{drawn}");
    model.scroll(-9);
    model.overlay = Overlay::Details;
    let drawn = picture(&model, 120, 40);
    assert!(drawn.contains("torch:127.0.0.1:29500@4711: 2 of 4 here, tenants 2, 5"), "{drawn}");
    (model.overlay, model.filter) = (Overlay::None, "29500".into());
    assert_eq!(ids(&model), [2, 5]);
}

#[test]
fn eight_gpus_and_ten_tenants_on_80_by_24() {
    insta::assert_snapshot!(picture(&model(8, 10), 80, 24));
}

#[test]
fn eight_gpus_and_ten_tenants_on_120_by_32() {
    let mut model = model(8, 10);
    model.sort_by(Column::Held);
    insta::assert_snapshot!(picture(&model, 120, 32));
}

#[test]
fn eight_gpus_and_forty_tenants_on_220_by_50() {
    let mut model = model(8, 40);
    model.sort_by(Column::Waited);
    (model.filter, model.reversed) = ("swap".into(), true);
    insta::assert_snapshot!(picture(&model, 220, 50));
}

#[test]
fn both_tables_follow_their_cursors() {
    let mut model = model(16, 40);
    model.scroll(20);
    model.focus = Focus::Gpus;
    model.scroll(12);
    insta::assert_snapshot!(picture(&model, 80, 20));
}

#[test]
fn the_details_of_a_tenant_and_of_a_gpu() {
    let mut model = model(8, 10);
    model.scroll(4);
    model.overlay = Overlay::Details;
    insta::assert_snapshot!(picture(&model, 80, 24));
    model.focus = Focus::Gpus;
    model.scroll(3);
    insta::assert_snapshot!(picture(&model, 80, 24));
}

#[test]
fn the_details_of_a_tenant_whose_library_tells_what_was_copied() {
    let mut model = model(2, 2);
    let moves = TenantMoves {
        copied_out_bytes: 8 << 30,
        copied_in_bytes: 16 << 30,
        unchanged_bytes: 24 << 30,
        zero_out_bytes: 56 << 30,
        zero_in_bytes: 112 << 30,
        away_content_bytes: 1 << 30,
        clean_bytes: 7 << 30,
    };
    model.status.tenants.iter_mut().for_each(|row| row.moves = Some(moves.clone()));
    model.overlay = Overlay::Details;
    let shown = picture(&model, 100, 40);
    for line in [
        "went out    8.0 GiB copied, 24.0 GiB unchanged, 56.0 GiB zero",
        "came back   16.0 GiB copied, 112.0 GiB zero",
        "next time   1.0 GiB to copy in, 7.0 GiB need no copy out",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
}

#[test]
fn the_keys() {
    let mut model = model(2, 3);
    model.overlay = Overlay::Help;
    insta::assert_snapshot!(picture(&model, 80, 24));
}

#[test]
fn an_action_is_asked_about_and_its_answer_is_shown() {
    let mut model = model(2, 10);
    model.scroll(4);
    let press = |model: &mut Model, key| pressed(model, KeyEvent::new(key, KeyModifiers::NONE));
    press(&mut model, KeyCode::Char('e'));
    insta::assert_snapshot!(picture(&model, 80, 20));
    press(&mut model, KeyCode::Esc);
    press(&mut model, KeyCode::Char('l'));
    press(&mut model, KeyCode::Char('x'));
    press(&mut model, KeyCode::Enter);
    let foot =
        |model: &Model| picture(model, 120, 20).lines().last().unwrap().trim_matches('"').trim().to_owned();
    let who = "tenant 5 (a-program-with-a-long-name, pid 4705)";
    let wrong = "this is not a size such as 8GiB, or default";
    assert_eq!(foot(&model), format!("limit of {who}: x▏  {wrong}"));
    press(&mut model, KeyCode::Esc);
    model.answer = Some(("tenant 5: there\u{1b}is no such tenant".into(), false));
    assert_eq!(foot(&model), "tenant 5: there?is no such tenant");
    press(&mut model, KeyCode::Down);
    assert!(foot(&model).starts_with("? keys"), "{}", foot(&model));
}

#[test]
fn nobody_and_nothing_is_said_and_so_is_a_fault() {
    let mut model = Model::default();
    model.add(Status::default());
    model.fault = Some("no scheduler at /run/nvshare/control.sock".into());
    model.age = Duration::from_secs(75);
    insta::assert_snapshot!(picture(&model, 70, 9));
}

fn head(model: &Model) -> String {
    picture(model, 80, 24).lines().next().unwrap().to_owned()
}

#[test]
fn an_old_picture_says_so_after_two_intervals() {
    let mut model = model(1, 1);
    model.age = Duration::from_secs(2);
    assert!(head(&model).contains("every 1 s"), "{}", head(&model));
    model.age = Duration::from_millis(2_001);
    assert!(head(&model).contains("the scheduler does not answer"), "{}", head(&model));
    assert!(head(&model).contains("picture 2.0 s old"), "{}", head(&model));
    model.interval = Duration::from_secs(5);
    assert!(head(&model).contains("every 5 s"), "{}", head(&model));
    (model.paused, model.age) = (true, Duration::from_secs(61));
    assert!(head(&model).contains("HELD for 1 min 1 s"), "{}", head(&model));
}

#[test]
fn the_cursor_can_be_seen_in_its_table() {
    let mut model = model(2, 3);
    model.scroll(1);
    let seen = |model: &Model| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| view::draw(frame, model)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..80).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        let is_cursor = |y: &u16| buffer[(0, *y)].modifier.contains(Modifier::REVERSED | Modifier::BOLD);
        (0..24).filter(is_cursor).map(line).map(|line| line[..7].trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(seen(&model), ["2"]);
    model.focus = Focus::Gpus;
    assert_eq!(seen(&model), ["0 GPU"]);
}

#[test]
fn no_size_of_the_terminal_is_too_small() {
    let mut model = model(8, 10);
    for overlay in [Overlay::None, Overlay::Help, Overlay::Details, Overlay::Filter] {
        model.overlay = overlay;
        for (width, height) in [(1, 1), (3, 2), (20, 5), (79, 7), (80, 200), (500, 3)] {
            for graphs in [None, Some(true), Some(false)] {
                model.graphs = graphs;
                picture(&model, width, height);
            }
        }
    }
}
