//! A headless Chromium that is asked for pages and does what a person does.
//!
//! Every wait has a limit. A step that fails says where the browser was and what stood there.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
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
/// Widths and heights at which pages are looked at: a desk, a telephone.
const SIZES: [(&str, u32, u32); 2] = [("desk", 1_280, 900), ("phone", 390, 844)];

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
        let port = place.port();
        let name = format!("chromedriver-{port}");
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}"));
        let driver = Process::start(place, &name, &mut command);
        let profile = format!("--user-data-dir={}", place.dir.join(&name).display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([&*profile]).collect();
        let mut wanted = Map::new();
        wanted.insert(
            "goog:chromeOptions".to_owned(),
            json!({ "args": arguments, "prefs": { "intl.accept_languages": "ja" } }),
        );
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

    /// Takes pictures of the page at each width, and has axe look at it: what is wrong with it.
    pub(crate) fn look(&self, name: &str) -> Vec<String> {
        let mut wrong = vec![];
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
        fs::create_dir_all(&folder).unwrap();
        for (size, width, height) in SIZES {
            self.wait(self.client.set_window_size(width, height)).unwrap();
            let picture = self.wait(self.client.screenshot()).unwrap();
            fs::write(folder.join(format!("{name}-{size}.png")), picture).unwrap();
            let script = "return document.documentElement.scrollWidth - window.innerWidth";
            let over = self.script(script, vec![]).as_i64().unwrap();
            if over > 0 {
                wrong.push(format!("{name} is {over} px wider than a {size}"));
            }
        }
        let (_, width, height) = SIZES[0];
        self.wait(self.client.set_window_size(width, height)).unwrap();
        wrong.extend(self.axe().iter().map(|found| format!("{name}: {found}")));
        wrong
    }

    /// What axe finds: rule, help, where.
    fn axe(&self) -> Vec<String> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/axe/package/axe.min.js");
        let script = fs::read_to_string(&file).unwrap_or_else(|error| {
            panic!("{}: {error}; .ci/test fetches axe-core", file.display())
        });
        self.script(&script, vec![]);
        let run = "const done = arguments[0];
            axe.run(document).then(found => done(found.violations.flatMap(rule => rule.nodes.map(
                node => `${rule.id}: ${rule.help}: ${node.target.join(' ')} ${node.html}`))))";
        let found = self.wait(self.client.execute_async(run, vec![])).unwrap();
        let found = found.as_array().expect("axe answers with a list").iter();
        found.map(|one| one.as_str().unwrap().to_owned()).collect()
    }

    /// Bytes of this page as it came over the wire, and of everything that it fetched.
    pub(crate) fn weight(&self) -> u64 {
        let script = "return performance.getEntriesByType('navigation')
            .concat(performance.getEntriesByType('resource'))
            .reduce((sum, one) => sum + one.encodedBodySize, 0)";
        self.script(script, vec![]).as_u64().unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium ends with its session; the driver itself with the test.
        let client = self.client.clone();
        self.runtime.block_on(client.close()).ok();
    }
}
