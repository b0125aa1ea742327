//! When Chromium first paints each page of the console, counted by itself from the moment at which
//! it was told to go there.
//!
//! Owns the browser of this measurement. Without chromedriver there is none, and it says so.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, json};
use tokio::runtime::{Builder, Runtime};

use super::table::Row;
use super::{Options, Run};

/// The pages: what an operator opens, of each kind one.
const PAGES: [&str; 17] = [
    "/board",
    "/settings/counselor/10000",
    "/prompts",
    "/prompts/welcome",
    "/hours",
    "/settings",
    "/settings/line/main",
    "/settings/line/main/guidance",
    "/settings/history",
    "/opening",
    "/reports",
    "/reports/public",
    "/reports/staffing",
    "/reports/carrier",
    "/accounts",
    "/audit",
    "/account",
];
/// How long anything of the browser may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The operator's name and password.
const OPERATOR: [&str; 2] = ["painter", "a brush and a pot of paint"];

/// Chromium, with a profile that goes with it.
struct Browser {
    runtime: Runtime,
    client: Client,
    driver: Child,
    profile: PathBuf,
}

impl Browser {
    /// `None`: there is no chromedriver here.
    fn start() -> io::Result<Option<Self>> {
        // A port that is free now; nobody else takes one in the next moment.
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            driver => driver?,
        };
        let profile = std::env::temp_dir().join(format!("koebashi-paint-{}", std::process::id()));
        let folder = format!("--user-data-dir={}", profile.display());
        let arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"];
        let arguments: Vec<&str> = arguments.into_iter().chain([&*folder]).collect();
        let mut wanted = Map::new();
        wanted.insert("goog:chromeOptions".to_owned(), json!({ "args": arguments }));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (began, address) = (Instant::now(), format!("http://127.0.0.1:{port}"));
        let client = loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            match runtime.block_on(builder.capabilities(wanted.clone()).connect(&address)) {
                Ok(client) => break client,
                Err(error) if began.elapsed() > LIMIT => return Err(io::Error::other(error)),
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        };
        Ok(Some(Self { runtime, client, driver, profile }))
    }

    fn open(&self, address: &str) -> io::Result<()> {
        self.runtime.block_on(self.client.goto(address)).map_err(io::Error::other)
    }

    /// Sets the console up by the link that the program printed.
    fn set_up(&self, link: &str) -> io::Result<()> {
        self.open(link)?;
        let [name, password] = OPERATOR;
        for (field, text) in [("#name", name), ("#password", password), ("#again", password)] {
            let typed =
                async { self.client.find(Locator::Css(field)).await?.send_keys(text).await };
            self.runtime.block_on(typed).map_err(io::Error::other)?;
        }
        let pressed = async { self.client.find(Locator::Css("main button")).await?.click().await };
        self.runtime.block_on(pressed).map_err(io::Error::other)
    }

    /// Milliseconds from the start of going there to the first paint of something.
    fn painted(&self, address: &str) -> io::Result<f64> {
        self.open(address)?;
        let script = "const paint = performance.getEntriesByName('first-contentful-paint');
            return paint.length ? paint[0].startTime : null";
        let began = Instant::now();
        loop {
            let asked = self.runtime.block_on(self.client.execute(script, vec![]));
            if let Some(time) = asked.map_err(io::Error::other)?.as_f64() {
                return Ok(time);
            }
            if began.elapsed() > LIMIT {
                return Err(io::Error::other(format!("{address} is never painted")));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.runtime.block_on(self.client.clone().close()).ok();
        self.driver.kill().ok();
        self.driver.wait().ok();
        std::fs::remove_dir_all(&self.profile).ok();
    }
}

/// Every page again and again: median and longest time to the first paint.
pub(super) fn painted(options: &Options) -> io::Result<()> {
    println!("## First paint of the console's pages, in Chromium on loopback\n");
    let Some(browser) = Browser::start()? else {
        println!("Not measured: there is no chromedriver (Debian: chromium-driver).\n");
        return Ok(());
    };
    let run = Run::start(20, false)?;
    let base = format!("http://{}", run.service.console());
    let link = run.service.setup_link().ok_or_else(|| io::Error::other("no link to set it up"))?;
    browser.set_up(&link)?;
    let (loads, pages) = if options.quick { (2, &PAGES[..3]) } else { (10, &PAGES[..]) };
    println!("| page | loads | ms: median | longest |\n|---|---|---|---|");
    let mut all = vec![];
    for page in pages {
        let address = format!("{base}{page}");
        // The first one fills the caches of both sides, as somebody's first page of a day does.
        let times = (0..loads).map(|_| browser.painted(&address));
        let mut times = times.collect::<io::Result<Vec<_>>>()?;
        times.sort_by(f64::total_cmp);
        let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
        println!("| {page} | {loads} | {median:.0} | {longest:.0} |");
        all.extend(times);
    }
    println!();
    all.sort_by(f64::total_cmp);
    let note = |what: &str, figure, goal| {
        let what = format!("a page of the console, first paint in Chromium: {what}");
        Row { what: &what, figure, unit: "ms", beside: None, goal }.note();
    };
    note("median", all[all.len() / 2], "");
    note("longest", all[all.len() - 1], "≤ 300 ms");
    Ok(())
}
