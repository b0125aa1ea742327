use super::*;
use crate::call::board::{CounselorView, TrunkView};
use crate::complaint::{File, Value};
use crate::console::opening::facts::{Clock, Disk, Files, Heard, Unheard};
use crate::time::Timestamp;

const MS: Duration = Duration::from_millis(1);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(seconds, 0).unwrap()
}

fn trunk_is(state: TrunkState) -> TrunkView {
    TrunkView { trunk: "navi".into(), state, reason: None }
}

fn counselor_is(state: CounselorState) -> CounselorView {
    CounselorView {
        name: "A".to_owned(),
        lines: vec!["main".into()],
        ..CounselorView::of("101", state)
    }
}

/// Everything as it should be.
fn well() -> Facts {
    Facts {
        now: at(1_000_000),
        trunks: vec![trunk_is(TrunkState::Up)],
        counselors: vec![counselor_is(CounselorState::Ready)],
        files: Ok(Files { prompts: 41, warnings: vec![] }),
        disks: vec![Disk { key: "state_dir", room: Ok((5_000_000_000, 9_000_000_000)) }],
        disk_min: 1_000_000_000,
        clock: Clock { is_followed: Some(true), set_ms: 3, is_behind: false },
        certificate: None,
        certificate_min: Duration::from_secs(14 * 86_400),
        written: Ok(4 * MS),
        records: (0, 0),
        ports: Some((100, 100)),
        unready: vec![],
        faults: vec![],
        call: Ok(Heard {
            answered: 40 * MS,
            first_packet: Some(30 * MS),
            packets: 120,
            gap: 21 * MS,
            level: Some(-18.0),
            records: 1,
        }),
    }
}

fn found(id: Id, change: impl FnOnce(&mut Facts)) -> Check {
    let mut facts = well();
    change(&mut facts);
    let mut checks = judge(&facts);
    let at = checks.iter().position(|check| check.id == id).unwrap();
    let check = checks.remove(at);
    assert!(checks.iter().all(|check| check.result == Good), "{checks:?}");
    check
}

/// What the check says when something is changed, and that it says what to do where it should.
fn verdict(id: Id, change: impl FnOnce(&mut Facts)) -> Verdict {
    let check = found(id, change);
    assert_eq!(check.todo.ja.is_empty(), check.result == Good, "{check:?}");
    assert!(!check.what.ja.is_empty() && !check.what.en.is_empty());
    assert_eq!(check.todo.en.is_empty(), check.todo.ja.is_empty());
    check.result
}

#[test]
fn what_is_well_is_well() {
    let checks = judge(&well());
    assert_eq!(checks.len(), 10);
    assert!(checks.iter().all(|check| check.result == Good && check.todo.ja.is_empty()));
}

#[test]
fn a_test_call_must_be_answered_and_heard() {
    let heard = |change: fn(&mut Heard)| {
        verdict(Id::Call, |facts| {
            if let Ok(heard) = &mut facts.call {
                change(heard);
            }
        })
    };
    assert_eq!(heard(|it| it.level = Some(-44.0)), Good);
    assert_eq!(heard(|it| it.level = Some(-46.0)), Bad);
    assert_eq!(heard(|it| (it.level, it.first_packet) = (None, None)), Bad);
    assert_eq!(heard(|it| it.records = 0), Warn);
    assert_eq!(heard(|it| it.records = 2), Warn);
    assert_eq!(heard(|it| it.answered = 2_000 * MS), Warn);
    assert_eq!(heard(|it| it.first_packet = Some(2_000 * MS)), Warn);
    assert_eq!(heard(|it| it.gap = 200 * MS), Warn);
    for (why, expected) in [
        (Unheard::NoSocket, Unknown),
        (Unheard::NoNumber, Unknown),
        (Unheard::Denied("no_room"), Unknown),
        (Unheard::System("no port".to_owned()), Unknown),
        (Unheard::Busy, Bad),
        (Unheard::Refused(404), Bad),
        (Unheard::Silence, Bad),
    ] {
        assert_eq!(verdict(Id::Call, |facts| facts.call = Err(why.clone())), expected, "{why:?}");
    }
}

#[test]
fn a_trunk_is_proved_or_said_not_to_be() {
    use TrunkState::{Assumed, Down, Up};
    let of = |states: &[TrunkState]| {
        let trunks: Vec<_> = states.iter().map(|state| trunk_is(*state)).collect();
        verdict(Id::Trunk, |facts| facts.trunks = trunks)
    };
    assert_eq!(of(&[]), Bad);
    assert_eq!(of(&[Up, Up]), Good);
    assert_eq!(of(&[Up, Assumed]), Unknown);
    assert_eq!(of(&[Up, Down]), Warn);
    assert_eq!(of(&[Down]), Bad);
    let check = found(Id::Trunk, |facts| facts.trunks = vec![trunk_is(Assumed)]);
    assert!(check.what.ja.contains("未確認") && check.what.ja.contains("navi"));
}

