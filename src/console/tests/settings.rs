//! Every key as a form, people who come and go, the guidance, the history.

use super::saving::{FILE, Office, hidden};
use crate::store::accounts::Role;

/// What a form would send that is sent as it came.
fn as_it_is(html: &str) -> Vec<(String, String)> {
    let start = html.find("name=\"base\"").unwrap();
    let start = html[..start].rfind("<form").unwrap();
    let form = &html[start..start + html[start..].find("</form>").unwrap()];
    let attribute = |tag: &str, name: &str| -> Option<String> {
        let at = tag.find(&format!(" {name}=\""))? + name.len() + 3;
        Some(unescaped(tag[at..].split('"').next()?))
    };
    let mut fields = Vec::new();
    for (n, _) in form.match_indices('<') {
        let tag = &form[n..n + form[n..].find('>').unwrap()];
        let Some(name) = attribute(tag, "name").filter(|name| name != "csrf") else { continue };
        let inside = &form[n + tag.len() + 1..];
        if tag.starts_with("<input") {
            let is_box = tag.contains("type=\"checkbox\"");
            let value =
                attribute(tag, "value").unwrap_or_else(|| if is_box { "on" } else { "" }.into());
            if !is_box || tag.contains(" checked") {
                fields.push((name, value));
            }
        } else if tag.starts_with("<textarea") {
            fields.push((name, unescaped(inside.split('<').next().unwrap())));
        } else if tag.starts_with("<select") {
            let options = inside.split("</select>").next().unwrap();
            let chosen = options.split("<option").find(|option| option.contains(" selected"));
            let chosen = chosen.or_else(|| options.split("<option").nth(1)).unwrap_or_default();
            let text = chosen.split('>').nth(1).and_then(|it| it.split('<').next());
            let value = attribute(chosen, "value").or_else(|| text.map(unescaped));
            fields.push((name, value.unwrap_or_default()));
        }
    }
    fields
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&#60;", "<").replace("&#62;", ">").replace("&#34;", "\"");
    text.replace("&#39;", "'").replace("&#38;", "&")
}

fn with<'a>(
    fields: &'a [(String, String)],
    changes: &[(&'a str, &'a str)],
    step: &'a str,
) -> Vec<(&'a str, &'a str)> {
    let kept = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let kept = kept.filter(|(name, _)| !changes.iter().any(|(other, _)| other == name));
    kept.chain(changes.iter().copied()).chain([("step", step)]).collect()
}

const PAGES: [&str; 18] = [
    "/settings/contacts",
    "/settings/opening",
    "/settings/reports",
    "/settings/service",
    "/settings/codes",
    "/settings/supervision",
    "/settings/prompts",
    "/settings/recording",
    "/settings/sip",
    "/settings/media",
    "/settings/console",
    "/settings/store",
    "/settings/line/nijiiro",
    "/settings/line/nijiiro/prompts",
    "/settings/line/nijiiro/guidance",
    "/settings/counselor/101",
    "/settings/trunk/navi",
    "/hours/nijiiro",
];

