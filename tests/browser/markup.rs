//! Names that are markup: a caller's by a real INVITE, which is nowhere, and a counselor's, which is
//! text on every page.

use std::time::Duration;

use super::door::{invite, set_up};
use crate::loopback::calls::{caller, sipp_phone};
use crate::loopback::place::Place;
use crate::loopback::service::{COUNSELOR, PASSWORD, Service, Setup};

const SOON: Duration = Duration::from_secs(15);
const SOUND: Duration = Duration::from_millis(700);
/// What the caller is called. As script it would leave a mark on the page.
const CALLER: &str = "\"<script>window.owned=1</script><img src=x onerror='window.owned=2'>\" \
                      <sip:0312345678@trunk.example>";
/// What the counselor is called.
const NAME: &str = "<img src=y onerror=window.owned=3>";

#[test]
fn markup_for_a_name_is_text_or_nowhere() {
    let place = Place::new("browser-markup");
    let counselors = format!(
        "[[counselor]]\nextension = \"101\"\nname = \"{NAME}\"\npassword = \"{PASSWORD}\"\n\
         lines = [\"main\"]\n"
    );
    let service = Service::start(&place, &Setup { counselors, ..Setup::default() });
    let operator = set_up(&place, &service);
    let supervisor = invite(&place, &service, &operator, ("監督", "supervisor", "101"));
    let (mut phone, _ear) = sipp_phone(&place, &service, "phone", |run| run);
    let (mut caller, voice) = caller(&place, &service, |run| {
        run.fill("FROM", CALLER).fill("EXTRA", &format!("P-Asserted-Identity: {CALLER}"))
    });
    voice.wait_heard(0, COUNSELOR, SOUND, SOON);
    supervisor.open("/board");
    supervisor.wait_text("#talks", "101");
    supervisor.wait_text("#counselors", NAME);
    for (browser, paths) in [
        (&supervisor, &["/board", "/me", "/reports"][..]),
        (
            &operator,
            &["/board?wall=1", "/settings", "/settings/counselor/101", "/audit", "/opening"],
        ),
    ] {
        for path in paths {
            browser.open(path);
            let owned = browser.script("return window.owned ?? null", vec![]);
            assert!(owned.is_null(), "{path}: {owned}");
            assert!(!browser.has("img[src=x], img[src=y]"), "{path} has taken it for markup");
            let page = browser.script("return document.documentElement.outerHTML", vec![]);
            assert!(!page.as_str().unwrap().contains("owned=1"), "{path} names the caller");
        }
    }
    let answer = service.get("/api/v1/board").unwrap().1;
    assert!(answer.contains("owned=3") && !answer.contains("owned=1"), "{answer}");
    caller.succeed();
    phone.succeed();
}
