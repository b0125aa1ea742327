//! Signing in and out, the first account, invitations, the language.

use std::sync::Arc;
use std::time::{Duration, Instant};

use askama::Template;
use axum::extract::{Extension, Form, Path, Query};
use axum::http::header::{ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Router, response::IntoResponse};
use serde::Deserialize;

use crate::console::access::home;
use crate::console::desk::{Desk, Notice};
use crate::console::save::BY_HAND;
use crate::console::sign_in::{From, password, sessions, totp};
use crate::console::ui::{LANGUAGE, Page, View, cookie, is_path, render, see_other, show};
use crate::lang::Lang;
use crate::shell::clock;
use crate::store::accounts::{self, Account, First, Role};

/// The paths of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/", get(first))
        .route("/sign-in", get(ask).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/language", post(language))
        .route("/setup/{token}", get(ask_first).post(make_first))
        .route("/invitation/{token}", get(ask_invited).post(accept))
}

/// Names under which the service itself stands in the audit trail and the history.
const RESERVED: [&str; 3] = ["system", "console", BY_HAND];

/// What somebody typed when their time was over.
#[derive(Clone, Debug, Default)]
pub(in crate::console) struct Kept {
    /// Where it was to go.
    pub(in crate::console) path: String,
    /// What was typed.
    pub(in crate::console) fields: Vec<(String, String)>,
    /// Fields with a file, which has to be chosen again.
    pub(in crate::console) files: Vec<String>,
}

#[derive(Template)]
#[template(path = "sign_in.html", config = ".askama.toml")]
struct SignIn {
    page: Page,
    next: String,
    name: String,
    kept: Option<Kept>,
}

#[derive(Template)]
#[template(path = "go_on.html", config = ".askama.toml")]
struct GoOn {
    page: Page,
    csrf: String,
    kept: Kept,
    /// Where a form with a file goes: its token is in the address.
    upload: String,
}

