//! A console with a folder of prompts of its own, and what it answers.

use super::*;

/// A console with an operator who is signed in.
pub(super) struct Station {
    pub(super) address: SocketAddr,
    pub(super) folder: PathBuf,
    pub(super) store: Store,
    pub(super) cookie: String,
    pub(super) csrf: String,
    pub(super) tasks: Vec<JoinHandle<()>>,
    pub(super) desk: Arc<Desk>,
    pub(super) rehearsals: mpsc::Receiver<Rehearsal>,
    pub(super) _feed: Feed,
}

impl Drop for Station {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What a page says went wrong.
    pub(super) fn wrong(&self) -> String {
        let text = self.text();
        let after = text.split("role=\"alert\">").nth(1).unwrap_or_default();
        after.split("</p>").next().unwrap_or_default().to_owned()
    }

    pub(super) fn location(&self) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix("location: "));
        line.unwrap_or_default().trim()
    }
}

const CONFIG: &str = r#"
[service]
prompts_dir = "FOLDER/prompts"
voice_command = VOICE
[[trunk]]
id = "t"
peers = ["127.0.0.1"]
[[line]]
id = "main"
name = "<b>主</b>"
numbers = ["0570000000"]
[line.guidance]
start = { play = ["welcome", "charge_notice", "recording_ask", "help"], next = "queue" }
lonely = { play = ["not_recorded"], next = "hangup" }
[[counselor]]
extension = "101"
password = "koebashi-101"
lines = ["main"]
"#;

impl Station {
    pub(super) async fn open(voice: &str) -> Self {
        Self::open_with(voice, Console::default()).await
    }

    pub(super) async fn open_with(voice: &str, limits: Console) -> Self {
        static NTH: AtomicU32 = AtomicU32::new(0);
        let nth = NTH.fetch_add(1, Ordering::Relaxed);
        let name = format!("koebashi-prompts-{}-{nth}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("prompts")).unwrap();
        let config = CONFIG.replace("VOICE", voice).replace("FOLDER", folder.to_str().unwrap());
        fs::write(folder.join("koebashi.toml"), config).unwrap();
        let path = folder.join("state").join("koebashi.db");
        let (store, _) = Store::open(&store::Config { path, ..store::Config::default() }).unwrap();
        let mut station = Self::serve(folder, store, limits).await;
        let setup = station.desk.setup_path().unwrap();
        let form = "name=op&password=koebashi-op&again=koebashi-op";
        let answer = station.form(&setup, form).await;
        let cookie = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        station.cookie = cookie.unwrap().split(';').next().unwrap().to_owned();
        let page = station.get("/account").await.text();
        let csrf = page.split("data-csrf=\"").nth(1).unwrap().split('"').next().unwrap();
        station.csrf = csrf.to_owned();
        station
    }

    pub(super) async fn serve(folder: PathBuf, store: Store, limits: Console) -> Self {
        let config = folder.join("koebashi.toml");
        let (told, current) = watch::channel(Arc::new(ready::load(&config).unwrap()));
        let (feed, handle) = channel(store.clone(), Metrics::default());
        let (reloads, mut asked) = mpsc::channel::<Reload>(8);
        let reloading = tokio::spawn(async move {
            while let Some(answer) = asked.recv().await {
                let read = ready::load(&config).map(|ready| told.send_replace(Arc::new(ready)));
                drop(answer.send(read.map(drop)));
            }
        });
        let limits = Console { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), ..limits };
        let listener = bind(&limits).await.unwrap();
        let address = listener.local_addr().unwrap();
        let chance = Chance::from_number(7);
        let (phones, rehearsals) = mpsc::channel(8);
        let handle = handle.with_reloads(reloads).with_rehearsals(phones);
        let desk = Desk::open(Setup { handle, limits, current, path: PathBuf::new(), chance })
            .await
            .unwrap();
        let serving = tokio::spawn(serve(listener, Arc::clone(&desk), std::future::pending()));
        let (cookie, csrf) = (String::new(), String::new());
        let tasks = vec![reloading, serving];
        Self { address, folder, store, cookie, csrf, tasks, desk, rehearsals, _feed: feed }
    }

    pub(super) async fn send(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let cookie = &self.cookie;
        let request = format!(
            "{head}\r\nHost: localhost\r\nCookie: {cookie}; koebashi_language=en\r\n\
             Accept: text/html\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        Answer { status, head, body: answer.get(end + 4..).unwrap_or_default().to_vec() }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1"), b"").await
    }

    pub(super) async fn form(&self, path: &str, form: &str) -> Answer {
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let form = format!("{form}&csrf={}", self.csrf);
        self.send(&format!("POST {path} HTTP/1.1\r\n{kind}"), form.as_bytes()).await
    }

    pub(super) async fn upload(
        &self,
        prompt: &str,
        text: &str,
        file: &str,
        bytes: &[u8],
    ) -> Answer {
        let mut body = Vec::new();
        let text =
            format!("--x\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n{text}\r\n");
        let head = format!(
            "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file}\"\r\n\r\n"
        );
        body.extend([text.as_bytes(), head.as_bytes(), bytes, b"\r\n--x--\r\n"].concat());
        let kind = "Content-Type: multipart/form-data; boundary=x";
        let path = format!("/prompts/{prompt}/upload?csrf={}", self.csrf);
        self.send(&format!("POST {path} HTTP/1.1\r\n{kind}"), &body).await
    }

    /// Puts a version on air, having seen what is.
    pub(super) async fn activate(&self, prompt: &str, n: u32) -> Answer {
        let seen = self.seen(&format!("/prompts/{prompt}/versions/{n}")).await;
        self.form(&format!("/prompts/{prompt}/versions/{n}/activate"), &seen).await
    }

    /// What a page says is on air, as its form sends it.
    pub(super) async fn seen(&self, page: &str) -> String {
        let page = self.get(page).await.text();
        let live = page.split("name=\"live\" value=\"").nth(1).unwrap_or_default();
        format!("live={}", live.split('"').next().unwrap_or_default())
    }

    pub(super) fn versions(&self, prompt: &str) -> Vec<versions::Version> {
        let reader = Reader::open(self.store.path()).unwrap();
        reader.read(|conn| versions::all(conn, prompt)).unwrap()
    }

    pub(super) fn uploads(&self) -> usize {
        fs::read_dir(self.folder.join("state/uploads")).map_or(0, Iterator::count)
    }

    /// Length of the prompt that is in force.
    pub(super) fn length(&self, prompt: &str) -> Option<Duration> {
        let current = self.desk.current();
        current.loaded.call.prompt_lengths.get(&crate::media::Prompt::from(prompt)).copied()
    }
}
