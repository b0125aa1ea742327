//! A headless Chromium that is asked for pages and does what a person does.
//!
//! Every wait has a limit. A step that fails says where the browser was and what stood there.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::wd::PrintConfiguration;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::loopback::place::{Place, Process, wait_for};

/// How long a page, or a part of it, may take to be there.
const LIMIT: Duration = Duration::from_secs(15);
/// Chromium here never asks for anything but what it is told to.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=ja",
];
/// Widths and heights at which pages are looked at: a telephone, a desk, where it stays.
const SIZES: [(&str, u32, u32); 2] = [("phone", 390, 844), ("desk", 1_280, 900)];
/// Pixels that a picture is high at most.
const PICTURE_MAX: u32 = 6_000;
/// Bytes of a page with everything that it needs.
const WEIGHT_MAX: u64 = 100_000;

/// What is told of each answer that the page is made of, the page itself first: whose it is, how it
/// was asked for, whether painting waited for it, and its bytes.
const ANSWERS: &str = "const [page] = performance.getEntriesByType('navigation');
    const other = performance.getEntriesByType('resource');
    return [page, ...other].map(one => ({
        path: one.name.replace(location.origin, ''), kind: one.initiatorType,
        blocks: one.renderBlockingStatus === 'blocking', turns: one.redirectCount || 0,
        sent: one.transferSize, bytes: one.encodedBodySize }))";

/// What a browser does with scripts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripts {
    Run,
    /// They are turned off, as somebody may have done in the settings.
    Off,
}

/// A browser with a profile of its own.
pub(crate) struct Browser {
    runtime: Runtime,
    client: Client,
    _driver: Process,
    base: String,
}

impl Browser {
    /// Starts one for the console at this address (`http://…`, no slash at the end).
    pub(crate) fn start(place: &Place, base: &str) -> Self {
        Self::start_with(place, base, Scripts::Run)
    }