#[test]
fn somebody_must_be_there() {
    use CounselorState::{Offline, Paused, Ready, Talking, Unreachable};
    let of = |states: Vec<CounselorState>| {
        let counselors = states.into_iter().map(counselor_is).collect();
        verdict(Id::Counselors, |facts| facts.counselors = counselors)
    };
    assert_eq!(of(vec![]), Bad);
    assert_eq!(of(vec![Offline, Unreachable]), Bad);
    assert_eq!(of(vec![Paused("休憩".to_owned()), Offline]), Warn);
    assert_eq!(of(vec![Talking, Offline]), Good);
    assert_eq!(of(vec![Ready, Unreachable]), Warn);
}

#[test]
fn disks_have_room_or_can_not_be_asked() {
    let of = |room: Result<(u64, u64), String>| {
        verdict(Id::Disk, |facts| facts.disks.push(Disk { key: "prompts_dir", room }))
    };
    assert_eq!(of(Ok((1_000_000_000, 2_000_000_000))), Good);
    assert_eq!(of(Ok((999_999_999, 2_000_000_000))), Warn);
    assert_eq!(of(Ok((99_999_999, 2_000_000_000))), Bad);
    assert_eq!(of(Err("ENOENT".to_owned())), Unknown);
}

#[test]
fn the_clock_is_right_set_or_behind() {
    let of = |change: fn(&mut Clock)| verdict(Id::Clock, |facts| change(&mut facts.clock));
    assert_eq!(of(|it| it.set_ms = 1_999), Good);
    assert_eq!(of(|it| it.set_ms = 2_000), Warn);
    assert_eq!(of(|it| it.is_behind = true), Bad);
    assert_eq!(of(|it| it.is_followed = Some(false)), Warn);
    assert_eq!(of(|it| it.is_followed = None), Unknown);
}

#[test]
fn certificates_end() {
    let of = |days: i64| {
        verdict(Id::Certificate, |facts| {
            facts.certificate = Some(facts.now + chrono::Duration::days(days));
        })
    };
    assert_eq!([of(15), of(14), of(13), of(0), of(-1)], [Good, Good, Warn, Bad, Bad]);
}

#[test]
fn records_are_written_or_not() {
    let of = |change: fn(&mut Facts)| verdict(Id::Database, change);
    assert_eq!(of(|facts| facts.written = Err("disk full".to_owned())), Bad);
    assert_eq!(of(|facts| facts.written = Ok(1_001 * MS)), Warn);
    assert_eq!(of(|facts| facts.records = (501, 0)), Warn);
    assert_eq!(of(|facts| facts.records = (500, 0)), Good);
    assert_eq!(of(|facts| facts.records = (0, 1)), Warn);
}

#[test]
fn ports_are_free_for_calls() {
    let of = |ports| verdict(Id::Ports, |facts| facts.ports = ports);
    assert_eq!(of(Some((1, 100))), Bad);
    assert_eq!(of(Some((24, 100))), Warn);
    assert_eq!(of(Some((25, 100))), Good);
    assert_eq!(of(None), Unknown);
}

#[test]
fn files_and_faults_are_said() {
    let of = |files| verdict(Id::Prompts, |facts| facts.files = files);
    let wrong = |key: &str| Complaint {
        key: key.to_owned(),
        ..Complaint::error("a.toml", Some(1), Value::Missing)
    };
    assert_eq!(of(Err(vec![wrong("line")])), Bad);
    let warnings = ["a", "b", "c", "d"].map(wrong).to_vec();
    let check = found(Id::Prompts, |facts| facts.files = Ok(Files { prompts: 1, warnings }));
    // Somebody has lived with it: nobody is told each week.
    assert_eq!((check.result, &*check.measured), (Good, "4"));
    let ends = |text: &str, what: &str| {
        let lines = ["a", "b", "c"].map(|key| format!("\n{key}: {what}")).concat();
        assert!(text.ends_with(&format!("{lines}\n(+1)")), "{text}");
    };
    ends(&check.what.ja, "入力が必要です。");
    ends(&check.what.en, "is missing");
    let of = |change: fn(&mut Facts)| verdict(Id::Service, change);
    assert_eq!(of(|facts| facts.faults = vec![Complaint::error("a.pem", None, File::NoKey)]), Warn);
    assert_eq!(of(|facts| facts.unready = vec!["draining".to_owned()]), Bad);
}
