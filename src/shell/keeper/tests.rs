use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child as Process, Command};
use std::thread::sleep;

use super::*;

const MOMENT: Duration = Duration::from_millis(100);

/// A process that any signal ends, in place of a service; gone with the test.
struct Sleeper(Process);

impl Sleeper {
    fn new() -> Self {
        Self(Command::new("sleep").arg("60").spawn().unwrap())
    }

    fn child(&self, stage: Stage) -> Child {
        let pid = Pid::from_raw(self.0.id().cast_signed());
        let born = Instant::now();
        Child { pid, born, stage, heard_by: born + WATCHDOG, leaves_by: None }
    }

    fn is_running(&mut self) -> bool {
        sleep(MOMENT);
        self.0.try_wait().unwrap().is_none()
    }

    /// The signal that has ended it.
    fn killed_by(&mut self) -> Option<i32> {
        self.0.wait().unwrap().signal()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A keeper that has served already, and the folder of its socket.
struct Place {
    keeper: Keeper,
    folder: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = new_folder().unwrap();
        let path = folder.join("notify");
        let keeper = Keeper {
            program: Program { path: "/bin/false".into(), arguments: vec![] },
            socket: UnixDatagram::bind(&path).unwrap(),
            path,
            shelf: Shelf::default(),
            child: None,
            wish: Wish::Serve,
            start_at: None,
            pause: PAUSE_MIN,
            absent_since: None,
            has_served: true,
        };
        Self { keeper, folder }
    }

    /// A child that is this process.
    fn keep(&mut self, process: &Sleeper, stage: Stage) -> Pid {
        let child = process.child(stage);
        let pid = child.pid;
        (self.keeper.child, self.keeper.start_at) = (Some(child), None);
        pid
    }

    fn hear(&mut self, words: &str) {
        let service = UnixDatagram::unbound().unwrap();
        service.send_to(words.as_bytes(), &self.keeper.path).unwrap();
        self.keeper.listen();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

#[test]
fn what_a_killed_keeper_has_left_keeps_no_other_from_its_work() {
    let (left, own) = (new_folder().unwrap(), new_folder().unwrap());
    assert_ne!(left, own);
    assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o700, "nobody else's");
    fs::remove_dir(left).unwrap();
    fs::remove_dir(own).unwrap();
}

#[test]
fn a_service_that_dies_while_it_drains_is_followed_by_one_that_drains_on() {
    let mut place = Place::new();
    let (mut first, mut next) = (Sleeper::new(), Sleeper::new());
    let pid = place.keep(&first, Stage::Ready);
    place.keeper.on_signal(Signal::SIGTERM);
    assert_eq!(first.killed_by(), Some(Signal::SIGTERM as i32), "it is told");
    assert_eq!(place.keeper.on_end(pid, KILLED), None, "calls are left");
    assert!(place.keeper.start_at.is_some());
    let pid = place.keep(&next, Stage::Starting);
    place.keeper.on_signal(Signal::SIGTERM);
    assert!(next.is_running(), "it was killed before it could take a signal");
    place.hear("READY=1\n");
    assert_eq!(next.killed_by(), Some(Signal::SIGTERM as i32), "it is told as soon as it can hear");
    assert_eq!(place.keeper.on_end(pid, 0), Some(0), "no call is left");
}

#[test]
fn a_service_that_is_to_end_while_there_is_none_is_started_for_its_calls() {
    let mut place = Place::new();
    place.keeper.start_at = Some(Instant::now());
    place.keeper.on_signal(Signal::SIGTERM);
    assert_eq!((place.keeper.wish, place.keeper.start_at.is_some()), (Wish::Drain, true));
    let mut next = Sleeper::new();
    place.keep(&next, Stage::Starting);
    place.hear("READY=1\n");
    assert_eq!(next.killed_by(), Some(Signal::SIGTERM as i32));
}

#[test]
fn a_service_that_has_ended_its_calls_is_not_started_again_whatever_it_ends_with() {
    let mut place = Place::new();
    let process = Sleeper::new();
    let pid = place.keep(&process, Stage::Ready);
    place.keeper.on_signal(Signal::SIGTERM);
    place.hear("STOPPING=1\n");
    assert_eq!(place.keeper.on_end(pid, 1), Some(1));
}

#[test]
fn a_service_that_hands_over_while_it_drains_is_followed_by_one_that_drains_on() {
    let mut place = Place::new();
    let (first, mut next) = (Sleeper::new(), Sleeper::new());
    let pid = place.keep(&first, Stage::Ready);
    place.keeper.on_signal(Signal::SIGTERM);
    place.keeper.on_signal(Signal::SIGUSR2);
    assert_eq!(place.keeper.on_end(pid, 0), None);
    place.keep(&next, Stage::Starting);
    place.hear("READY=1\n");
    assert_eq!(next.killed_by(), Some(Signal::SIGTERM as i32));
}

#[test]
fn whoever_interrupts_twice_does_not_wait_for_a_service_that_starts() {
    let mut place = Place::new();
    let mut process = Sleeper::new();
    let pid = place.keep(&process, Stage::Starting);
    place.keeper.on_signal(Signal::SIGINT);
    assert!(process.is_running());
    place.keeper.on_signal(Signal::SIGINT);
    assert_eq!(process.killed_by(), Some(Signal::SIGKILL as i32));
    assert_eq!(place.keeper.on_end(pid, KILLED), Some(KILLED));
}

#[test]
fn a_hand_over_is_asked_of_the_service_that_is_there_and_of_no_later_one() {
    let mut place = Place::new();
    place.keeper.start_at = Some(Instant::now());
    // Nobody is there: the next one is the newest anyway.
    place.keeper.on_signal(Signal::SIGUSR2);
    let mut next = Sleeper::new();
    place.keep(&next, Stage::Ready);
    let later = Instant::now() + HAND_OVER + MOMENT;
    place.keeper.child.as_mut().unwrap().heard_by = later + WATCHDOG;
    place.keeper.on_time(later).unwrap();
    assert!(next.is_running(), "it was ended for what another was asked");
    // It is asked, and does not leave.
    place.keeper.child.as_mut().unwrap().leaves_by = Some(later);
    place.keeper.on_time(later).unwrap();
    assert_eq!(next.killed_by(), Some(Signal::SIGKILL as i32));
}

#[test]
fn calls_that_no_service_goes_on_with_hold_up_no_end() {
    let mut place = Place::new();
    let mut process = Sleeper::new();
    let pid = place.keep(&process, Stage::Ready);
    assert_eq!(place.keeper.on_end(pid, KILLED), None);
    let pid = place.keep(&process, Stage::Starting);
    let later = Instant::now() + ABSENCE;
    place.keeper.on_time(later).unwrap();
    assert!(process.is_running(), "who is to serve is waited for");
    place.keeper.on_signal(Signal::SIGTERM);
    assert_eq!(place.keeper.next_deadline().map(|at| at <= later), Some(true));
    place.keeper.on_time(later).unwrap();
    assert_eq!(process.killed_by(), Some(Signal::SIGKILL as i32));
    assert_eq!(place.keeper.on_end(pid, KILLED), Some(KILLED));
}