    /// The same, with scripts or without.
    pub(crate) fn start_with(place: &Place, base: &str, scripts: Scripts) -> Self {
        let port = place.port();
        let name = format!("chromedriver-{port}");
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        let driver = Process::start(place, &name, &mut command);
        let profile = format!("--user-data-dir={}", place.dir.join(&name).display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([&*profile]).collect();
        let mut preferences = json!({ "intl.accept_languages": "ja" });
        if scripts == Scripts::Off {
            preferences["profile.managed_default_content_settings.javascript"] = json!(2);
        }
        let mut wanted = Map::new();
        let options = json!({ "args": arguments, "prefs": preferences });
        wanted.insert("goog:chromeOptions".to_owned(), options);
        wanted.insert("unhandledPromptBehavior".to_owned(), json!("accept"));
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let address = format!("http://127.0.0.1:{port}");
        let client = wait_for("the browser", 4 * LIMIT, || {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            runtime.block_on(builder.capabilities(wanted.clone()).connect(&address)).ok()
        });
        Self { runtime, client, _driver: driver, base: base.to_owned() }
    }

    fn wait<T>(&self, step: impl Future<Output = Result<T, CmdError>>) -> Result<T, CmdError> {
        self.runtime.block_on(step)
    }

    /// Opens a path of the console.
    pub(crate) fn open(&self, path: &str) {
        self.wait(self.client.goto(&format!("{}{path}", self.base))).unwrap();
    }

    /// Where it is.
    pub(crate) fn path(&self) -> String {
        self.wait(self.client.current_url()).unwrap().path().to_owned()
    }

    /// The first element of this kind, once it is there.
    fn find(&self, css: &str) -> Element {
        let began = Instant::now();
        loop {
            if let Ok(element) = self.wait(self.client.find(Locator::Css(css))) {
                return element;
            }
            let page = || format!("{}: {}", self.path(), self.text("body"));
            assert!(began.elapsed() < LIMIT, "there is no {css} on {}", page());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether there is such an element.
    pub(crate) fn has(&self, css: &str) -> bool {
        self.wait(self.client.find(Locator::Css(css))).is_ok()
    }

    /// What can be read in the first element of this kind.
    pub(crate) fn text(&self, css: &str) -> String {
        // An element that a live page has just exchanged is looked for again.
        let found = self.wait(self.client.find(Locator::Css(css)));
        found.and_then(|element| self.wait(element.text())).unwrap_or_default()
    }

    /// Waits until the element says this.
    pub(crate) fn wait_text(&self, css: &str, text: &str) {
        let began = Instant::now();
        while !self.text(css).contains(text) {
            let seen = || format!("{css} on {} says {:?}", self.path(), self.text(css));
            assert!(began.elapsed() < LIMIT, "waited for {text:?}, but {}", seen());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until there is no such element.
    pub(crate) fn wait_gone(&self, css: &str) {
        wait_for(&format!("{css} to be gone"), LIMIT, || (!self.has(css)).then_some(()));
    }

    /// Types into a field, in place of what was there.
    pub(crate) fn fill(&self, css: &str, text: &str) {
        let field = self.find(css);
        self.wait(field.clear()).unwrap();
        self.wait(field.send_keys(text)).unwrap();
    }

    /// Sets the value of a field that is not typed into: dates, times.
    pub(crate) fn set(&self, css: &str, value: &str) {
        self.find(css);
        let script = "document.querySelector(arguments[0]).value = arguments[1]";
        self.script(script, vec![json!(css), json!(value)]);
    }

    /// Gives a field a file.
    pub(crate) fn attach(&self, css: &str, file: &Path) {
        self.wait(self.find(css).send_keys(&file.display().to_string())).unwrap();
    }

    /// Chooses from a list.
    pub(crate) fn choose(&self, css: &str, value: &str) {
        self.wait(self.find(css).select_by_value(value)).unwrap();
    }

    /// Clicks, and waits until the next page is there where one comes.
    pub(crate) fn click(&self, css: &str) {
        let element = self.find(css);
        // A button behind the edge of a scrolled table is brought into view first.
        let script = "document.querySelector(arguments[0]).scrollIntoView({block: 'center'})";
        self.script(script, vec![json!(css)]);
        self.wait(element.click()).unwrap();
    }

    /// Runs a script of the test in the page.
    pub(crate) fn script(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.wait(self.client.execute(script, arguments)).unwrap()
    }

    /// Runs a script that calls its argument when it is done.
    pub(crate) fn script_async(&self, script: &str) -> Value {
        self.wait(self.client.execute_async(script, vec![])).unwrap()
    }

    /// Types a key wherever the focus is.
    pub(crate) fn press(&self, key: Key) {
        let active = self.wait(self.client.active_element()).unwrap();
        self.wait(active.send_keys(&key)).unwrap();
    }

    /// Where the links of this kind lead.
    pub(crate) fn links(&self, css: &str) -> Vec<String> {
        let script = "return [...document.querySelectorAll(arguments[0])]
            .map(link => link.getAttribute('href'))";
        let links = self.script(script, vec![json!(css)]);
        links.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
    }

    /// Looks at the page as it was opened: what is wrong with its weight, with the way in which it
    /// came, and with what it looks like.
    pub(crate) fn judge(&self, name: &str) -> Vec<String> {
        let mut wrong = self.came_at_once(name);
        wrong.extend(self.look(name));
        wrong
    }

    /// One round trip: the page comes without a turn, and nothing that it asks for besides stands
    /// between it and its being painted.
    fn came_at_once(&self, name: &str) -> Vec<String> {
        let answers = self.script(ANSWERS, vec![]);
        let answers = answers.as_array().expect("a page is made of answers");
        let mut wrong = vec![];
        let weight: u64 = answers.iter().filter_map(|it| it["bytes"].as_u64()).sum();
        if weight == 0 || weight > WEIGHT_MAX {
            wrong.push(format!("{name} weighs {weight} bytes"));
        }
        if answers[0]["turns"] != 0 {
            wrong.push(format!("{name} came by redirects: {}", answers[0]));
        }
        for other in &answers[1..] {
            let path = other["path"].as_str().unwrap_or_default();
            // The script and the icon; and the stream of a live page.
            let is_ours = path.starts_with("/assets/") || path.contains("/events");
            if !is_ours || other["blocks"] == true {
                wrong.push(format!("{name} waits for {other}"));
            }
        }
        wrong
    }

    /// Takes pictures of the whole page at each width, and has axe look at it: what is wrong.
    pub(crate) fn look(&self, name: &str) -> Vec<String> {
        let mut wrong = vec![];
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
        fs::create_dir_all(&folder).unwrap();
        for (size, width, height) in SIZES {
            self.resize(width, height);
            let script = "const all = document.documentElement;
                return [all.scrollWidth - all.clientWidth,
                        all.scrollHeight + window.outerHeight - window.innerHeight]";
            let measured = self.script(script, vec![]);
            if measured[0].as_i64().unwrap() > 0 {
                wrong.push(format!("{name} is {} px wider than a {size}", measured[0]));
            }
            wrong.extend(self.axe().iter().map(|found| format!("{name}, {size}: {found}")));
            let whole = u32::try_from(measured[1].as_u64().unwrap()).unwrap();
            self.resize(width, whole.clamp(height, PICTURE_MAX));
            let picture = self.wait(self.client.screenshot()).unwrap();
            fs::write(folder.join(format!("{name}-{size}.png")), picture).unwrap();
        }
        wrong
    }

    fn bring_axe(&self) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/axe/package/axe.min.js");
        let script = fs::read_to_string(&file).unwrap_or_else(|error| {
            panic!("{}: {error}; .ci/test fetches axe-core", file.display())
        });
        self.script(&script, vec![]);
    }

    /// Pages of paper that it is when printed.
    pub(crate) fn papers(&self) -> usize {
        let paper = self.wait(self.client.print(PrintConfiguration::default())).unwrap();
        let text = String::from_utf8_lossy(&paper);
        text.matches("/Type /Page\n").count()
    }

    /// Whether it runs the scripts of a page, of any page.
    pub(crate) fn runs_scripts(&self) -> bool {
        let page = "data:text/html,<p>off</p><script>document.body.textContent = 'on'</script>";
        self.wait(self.client.goto(page)).unwrap();
        self.text("body") == "on"
    }

    fn resize(&self, width: u32, height: u32) {
        self.wait(self.client.set_window_size(width, height)).unwrap();
    }

    /// What axe finds: rule, help, where.
    fn axe(&self) -> Vec<String> {
        // It is large, and stays in the page that it was put into.
        if self.script("return typeof window.axe", vec![]) == "undefined" {
            self.bring_axe();
        }
        let run = "const done = arguments[0];
            axe.run(document, { resultTypes: ['violations'] }).then(found => done(found.violations.flatMap(rule => rule.nodes.map(
                node => `${rule.id}: ${rule.help}: ${node.target.join(' ')} ${node.html}`))))";
        let found = self.wait(self.client.execute_async(run, vec![])).unwrap();
        let found = found.as_array().expect("axe answers with a list").iter();
        found.map(|one| one.as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its session; the driver itself with the test.
        let client = self.client.clone();
        self.runtime.block_on(client.close()).ok();
    }
}
