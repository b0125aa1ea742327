//! Recordings that are deleted while a service runs, and rows and files that lost each other.

use super::*;

/// Files of the folder that are open, though no name leads to them any more.
fn held_open(place: &Place) -> Vec<PathBuf> {
    let links = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let links = links.filter_map(|link| fs::read_link(link.path()).ok());
    links.filter(|link| link.starts_with(&place.config.folder)).collect()
}

fn erase(recorder: &Recorder, call: &str) -> Option<Erased> {
    recorder.eraser().erase(CallId(call.into()), "operator".into()).blocking_recv().unwrap()
}

#[test]
fn a_recording_that_goes_on_ends_before_it_is_said_to_be_gone() {
    let place = Place::new("erase");
    let (mut recorder, metrics, lost) = place.start();
    let tap = recorder.tap();
    // A part that is whole, two that go on, and another call.
    for (n, call, part) in [(1, "k7f2", 1), (2, "k7f2", 2), (3, "k7f2", 3), (4, "other", 1)] {
        recorder.tell(begin(n, call, part));
        assert_eq!(tap.give(frame(n, 0, 440.0, 440.0)), Ok(()));
    }
    assert_eq!(tap.give(end(1)), Ok(()));
    assert_eq!(erase(&recorder, "k7f2"), Some(vec![(1, Ok(())), (2, Ok(())), (3, Ok(()))]));
    let other = [file::part_of(&place.path("other", 1))];
    assert_eq!(all_files(&place.config.folder), other);
    assert_eq!(held_open(&place), other, "nobody writes on to a file without a name");
    assert_eq!([lost.recv().unwrap(), lost.recv().unwrap()], [id(2), id(3)], "the call is told");
    // What still comes of it is written nowhere.
    for nth in 0..200 {
        assert_eq!(tap.give(frame(2, nth, 440.0, 440.0)), Ok(()));
    }
    assert_eq!(tap.give(end(2)), Ok(()));
    recorder.tell(Order::End { record: id(2) });
    place.rows();
    assert_eq!(erase(&recorder, "nobody"), Some(vec![]));
    assert_eq!(erase(&recorder, "k7f2"), Some(vec![]));
    drop((tap, recorder));
    assert_eq!(all_files(&place.config.folder), [place.path("other", 1)]);
    let gone = |row: &Recording| row.deleted.map(|(_, why)| why);
    let rows: Vec<_> =
        place.rows().iter().map(|row| (row.call.to_string(), row.part, gone(row))).collect();
    let asked = |part| ("k7f2".to_owned(), part, Some(Why::Asked));
    assert_eq!(rows, [asked(1), asked(2), asked(3), ("other".to_owned(), 1, None)]);
    assert!(metrics.encode().contains("koebashi_recordings_total{ended=\"deleted\"} 2"));
    let verdict = Reader::open(place.store.path()).unwrap().verify_audit().unwrap();
    assert!(matches!(verdict, Verdict::Intact { entries: 3, .. }), "{verdict:?}");
}

#[test]
fn what_can_not_be_proved_to_be_gone_is_not_said_to_be() {
    let place = Place::new("proof");
    // A folder of that name can't be taken away as a file.
    fs::create_dir_all(place.path("stuck", 1)).unwrap();
    place.store.recording(row("stuck"));
    place.rows();
    let (recorder, ..) = place.start();
    let parts = erase(&recorder, "stuck").unwrap();
    assert!(matches!(parts.as_slice(), [(1, Err(_))]), "{parts:?}");
    fs::remove_file(place.store.path()).unwrap();
    assert_eq!(erase(&recorder, "stuck"), None, "nobody knows what there is");
    drop(recorder);
}

#[test]
fn a_file_whose_row_was_lost_is_deleted_with_its_call() {
    let place = Place::new("rowless");
    let (recorder, ..) = place.start();
    // After the comparison at the start, which would give it a row.
    assert_eq!(erase(&recorder, "k7f2"), Some(vec![]));
    place.whole("k7f2", 2);
    assert_eq!(erase(&recorder, "k7f2"), Some(vec![(2, Ok(()))]));
    drop(recorder);
    assert_eq!(all_files(&place.config.folder), Vec::<PathBuf>::new());
    let rows = place.rows();
    assert_eq!(rows[0].deleted.map(|(_, why)| why), Some(Why::Asked), "{rows:?}");
}

#[test]
fn a_finished_file_whose_row_is_open_gets_its_figures() {
    let place = Place::new("open");
    let written = place.whole("k7f2", 1);
    place.store.recording(row("k7f2"));
    assert_eq!(place.reconcile(&["k7f2"], 9), Reconciled::All);
    assert_eq!(place.rows(), [row("k7f2")], "not while it is written");
    assert_eq!(place.reconcile(&[], 9), Reconciled::All);
    // Whether it is whole can't be told any more.
    let written = Written { ended: Ended::CutOff, length: None, ..written };
    assert_eq!(place.rows()[0].written, Some(written));
    assert!(place.path("k7f2", 1).exists());
}

#[test]
fn a_running_recorder_is_not_taken_for_what_a_crash_left() {
    let place = Place::new("busy");
    place.cut_off("goes");
    place.cut_off("left");
    place.store.recording(row("left"));
    // As a file without a row, and as a row: neither is touched while it is written.
    let busy = ["goes", "left"];
    assert_eq!(place.reconcile(&busy, 9), Reconciled::All);
    assert!(file::part_of(&place.path("goes", 1)).exists());
    assert!(file::part_of(&place.path("left", 1)).exists());
    assert_eq!(place.rows(), [row("left")]);
}

#[test]
fn a_comparison_reads_few_files_at_once() {
    let place = Place::new("few");
    for call in ["a", "b"] {
        place.cut_off(call);
        place.store.recording(row(call));
    }
    place.whole("c", 1);
    let mut steps = 1;
    while place.reconcile(&[], 1) == Reconciled::Part {
        steps += 1;
    }
    assert_eq!(steps, 3);
    assert!(place.rows().iter().all(|row| row.written.is_some()));
    assert_eq!(place.rows().len(), 3);
}

#[test]
fn a_row_that_is_there_is_never_replaced_by_one_that_was_made_up() {
    let place = Place::new("made-up");
    let known = Recording { written: Some(place.whole("k7f2", 1)), ..row("k7f2") };
    place.store.recording(known.clone());
    let written = Some(Written { ended: Ended::CutOff, length: None, bytes: 1, sha256: [0; 32] });
    place.store.recording(Recording { line: None, written, ..known.clone() });
    assert_eq!(place.rows(), [known]);
}

#[test]
fn without_the_rows_nothing_is_compared() {
    let place = Place::new("unread");
    place.cut_off("k7f2");
    place.rows();
    fs::remove_file(place.store.path()).unwrap();
    let (recorder, ..) = place.start();
    drop(recorder);
    assert!(file::part_of(&place.path("k7f2", 1)).exists(), "it would have been an orphan");
}