#[tokio::test]
async fn a_form_that_is_sent_as_it_came_changes_nothing() {
    let office = Office::open(Role::Operator, FILE).await;
    let (code, list) = office.page("/settings").await;
    assert!(code == 200 && list.contains("/settings/counselor/101"), "{list}");
    for path in PAGES {
        let (code, page) = office.page(path).await;
        assert!(code == 200 && page.len() < 100_000, "{path}: {code}, {} bytes", page.len());
        for secret in ["carrier-secret-1", "phone-secret-1"] {
            assert!(!page.contains(secret), "{path}");
        }
        let fields = as_it_is(&page);
        let (code, page) = office.post(path, &with(&fields, &[], "save")).await;
        assert!(code == 422 && page.contains("変わったところがありません"), "{path}: {page}");
    }
    assert_eq!(office.text(), FILE);
    for path in
        ["/settings/nothing", "/settings/line/x", "/settings/x/y", "/settings/line/x/guidance"]
    {
        assert_eq!(office.page(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn a_key_is_changed_in_its_line_alone() {
    let office = Office::open(Role::Operator, FILE).await;
    let change = async |path: &str, changes: &[(&str, &str)]| {
        let (_, page) = office.page(path).await;
        let fields = as_it_is(&page);
        let (code, look) = office.post(path, &with(&fields, changes, "look")).await;
        assert!(code == 200 && look.contains("value=\"save\""), "{look}");
        let (code, page) = office.post(path, &with(&fields, changes, "save")).await;
        assert_eq!(code, 303, "{page}");
        look
    };
    change("/settings/service", &[("service.max_calls", "150")]).await;
    let expected = FILE.replace("max_calls = 200", "max_calls = 150");
    assert_eq!(office.text(), expected);
    change("/settings/line/nijiiro", &[("line.nijiiro.queue.max_wait", "90s")]).await;
    let hours = "service_end = \"22:00\"\n";
    let expected = expected.replace(hours, &format!("{hours}\n[line.queue]\nmax_wait = \"90s\"\n"));
    assert_eq!(office.text(), expected);
    // What is emptied takes its default again, and leaves no trace.
    change("/settings/line/nijiiro", &[("line.nijiiro.queue.max_wait", "")]).await;
    let expected = FILE.replace("max_calls = 200", "max_calls = 150");
    assert_eq!(office.text(), expected);
    let look = change("/settings/media", &[("media.threads", "2")]).await;
    assert!(look.contains("サービスの再起動後"), "{look}");
    let markup = "<b>\"'&</b>";
    let look = change("/settings/counselor/101", &[("counselor.101.name", markup)]).await;
    assert!(!look.contains("<b>\"") && look.contains("&#60;b&#62;"), "{look}");
    let table: toml::Table = office.text().parse().unwrap();
    assert_eq!(table["counselor"][0]["name"].as_str(), Some(markup));
    let (_, page) = office.page("/settings").await;
    assert!(!page.contains("<b>\""), "{page}");
    let reasons = [("reason.1", "休憩"), ("reason.2", ""), ("reason.5", "会議")];
    change("/settings/codes", &reasons).await;
    let written = "pause_reasons = { 1 = \"休憩\", 3 = \"相談\", 4 = \"研修\", 5 = \"会議\" }";
    assert!(office.text().contains(written), "{}", office.text());
    let trunk = [("trunk.navi.register.password", "another-secret-2")];
    let look = change("/settings/trunk/navi", &trunk).await;
    let visible = look.split("action=\"/settings/trunk").next().unwrap();
    assert!(!visible.contains("another-secret-2") && visible.contains("(secret)"), "{look}");
    assert!(office.text().contains("password = \"another-secret-2\""));
    let told = "changed trunk.navi.register.password: (secret) → (secret)";
    let audit = office.audit(told).await;
    assert!(!audit.contains("another-secret-2") && !audit.contains("carrier-secret-1"), "{audit}");
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_field() {
    let office = Office::open(Role::Operator, FILE).await;
    let (_, page) = office.page("/settings/line/nijiiro").await;
    let fields = as_it_is(&page);
    let cases = [
        ("line.nijiiro.queue.max_wait", "3 minutes", "時間の長さとして読めません"),
        ("line.nijiiro.queue.max_wait", "9d", "長すぎます"),
        ("line.nijiiro.queue.max_callers", "many", "整数で"),
        ("line.nijiiro.queue.hold", "nothing", "音声「nothing」はありません"),
        ("line.nijiiro.numbers", "abc", "電話番号として読めません"),
        ("line.nijiiro.name", "a\u{1}b", "制御文字"),
        ("line.nijiiro.recording.mode", "on", "録音を開ける人の鍵"),
        ("line.nijiiro.counselor_tones", "15m", "組にして"),
    ];
    for (name, value, said) in cases {
        let sent = with(&fields, &[(name, value)], "save");
        let (code, page) = office.post("/settings/line/nijiiro", &sent).await;
        assert_eq!(code, 422, "{name}");
        let field = page.split(&format!("name=\"{name}\"")).nth(1).unwrap();
        let field = field.split("class=\"field\"").next().unwrap();
        assert!(field.contains("role=\"alert\"") && field.contains(said), "{name}: {field}");
    }
    assert_eq!(office.text(), FILE);
}

#[tokio::test]
async fn counselors_come_and_go_and_their_password_shows_once() {
    let office = Office::open(Role::Operator, FILE).await;
    let (_, page) = office.page("/settings/counselor/new").await;
    let base = hidden(&page, "base");
    let new = |id, step| {
        let own = [("base", base.as_str()), ("id", id), ("name", "相談員B"), ("lines", "nijiiro")];
        [&own[..], &[("step", step)]].concat()
    };
    for bad in ["101", "x", "1"] {
        assert_eq!(office.post("/settings/counselor/new", &new(bad, "save")).await.0, 422, "{bad}");
    }
    let (code, look) = office.post("/settings/counselor/new", &new("102", "look")).await;
    assert!(code == 200 && look.contains("ha1 = &#34;(secret)&#34;"), "{look}");
    let (code, shown) = office.post("/settings/counselor/new", &new("102", "save")).await;
    assert_eq!(code, 200, "{shown}");
    let password = shown.split("id=\"password\">").nth(1).unwrap().split('<').next().unwrap();
    let domain = "koebashi.local";
    let ha1 = crate::sip::auth::ha1(crate::sip::auth::Algorithm::Md5, "102", domain, password);
    assert!(office.text().contains(&format!("ha1 = \"{ha1}\"")), "{}", office.text());
    assert!(!office.text().contains(password));
    let (_, page) = office.page("/settings/counselor/102").await;
    assert!(!page.contains(&ha1) && page.contains("相談員B"), "{page}");
    let base = hidden(&page, "base");
    let again = [("base", base.as_str()), ("step", "save")];
    let (code, shown) = office.post("/settings/counselor/101/password", &again).await;
    assert!(code == 200 && shown.contains("id=\"password\""), "{shown}");
    assert!(!office.text().contains("phone-secret-1"));
    let (_, page) = office.page("/settings/counselor/102").await;
    let base = hidden(&page, "base");
    let gone = [("base", base.as_str()), ("step", "save")];
    assert_eq!(office.post("/settings/counselor/102/remove", &gone).await.0, 303);
    assert!(!office.text().contains("102\""), "{}", office.text());
    assert!(office.text().ends_with("# The end.\n"));
}

#[tokio::test]
async fn a_line_takes_its_counselors_along() {
    let office = Office::open(Role::Operator, FILE).await;
    let (_, page) = office.page("/settings/line/new").await;
    let base = hidden(&page, "base");
    let new = [
        ("base", base.as_str()),
        ("id", "second"),
        ("name", "第二"),
        ("texts", "0480000000\n048-000-0001"),
        ("step", "save"),
    ];
    assert_eq!(office.post("/settings/line/new", &new).await.0, 303);
    let (_, page) = office.page("/settings/line/nijiiro").await;
    let base = hidden(&page, "base");
    let gone = [("base", base.as_str()), ("step", "save")];
    assert_eq!(office.post("/settings/line/nijiiro/remove", &gone).await.0, 303);
    let text = office.text();
    assert!(text.contains("lines = []") && !text.contains("\"nijiiro\""), "{text}");
    assert!(text.contains("numbers = [\"0480000000\", \"048-000-0001\"]"), "{text}");
}

#[tokio::test]
async fn a_dead_end_is_seen_before_it_is_saved() {
    let office = Office::open(Role::Operator, FILE).await;
    let path = "/settings/line/nijiiro/guidance";
    let (_, page) = office.page(path).await;
    assert!(page.contains("<svg") && page.contains(">はじめ start<"), "{page}");
    let fields = as_it_is(&page);
    // A second node with a key, to which the start leads.
    let menu = [
        ("next.1", "menu"),
        ("name.2", "menu"),
        ("play.2", "welcome"),
        ("key.2", "1"),
        ("to.2", "queue"),
        ("next.2", "hangup"),
        ("repeats.2", "1"),
    ];
    let (code, look) = office.post(path, &with(&fields, &menu, "look")).await;
    assert!(code == 200 && look.contains("<svg") && look.contains(">menu<"), "{look}");
    assert_eq!(office.post(path, &with(&fields, &menu, "save")).await.0, 303);
    let written = "[line.guidance]\nstart = { play = [\"welcome\"], next = \"menu\" }\nmenu = \
        { play = [\"welcome\"], keys = { 1 = \"queue\" }, repeats = 1, next = \"hangup\" }\n";
    assert!(office.text().contains(written), "{}", office.text());
    let before = office.text();
    let (_, page) = office.page(path).await;
    let fields = as_it_is(&page);
    let nowhere = [("next.1", "gone")];
    let (code, page) = office.post(path, &with(&fields, &nowhere, "save")).await;
    assert!(code == 422 && page.contains("行き止まり"), "{page}");
    let round = [("next.1", "start")];
    let (code, page) = office.post(path, &with(&fields, &round, "save")).await;
    assert!(code == 422 && page.contains("永久に"), "{page}");
    assert_eq!(office.text(), before);
    let less = [("next.1", "queue"), ("gone.2", "on")];
    assert_eq!(office.post(path, &with(&fields, &less, "save")).await.0, 303);
    assert!(!office.text().contains("menu"), "{}", office.text());
}

#[tokio::test]
async fn the_history_shows_who_changed_what_and_goes_back() {
    let office = Office::open(Role::Operator, FILE).await;
    let (_, page) = office.page("/settings/service").await;
    let fields = as_it_is(&page);
    let less = [("service.max_calls", "150"), ("note", "fewer & <b>")];
    assert_eq!(office.post("/settings/service", &with(&fields, &less, "save")).await.0, 303);
    let by_hand = office.text().replace("にじいろ", "虹色");
    std::fs::write(office.file(), &by_hand).unwrap();
    let (code, list) = office.page("/settings/history").await;
    assert!(code == 200 && list.contains("ファイルを直接編集"), "{list}");
    assert!(
        list.contains("fewer &#38; &#60;b&#62;") && list.contains("/settings/history/3"),
        "{list}"
    );
    let (_, one) = office.page("/settings/history/2").await;
    assert!(one.contains("<ins>+ max_calls = 150 # the carrier&#39;s</ins>"), "{one}");
    let base = hidden(&one, "base");
    let back = |step, base| [("base", base), ("step", step)];
    let (code, look) = office.post("/settings/roll-back/1", &back("look", base.as_str())).await;
    assert!(code == 200 && look.contains("<del>- name = &#34;虹色&#34;</del>"), "{look}");
    assert_eq!(office.text(), by_hand);
    // Somebody changes it in between: it is looked at once more.
    std::fs::write(office.file(), by_hand.replace("150", "160")).unwrap();
    let (code, look) = office.post("/settings/roll-back/1", &back("save", base.as_str())).await;
    assert!(code == 200 && look.contains("160"), "{look}");
    let base = hidden(&look, "base");
    assert_eq!(office.post("/settings/roll-back/1", &back("save", base.as_str())).await.0, 303);
    assert_eq!(office.text(), FILE);
    let office = office.enter("B", Role::Auditor).await;
    let (code, one) = office.page("/settings/history/2").await;
    assert!(code == 200 && !one.contains("/settings/roll-back/"), "{one}");
    assert!(!one.contains("phone-secret-1"));
    assert_eq!(office.post("/settings/roll-back/2", &back("save", "")).await.0, 403);
    assert_eq!(office.page("/settings").await.0, 403);
}

#[tokio::test]
async fn a_broken_file_is_put_right_by_going_back() {
    let office = Office::open(Role::Operator, FILE).await;
    office.page("/settings").await;
    std::fs::write(office.file(), "[service").unwrap();
    let (code, page) = office.page("/settings").await;
    assert!(code == 409 && page.contains("/settings/history"), "{page}");
    std::fs::write(office.file(), FILE.replacen("[[line]]", "[[line]]\nqueue.max_wait = 5", 1))
        .unwrap();
    let (code, page) = office.page("/settings").await;
    let said = "行目: 待ち時間の上限 (line.nijiiro.queue.max_wait): ";
    assert!(code == 409 && page.contains(said) && page.contains("引用符で囲んで"), "{page}");
    let (_, one) = office.page("/settings/history/1").await;
    let base = hidden(&one, "base");
    let back = [("base", base.as_str()), ("step", "save")];
    assert_eq!(office.post("/settings/roll-back/1", &back).await.0, 303);
    assert_eq!(office.text(), FILE);
}

/// What names a program, a file or a folder of the machine is shown, and changed by hand only.
#[tokio::test]
async fn what_the_machine_runs_or_reads_is_changed_by_hand_only() {
    let office = Office::open(Role::Operator, FILE).await;
    for (path, key) in [
        ("/settings/service", "service.voice_command"),
        ("/settings/service", "service.prompts_dir"),
        ("/settings/service", "service.state_dir"),
        ("/settings/sip", "sip.tls.certificate"),
        ("/settings/sip", "sip.tls.key"),
        ("/settings/sip", "sip.tls.client_ca"),
        ("/settings/sip", "sip.tls.ca"),
        ("/settings/opening", "opening.mail.password_file"),
        ("/settings/trunk/navi", "trunk.navi.register.password_file"),
    ] {
        let (_, page) = office.page(path).await;
        assert!(!page.contains(&format!("name=\"{key}\"")), "{key}");
        assert!(page.contains(&format!("id=\"about-{key}\"")), "{key} is shown");
        let fields = as_it_is(&page);
        let (code, page) = office.post(path, &with(&fields, &[(key, "/tmp/x")], "save")).await;
        assert!(
            code == 422 && page.contains("設定ファイルを直接編集してください"),
            "{key}: {page}"
        );
        assert_eq!(office.text(), FILE, "{key}");
    }
    // Nor does it come back with an earlier version.
    office.page("/settings").await;
    let elsewhere = FILE.replace("[service]", "[service]\nprompts_dir = \"elsewhere\"");
    std::fs::write(office.file(), &elsewhere).unwrap();
    let (_, one) = office.page("/settings/history/1").await;
    let base = hidden(&one, "base");
    let back = [("base", base.as_str()), ("step", "save")];
    assert_eq!(office.post("/settings/roll-back/1", &back).await.0, 303);
    let (_, page) = office.page("/settings/history/1").await;
    assert!(page.contains("設定ファイルを直接編集してください"), "{page}");
    assert_eq!(office.text(), elsewhere);
}
