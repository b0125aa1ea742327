//! My account: password and second factor.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::Router;
use axum::extract::{Extension, Form};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::Deserialize;

use super::sign_in::{hash, new_password, too_many};
use crate::console::desk::Desk;
use crate::console::sign_in::sessions::COOKIE;
use crate::console::sign_in::{From, password, totp};
use crate::console::ui::{Page, View, cookie, show};
use crate::shell::clock;
use crate::store::accounts::{self, Account};

/// The paths of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/account", get(account))
        .route("/account/password", post(change_password))
        .route("/account/code", post(set_code).get(propose_code))
        .route("/account/code/remove", post(remove_code))
}

#[derive(Template)]
#[template(path = "account.html", config = ".askama.toml")]
struct Mine {
    page: Page,
    role: &'static str,
    extension: Option<String>,
    has_code: bool,
    must_have_code: bool,
}

#[derive(Template)]
#[template(path = "account_code.html", config = ".askama.toml")]
struct Code {
    page: Page,
    /// As SVG.
    picture: String,
    secret: String,
}

#[derive(Deserialize)]
struct Change {
    old: String,
    password: String,
    again: String,
}

#[derive(Deserialize)]
struct First {
    secret: String,
    code: String,
}

#[derive(Deserialize)]
struct Proof {
    password: String,
}

/// The account of whoever asks.
async fn mine(view: &View) -> Result<Account, Response> {
    let name = view.person.name.clone();
    let found = view.desk.read(move |db| db.read(|conn| accounts::find(conn, &name))).await;
    match found {
        Ok(Some(account)) => Ok(account),
        Ok(None) => Err(view.fault(&"an account is gone")),
        Err(error) => Err(view.fault(&error)),
    }
}

async fn save(
    view: &View,
    change: impl FnOnce(&mut Account) + Send + 'static,
    deed: &str,
) -> Result<(), Response> {
    let name = view.person.name.clone();
    let change = move |kept: &mut Account| {
        change(kept);
        true
    };
    let saved = view.desk.store().run(move |conn| accounts::amend(conn, &name, change)).await;
    match saved {
        Ok(true) => {}
        Ok(false) => return Err(view.fault(&"an account is gone")),
        Err(error) => return Err(view.fault(&error)),
    }
    view.desk.audit(&view.person, deed);
    Ok(())
}

async fn account(view: View) -> Response {
    let account = match mine(&view).await {
        Ok(account) => account,
        Err(response) => return response,
    };
    show(&Mine {
        page: view.page(view.t("自分の設定", "My account")),
        role: super::accounts::role_name(view.l, account.role),
        extension: account.extension.map(|it| it.to_string()),
        has_code: account.totp.is_some(),
        must_have_code: view.desk.limits.totp.contains(&account.role),
    })
}

/// Whoever else is signed in under the account is not any longer: they may be why it is changed.
async fn change_password(
    view: View,
    Extension(peer): Extension<From>,
    headers: HeaderMap,
    Form(change): Form<Change>,
) -> Response {
    let account = match mine(&view).await {
        Ok(account) => account,
        Err(response) => return response,
    };
    if let Some(wrong) = new_password(&view, &change.password, &change.again) {
        return view.go_wrong("/account", wrong);
    }
    let from = peer.or_forwarded(&headers);
    if let Err(wrong) = prove(&view, &account, change.old, from).await {
        return view.go_wrong("/account", wrong);
    }
    let Some(hashed) = hash(&view, change.password).await else {
        return view.fault(&"a password can't be hashed");
    };
    let change = move |kept: &mut Account| kept.password = Some(hashed);
    if let Err(response) = save(&view, change, "changed their password").await {
        return response;
    }
    let token = cookie(&headers, COOKIE).unwrap_or_default();
    if let Err(error) = view.desk.sign_out_others(&account.name, token).await {
        return view.fault(&error);
    }
    let said = view.t(
        "パスワードを変えました。ほかの端末ではサインアウトしました。",
        "Your password is changed. You are signed out everywhere else.",
    );
    view.go("/account", said)
}

/// Judges the password again, before something that must not be done by whoever finds the screen:
/// a guess like any other. The error is what is said.
async fn prove(view: &View, account: &Account, typed: String, from: IpAddr) -> Result<(), String> {
    if let Err(wait) = view.desk.guesses().begin(Instant::now(), &account.name, from) {
        return Err(too_many(view, wait));
    }
    let hashed = account.password.clone();
    let right = view.desk.hashing(move || password::is_right(&typed, hashed.as_deref())).await;
    if right != Some(true) {
        view.desk.audit(&view.person, "gave a password that is not theirs, on their own page");
        return Err(view.t("パスワードが違います。", "Not your password.").to_owned());
    }
    view.desk.guesses().was_right(&account.name, from);
    Ok(())
}

async fn propose_code(view: View) -> Response {
    let secret: [u8; totp::SECRET] = view.desk.random();
    code_page(&view, &secret)
}

fn code_page(view: &View, secret: &[u8]) -> Response {
    let (address, secret) = totp::address(secret, &view.person.name);
    let picture = QrCode::new(address.as_bytes()).map(|code| {
        let picture = code.render::<svg::Color<'_>>().min_dimensions(240, 240).build();
        // Only the drawing: what stands before it is a file's.
        picture.find("<svg").map(|at| picture[at..].to_owned()).unwrap_or_default()
    });
    show(&Code {
        page: view.page(view.t("確認コードを設定する", "Set a second factor up")),
        picture: picture.unwrap_or_default(),
        secret,
    })
}

async fn set_code(view: View, Form(first): Form<First>) -> Response {
    let account = match mine(&view).await {
        Ok(account) => account,
        Err(response) => return response,
    };
    if account.totp.is_some() {
        // Or whoever finds the screen could make theirs of it.
        let text = view.t("確認コードは設定済みです。", "There is a second factor already.");
        return view.go_wrong("/account", text);
    }
    let secret = totp::secret(&first.secret);
    let now = clock::now().wall;
    let step = secret.as_ref().and_then(|secret| totp::step(secret, &first.code, now, 0));
    let (Some(secret), Some(step)) = (secret, step) else {
        let text = "コードが違います。時計が合っているか確かめて、もう一度設定してください。";
        let text = view.t(text, "That code is not right. Check the clock, and try again.");
        return view.go_wrong("/account/code", text);
    };
    let change = move |kept: &mut Account| (kept.totp, kept.totp_step) = (Some(secret), step);
    match save(&view, change, "set a second factor up").await {
        Ok(()) => view.go("/account", view.t("確認コードを設定しました。", "It is set up.")),
        Err(response) => response,
    }
}

async fn remove_code(
    view: View,
    Extension(peer): Extension<From>,
    headers: HeaderMap,
    Form(proof): Form<Proof>,
) -> Response {
    let account = match mine(&view).await {
        Ok(account) => account,
        Err(response) => return response,
    };
    let from = peer.or_forwarded(&headers);
    if let Err(wrong) = prove(&view, &account, proof.password, from).await {
        return view.go_wrong("/account", wrong);
    }
    match save(&view, |kept| kept.totp = None, "removed their second factor").await {
        Ok(()) => view.go("/account", view.t("確認コードを外しました。", "It is removed.")),
        Err(response) => response,
    }
}
