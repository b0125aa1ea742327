//! The scanners of sipvicious against the real program: they find no service, no extension and no
//! password, though the password is on their list, and the phone registers all the while.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use super::place::{Place, Process};
use super::service::{Service, Setup};
use super::sipp::Run;

/// How long one scan may take.
const LIMIT: Duration = Duration::from_secs(60);
/// The extension's password, and the list that it is on.
const SECRET: &str = "10000060";
const LIST: &str = "10000000-10000120";

fn scan(place: &Place, name: &str, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    // A scan that is kept could be gone on with by another.
    command.args(arguments).env("HOME", &place.dir);
    let mut process = Process::start(place, name, &mut command);
    process.wait(LIMIT);
    process.log()
}

#[test]
fn scanners_find_nothing_and_lock_nobody_out() {
    let place = Place::new("scanners");
    let extension = |extension: &str, password: &str| {
        format!(
            "[[counselor]]\nextension = \"{extension}\"\npassword = \"{password}\"\n\
             lines = [\"main\"]\n"
        )
    };
    let counselors = extension("101", SECRET) + &extension("1001", "another-secret");
    let service = Service::start(&place, &Setup { counselors, ..Setup::default() });
    let (host, port) = (service.sip.ip().to_string(), service.sip.port().to_string());
    let found = scan(&place, "svmap", "svmap", &["-b", "127.0.0.3", "-p", &port, &host]);
    assert!(!found.contains(&format!("{host}:{port}")), "{found}");
    for method in ["REGISTER", "OPTIONS", "INVITE"] {
        let name = format!("svwar-{method}");
        let arguments = ["-b", "127.0.0.3", "-m", method, "-e", "1000-1020", "-p", &port, &host];
        let found = scan(&place, &name, "svwar", &arguments);
        // Those that are there look like those that are not.
        let told = |extension: &str| {
            found.lines().any(|line| line.contains('|') && line.contains(extension))
        };
        assert!(!told("1001"), "{found}");
    }
    let arguments = ["-b", "127.0.0.3", "-u", "101", "-r", LIST, "-p", &port, &host];
    let cracked = scan(&place, "svcrack", "svcrack", &arguments);
    assert!(!cracked.contains(SECRET), "{cracked}");
    // The phone comes from another address, and its password is not in question.
    let local = (Ipv4Addr::new(127, 0, 0, 4), place.port()).into();
    let register = Run::new("register", local, Some(service.sip));
    let register = register.fill("EXTENSION", "101").fill("PASSWORD", SECRET);
    register.start(&place, "register").succeed();
    service.wait_counselor("101", "ready");
}