#[derive(Template)]
#[template(path = "new_password.html", config = ".askama.toml")]
struct NewPassword {
    page: Page,
    /// `None`: chosen here.
    name: Option<String>,
    least: usize,
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Language {
    language: String,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Chosen {
    #[serde(default)]
    name: String,
    password: String,
    again: String,
}

async fn first(view: View, headers: HeaderMap) -> Response {
    let Some(token) = cookie(&headers, sessions::COOKIE) else { return see_other("/sign-in") };
    match view.desk.person(token).await {
        Some(person) => see_other(home(person.role)),
        None => see_other("/sign-in"),
    }
}

async fn ask(view: View, Query(Next { next }): Query<Next>) -> Response {
    form(&view, StatusCode::OK, None, next, String::new(), None)
}

/// Asks to sign in again; what was typed comes along.
pub(in crate::console) fn again(view: &View, kept: Kept) -> Response {
    let text = match kept.files.is_empty() {
        true => view.t(
            "時間が過ぎたため、サインインし直してください。入力した内容は残っています。",
            "Your time was over. Please sign in again; what you typed is kept.",
        ),
        false => view.t(
            "時間が過ぎたため、サインインし直してください。入力した文字は残っています。\
             ファイルは、サインインのあとでもう一度選んでください。",
            "Your time was over. Please sign in again; what you typed is kept. Then choose the \
             file again.",
        ),
    };
    let notice = Some((false, text.to_owned()));
    form(view, StatusCode::UNAUTHORIZED, notice, String::new(), String::new(), Some(kept))
}

fn form(
    view: &View,
    status: StatusCode,
    notice: Option<(bool, String)>,
    next: String,
    name: String,
    kept: Option<Kept>,
) -> Response {
    let mut page = view.page(view.t("サインイン", "Sign in"));
    page.menu.clear();
    page.path = "/sign-in".to_owned();
    page.notice = notice.map(|(is_bad, text)| Notice { is_bad, text });
    let next = if is_path(&next) { next } else { String::new() };
    render(status, &SignIn { page, next, name, kept })
}

/// The fields of the sign-in form; all others are what was typed before.
#[derive(Default)]
struct Given {
    name: String,
    password: String,
    code: String,
    next: String,
    kept: Option<Kept>,
}

impl Given {
    fn of(fields: Vec<(String, String)>) -> Self {
        let mut given = Self::default();
        let mut kept = Kept::default();
        for (key, value) in fields {
            match &*key {
                "sign_in.name" => given.name = value.trim().to_owned(),
                "sign_in.password" => given.password = value,
                "sign_in.code" => given.code = value,
                "sign_in.next" => given.next = value,
                "sign_in.path" => kept.path = value,
                "sign_in.file" => kept.files.push(value),
                "csrf" => {}
                _ => kept.fields.push((key, value)),
            }
        }
        given.kept = is_path(&kept.path).then_some(kept);
        given
    }
}

async fn sign_in(
    view: View,
    Extension(peer): Extension<From>,
    headers: HeaderMap,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let given = Given::of(fields);
    let from = peer.or_forwarded(&headers);
    let Given { name, next, kept, .. } = &given;
    let refuse = |status, text: String| {
        form(&view, status, Some((true, text)), next.clone(), name.clone(), kept.clone())
    };
    if let Err(wait) = view.desk.guesses().begin(Instant::now(), name, from) {
        return refuse(StatusCode::TOO_MANY_REQUESTS, too_many(&view, wait));
    }
    let account = match judge(&view, &given).await {
        Ok(Some(account)) => account,
        Ok(None) => {
            view.desk.audit_refusal("system", refused(&view, name).await);
            let text = view.t(
                "名前、パスワード、または確認コードが違います。",
                "Name, password or code is not right.",
            );
            return refuse(StatusCode::UNAUTHORIZED, text.to_owned());
        }
        Err(error) => return view.fault(&error),
    };
    view.desk.guesses().was_right(name, from);
    let token = match view.desk.sign_in(&account).await {
        Ok(token) => token,
        Err(error) => return view.fault(&error),
    };
    view.desk.audit_of(&account.name, "signed in");
    let response = match (kept.clone(), next.as_str()) {
        (Some(kept), _) => go_on(&view, sessions::csrf(&token), kept),
        (None, "") => see_other(home(account.role)),
        (None, next) if is_path(next) => see_other(next),
        (None, _) => see_other(home(account.role)),
    };
    with_cookie(response, &view, &headers, &token)
}

/// Shows that what was typed is there, to be sent.
fn go_on(view: &View, csrf: String, kept: Kept) -> Response {
    let and = if kept.path.contains('?') { '&' } else { '?' };
    let upload = format!("{}{and}csrf={csrf}", kept.path);
    show(&GoOn { page: view.page(view.t("続ける", "Go on")), csrf, kept, upload })
}

/// That there were too many guesses, and how long to wait.
pub(super) fn too_many(view: &View, wait: Duration) -> String {
    let seconds = wait.as_secs() + 1;
    match view.l {
        Lang::Ja => format!("試行が多すぎます。{seconds}秒待ってからもう一度お試しください。"),
        Lang::En => format!("Too many tries. Please wait {seconds} seconds."),
    }
}

/// The account, where everything is right.
async fn judge(view: &View, given: &Given) -> Result<Option<Account>, crate::store::Error> {
    let name = given.name.clone();
    let found = view.desk.read(move |db| db.read(|conn| accounts::find(conn, &name))).await?;
    let hashed = found.as_ref().and_then(|account| account.password.clone());
    let typed = given.password.clone();
    let right = view.desk.hashing(move || password::is_right(&typed, hashed.as_deref())).await;
    let Some(mut account) = found.filter(|_| right == Some(true)) else { return Ok(None) };
    if let Some(secret) = &account.totp {
        let now = clock::now().wall;
        let Some(step) = totp::step(secret, &given.code, now, account.totp_step) else {
            return Ok(None);
        };
        account.totp_step = step;
        let whose = account.name.clone();
        // Of two sign-ins with one code only the first is one.
        let is_new = move |kept: &mut Account| step > std::mem::replace(&mut kept.totp_step, step);
        let take = move |conn: &_| accounts::amend(conn, &whose, is_new);
        if !view.desk.store().run(take).await? {
            return Ok(None);
        }
    }
    Ok(Some(account))
}

/// What the audit trail says. What was typed is told only where it is an account's name: it may be
/// a password in the wrong field.
async fn refused(view: &View, name: &str) -> String {
    let known = name.to_owned();
    let found = view.desk.read(move |db| db.read(|conn| accounts::find(conn, &known))).await;
    match found {
        Ok(Some(account)) => format!("a sign-in as {:?} was refused", account.name),
        Ok(None) | Err(_) => "a sign-in under an unknown name was refused".to_owned(),
    }
}

/// A cookie goes over TLS only where the page came over it.
fn with_cookie(mut response: Response, view: &View, headers: &HeaderMap, token: &str) -> Response {
    let origin = headers.get(ORIGIN).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let secure = if origin.starts_with("https://") { "; Secure" } else { "" };
    let age = if token.is_empty() { 0 } else { view.desk.session().as_secs() };
    let name = sessions::COOKIE;
    let text = format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

async fn sign_out(view: View, headers: HeaderMap) -> Response {
    if let Some(token) = cookie(&headers, sessions::COOKIE) {
        view.desk.sign_out(token).await;
        view.desk.audit(&view.person, "signed out");
    }
    with_cookie(see_other("/sign-in"), &view, &headers, "")
}

async fn language(Form(Language { language, next }): Form<Language>) -> Response {
    let language = if language == "en" { "en" } else { "ja" };
    let text = format!("{LANGUAGE}={language}; Path=/; SameSite=Lax; Max-Age=31536000");
    let next = if is_path(&next) { next } else { "/".to_owned() };
    ([(SET_COOKIE, text)], see_other(&next)).into_response()
}

async fn ask_first(view: View, Path(token): Path<String>) -> Response {
    if !view.desk.is_setup(&token) {
        return gone(&view);
    }
    let page = view.page(view.t("最初のアカウント", "The first account"));
    show(&NewPassword { page, name: None, least: *password::LENGTH.start() })
}

async fn make_first(
    view: View,
    Path(token): Path<String>,
    headers: HeaderMap,
    Form(chosen): Form<Chosen>,
) -> Response {
    if !view.desk.is_setup(&token) {
        return gone(&view);
    }
    let name = chosen.name.trim().to_owned();
    if let Some(wrong) = wrong_name(&view, &name).or_else(|| wrong_password(&view, &chosen)) {
        return first_again(&view, wrong);
    }
    let Some(hashed) = hash(&view, chosen.password).await else {
        return view.fault(&"a password can't be hashed");
    };
    let account = Account { password: Some(hashed), ..Account::new(name.clone(), Role::Operator) };
    let kept = account.clone();
    // The link ends only when there is somebody who can sign in.
    match view.desk.store().run(move |conn| accounts::create_first(conn, &kept)).await {
        Ok(First::Made) => view.desk.end_setup(),
        Ok(First::Late) => {
            view.desk.end_setup();
            return gone(&view);
        }
        Ok(First::NameTaken) => {
            let text = view.t(
                "その名前は使われています。ほかの名前にしてください。",
                "That name is taken. Please choose another one.",
            );
            return first_again(&view, text);
        }
        Err(error) => return view.fault(&error),
    }
    begin(&view, &headers, account, "set the console up").await
}

/// Asks for the first account again, and says what is wrong.
fn first_again(view: &View, wrong: &str) -> Response {
    let mut page = view.page(view.t("最初のアカウント", "The first account"));
    page.notice = Some(Notice { is_bad: true, text: wrong.to_owned() });
    let form = NewPassword { page, name: None, least: *password::LENGTH.start() };
    render(StatusCode::UNPROCESSABLE_ENTITY, &form)
}

/// Signs an account in for the first time.
async fn begin(view: &View, headers: &HeaderMap, account: Account, deed: &str) -> Response {
    view.desk.audit_of(&account.name, deed);
    match view.desk.sign_in(&account).await {
        Ok(token) => with_cookie(see_other(home(account.role)), view, headers, &token),
        Err(error) => view.fault(&error),
    }
}

/// Whoever is invited by this token, while it is good.
async fn invited(view: &View, token: &str) -> Result<Option<Account>, crate::store::Error> {
    let (hash, now) = (sessions::hash(token), clock::now().wall);
    let all = view.desk.read(|db| db.read(accounts::all)).await?;
    let fits = |account: &Account| {
        account.invitation.as_ref().is_some_and(|(kept, until)| *kept == hash && *until > now)
    };
    Ok(all.into_iter().find(fits))
}

async fn ask_invited(view: View, Path(token): Path<String>) -> Response {
    match invited(&view, &token).await {
        Ok(Some(account)) => {
            let page = view.page(view.t("パスワードを決める", "Choose your password"));
            let name = Some(account.name);
            show(&NewPassword { page, name, least: *password::LENGTH.start() })
        }
        Ok(None) => gone(&view),
        Err(error) => view.fault(&error),
    }
}

async fn accept(
    view: View,
    Path(token): Path<String>,
    headers: HeaderMap,
    Form(chosen): Form<Chosen>,
) -> Response {
    let account = match invited(&view, &token).await {
        Ok(Some(account)) => account,
        Ok(None) => return gone(&view),
        Err(error) => return view.fault(&error),
    };
    if let Some(wrong) = wrong_password(&view, &chosen) {
        let mut page = view.page(view.t("パスワードを決める", "Choose your password"));
        page.notice = Some(Notice { is_bad: true, text: wrong.to_owned() });
        let (name, least) = (Some(account.name), *password::LENGTH.start());
        return render(StatusCode::UNPROCESSABLE_ENTITY, &NewPassword { page, name, least });
    }
    let Some(hashed) = hash(&view, chosen.password).await else {
        return view.fault(&"a password can't be hashed");
    };
    if let Err(error) = view.desk.sign_out_all(&account.name).await {
        return view.fault(&error);
    }
    let (whose, invitation) = (account.name.clone(), account.invitation.clone());
    let take = move |conn: &_| {
        accounts::amend(conn, &whose, |kept| {
            let is_good = kept.invitation == invitation;
            // Whoever forgot the password may have lost the second factor with it: it is set up
            // anew.
            (kept.password, kept.invitation, kept.totp) = (Some(hashed), None, None);
            is_good
        })
    };
    match view.desk.store().run(take).await {
        Ok(true) => {}
        Ok(false) => return gone(&view),
        Err(error) => return view.fault(&error),
    }
    begin(&view, &headers, account, "accepted the invitation").await
}

fn gone(view: &View) -> Response {
    let text = view.t(
        "このリンクはもう使えません。新しいものを発行してもらってください。",
        "This link is not good any more. Please ask for a new one.",
    );
    view.refuse(StatusCode::NOT_FOUND, text)
}

/// A password's hash.
pub(super) async fn hash(view: &View, typed: String) -> Option<String> {
    let salt = view.desk.random();
    view.desk.hashing(move || password::hash(&typed, salt)).await.flatten()
}

/// What is wrong with a new account's name.
pub(super) fn wrong_name<'a>(view: &'a View, name: &str) -> Option<&'a str> {
    let fits = (1..=32).contains(&name.chars().count())
        && !RESERVED.contains(&name.to_lowercase().as_str())
        && name.chars().all(|c| c.is_alphanumeric() || ".-_@ ".contains(c));
    (!fits).then(|| {
        view.t(
            "名前は1~32文字の文字・数字・. - _ @ で入力してください(system や console は使えません)。",
            "A name has 1 to 32 letters, digits or . - _ @, and is not system or console.",
        )
    })
}

fn wrong_password<'a>(view: &'a View, chosen: &Chosen) -> Option<&'a str> {
    new_password(view, &chosen.password, &chosen.again)
}

/// What is wrong with a new password.
pub(super) fn new_password<'a>(view: &'a View, typed: &str, again: &str) -> Option<&'a str> {
    if !password::LENGTH.contains(&typed.chars().count()) {
        let text = "パスワードは10文字以上200文字以下にしてください。";
        return Some(view.t(text, "A password has 10 to 200 characters."));
    }
    if password::is_monotonous(typed) {
        let text = "同じ文字のくり返しは使えません。4種類以上の文字を使ってください。";
        let en = "The same again and again is no password: use four different characters or more.";
        return Some(view.t(text, en));
    }
    (typed != again)
        .then(|| view.t("二つのパスワードが一致しません。", "The two passwords differ."))
}
