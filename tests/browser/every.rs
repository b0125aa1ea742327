//! Every page that anybody can open: its weight, how it comes, its look at two widths, and axe.
//!
//! Which pages there are is read from the source, so that a new one that is not visited here fails
//! the test.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::door::{accept, make_account, set_up, setup_link, stranger};
use super::driver::Browser;
use crate::loopback::calls::caller;
use crate::loopback::place::Place;
use crate::loopback::service::{NO_COUNSELOR, Service, Setup};
use crate::loopback::tone;

/// Paths that answer a GET with something else than a page.
const NO_PAGES: [&str; 7] = [
    "/",
    "/api/v1/opening",
    "/board/events",
    "/me/events",
    "/prompts/{name}/audio.wav",
    "/reports/csv",
    "/reports/public/csv",
];

/// What an operator opens: name of the picture, and path. What the page of settings links to comes
/// besides.
const PAGES: &[(&str, &str)] = &[
    ("board", "/board"),
    ("board-wall", "/board?wall=1"),
    ("prompts", "/prompts"),
    ("prompt", "/prompts/welcome"),
    ("prompt-new", "/prompts/a_new_one"),
    ("version", "/prompts/welcome/versions/2"),
    ("version-compared", "/prompts/welcome/versions/1?with=2"),
    ("hours-all", "/hours"),
    ("hours", "/hours/main"),
    ("hours-at", "/hours/main?at=2027-02-13T09:10"),
    ("settings", "/settings"),
    ("history", "/settings/history"),
    ("history-first", "/settings/history/1"),
    ("history-second", "/settings/history/2"),
    ("opening", "/opening"),
    ("reports", "/reports"),
    ("reports-day", "/reports?span=day"),
    ("reports-year", "/reports?span=year"),
    ("reports-line", "/reports?line=main"),
    ("reports-public", "/reports/public"),
    ("reports-public-year", "/reports/public?span=year"),
    ("reports-staffing", "/reports/staffing"),
    ("reports-carrier", "/reports/carrier"),
    ("account", "/account"),
    ("account-code", "/account/code"),
    ("accounts", "/accounts"),
    ("audit", "/audit"),
];

/// Somebody who opens pages, and remembers which.
#[derive(Default)]
struct Visits {
    paths: Vec<String>,
    wrong: Vec<String>,
}

impl Visits {
    fn open(&mut self, browser: &Browser, name: &str, path: &str) {
        browser.open(path);
        let asked = path.split('?').next().unwrap_or_default();
        if browser.path() != asked {
            self.wrong.push(format!("{path} led to {}", browser.path()));
        }
        self.wrong.extend(browser.judge(name));
        self.paths.push(asked.to_owned());
    }
}

#[test]
fn every_page_is_light_comes_at_once_fits_a_telephone_and_pleases_axe() {
    let place = Place::new("browser-every");
    let service = Service::start(&place, &Setup::default());
    let mut visits = Visits::default();
    let other = stranger(&place, &service);
    let link = setup_link(&service);
    visits.open(&other, "setup", &link);
    let operator = set_up(&place, &service);
    other.open(&link);
    other.wait_text("[role=alert]", "もう使えません");
    visits.wrong.extend(other.look("setup-used"));
    visits.open(&other, "sign-in", "/sign-in");
    fill(&place, &service, &operator);
    for (name, path) in PAGES {
        visits.open(&operator, name, path);
    }
    operator.open("/settings");
    let mut links = operator.links("main a[href^='/settings/']");
    links.retain(|path| !PAGES.iter().any(|(_, known)| known == path));
    assert!(links.len() > 15, "{links:?}");
    for path in links {
        let name = path.trim_start_matches('/').replace('/', "-");
        visits.open(&operator, &name, &path);
    }
    let invitation = make_account(&operator, ("監督", "supervisor", "101"));
    visits.wrong.extend(operator.look("accounts-invited"));
    let path = operator.links("main a[href^='/accounts/change']").pop();
    visits.open(&operator, "accounts-change", &path.unwrap());
    visits.open(&other, "invitation", &invitation);
    accept(&other, "監督");
    for (name, path) in [("board-supervisor", "/board"), ("me-supervisor", "/me")] {
        visits.open(&other, name, path);
    }
    visits.wrong.extend(in_english(&operator));
    visits.wrong.extend(left_out(&visits.paths));
    assert!(visits.wrong.is_empty(), "{}", visits.wrong.join("\n"));
}

/// What the pages are to show: a call, a prompt of two versions, a changed setting.
fn fill(place: &Place, service: &Service, operator: &Browser) {
    let (mut call, voice) = caller(place, service, |run| run);
    let wav = place.dir.join("new.wav");
    tone::write_wav(&wav, &tone::sine(440, Duration::from_secs(2)));
    operator.open("/prompts/welcome");
    operator.attach("#file", &wav);
    operator.fill("#said", "こちらは相談の窓口です。");
    operator.click("form[action*='/upload'] button");
    operator.wait_text("main", "こちらは相談の窓口です。");
    operator.open("/settings/counselor/101");
    operator.fill("input[name$='.name']", "青木");
    operator.click("button[value=look]");
    operator.click("button[value=save]");
    operator.wait_text("[role=status]", "保存");
    voice.wait_heard(0, NO_COUNSELOR.1, Duration::from_millis(700), Duration::from_secs(15));
    call.succeed();
    assert_eq!(service.records(1).len(), 1);
}

/// The other language, and the way out.
fn in_english(browser: &Browser) -> Vec<String> {
    browser.open("/board");
    browser.click("header form[action='/language'] button");
    browser.wait_text("h1", "Board");
    let mut wrong = browser.look("board-en");
    browser.click("header form[action='/sign-out'] button");
    browser.wait_text("h1", "Sign in");
    wrong.extend(browser.look("sign-in-en"));
    wrong
}

/// Pages of the console that were not visited, and visits to what is no page.
fn left_out(visited: &[String]) -> Vec<String> {
    let mut routes = vec![];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/pages");
    read_routes(&root, &mut routes);
    assert!(routes.len() > 25, "{routes:?}");
    let mut wrong = vec![];
    let mut seen = vec![];
    for path in visited {
        let fit = routes.iter().filter(|route| fits(route, path));
        match fit.min_by_key(|route| route.matches('{').count()) {
            Some(route) => seen.push(route.clone()),
            None => wrong.push(format!("{path} is in no table of paths")),
        }
    }
    for route in routes {
        let is_page = !NO_PAGES.contains(&&*route);
        if is_page != seen.contains(&route) {
            wrong.push(format!("{route}: a page that is not visited, or a visit to none"));
        }
    }
    wrong
}

/// The paths of this folder's tables that answer a GET.
pub(crate) fn read_routes(folder: &Path, routes: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_routes(&path, routes);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            routes.extend(text.split(".route(").skip(1).filter_map(path_of));
        }
    }
}

/// The path of a call of `route`, given what follows its bracket, where it answers a GET.
fn path_of(text: &str) -> Option<String> {
    let mut depth = 1;
    let end = text.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    })?;
    let (path, methods) = text[..end].trim_start().strip_prefix('"')?.split_once('"')?;
    let is_read = methods.split(|c: char| !c.is_alphanumeric()).any(|word| word == "get");
    is_read.then(|| path.to_owned())
}

fn fits(route: &str, path: &str) -> bool {
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    let is_same = |(name, given): (&&str, &&str)| name.starts_with('{') || name == given;
    route.len() == path.len() && route.iter().zip(&path).all(is_same)
}
