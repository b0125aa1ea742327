//! Accounts: who may sign in, as what; invitations, also for the command line (`POST
//! /api/v1/accounts/invitations`).

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::Form;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::sign_in::wrong_name;
use crate::call::config::Extension;
use crate::console::desk::Desk;
use crate::console::sign_in::sessions;
use crate::console::ui::{Page, View, show};
use crate::lang::Lang;
use crate::shell::clock;
use crate::store;
use crate::store::accounts::{self, ACCOUNTS_MAX, Account, Role};

/// How long an invitation is good.
const INVITATION: Duration = Duration::from_secs(7 * 86_400);

/// The paths of this file.
pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new()
        .route("/accounts", get(list).post(create))
        .route("/accounts/invite", post(invite))
        .route("/accounts/change", post(change))
        .route("/accounts/remove", post(remove))
        .route("/api/v1/accounts/invitations", post(invite_by_api))
}

/// A role's name on pages.
pub(super) fn role_name(l: Lang, role: Role) -> &'static str {
    match role {
        Role::Operator => l.t("運用担当者", "Operator"),
        Role::Supervisor => l.t("スーパーバイザー", "Supervisor"),
        Role::Counselor => l.t("相談員", "Counselor"),
        Role::Auditor => l.t("監査担当者", "Auditor"),
    }
}

#[derive(Template)]
#[template(path = "accounts.html", config = ".askama.toml")]
struct Accounts {
    page: Page,
    rows: Vec<Row>,
    roles: Vec<(&'static str, &'static str)>,
    extensions: Vec<(String, String)>,
    /// Whose, and the path of the invitation that was just made.
    invitation: Option<(String, String)>,
}

struct Row {
    name: String,
    role: &'static str,
    extension: String,
    state: &'static str,
    has_code: bool,
    is_me: bool,
}

impl Row {
    fn has_role(&self, role: &str) -> bool {
        self.role == role
    }

    fn has_extension(&self, extension: &str) -> bool {
        self.extension == extension
    }
}

#[derive(Deserialize)]
struct New {
    name: String,
    role: String,
    #[serde(default)]
    extension: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

async fn all(view: &View) -> Result<Vec<Account>, Response> {
    let all = view.desk.read(|db| db.read(accounts::all)).await;
    all.map_err(|error| view.fault(&error))
}

async fn list(view: View) -> Response {
    page(&view, None).await
}

async fn page(view: &View, invitation: Option<(String, String)>) -> Response {
    let all = match all(view).await {
        Ok(all) => all,
        Err(response) => return response,
    };
    let now = clock::now().wall;
    let rows = all.into_iter().map(|account| Row {
        state: match (&account.password, &account.invitation) {
            (_, Some((_, until))) if *until > now => view.t("招待中", "invited"),
            (Some(_), _) => view.t("有効", "in use"),
            (None, _) => view.t("招待の期限切れ", "invitation over"),
        },
        is_me: account.name == view.person.name,
        role: account.role.name(),
        extension: account.extension.map(|it| it.to_string()).unwrap_or_default(),
        has_code: account.totp.is_some(),
        name: account.name,
    });
    let current = view.desk.current();
    let counselors = current.loaded.call.counselors.iter();
    show(&Accounts {
        page: view.page(view.t("アカウント", "Accounts")),
        rows: rows.collect(),
        roles: Role::ALL.map(|role| (role.name(), role_name(view.l, role))).to_vec(),
        extensions: counselors.map(|(id, it)| (id.to_string(), it.name.clone())).collect(),
        invitation,
    })
}

/// What was chosen for an account, or what is wrong with it.
fn chosen(view: &View, new: &New) -> Result<(Role, Option<Extension>), &'static str> {
    let ja = view.l == Lang::Ja;
    let Some(role) = Role::named(&new.role) else {
        return Err(if ja { "役割を選んでください。" } else { "Choose a role." });
    };
    let extension = Some(new.extension.trim()).filter(|it| !it.is_empty()).map(Extension::from);
    let current = view.desk.current();
    let known = |it: &Extension| current.loaded.call.counselors.iter().any(|(id, _)| id == it);
    match (role, extension) {
        (_, Some(extension)) if !known(&extension) => Err(if ja {
            "その内線は設定にありません。"
        } else {
            "There is no such extension."
        }),
        (Role::Counselor, None) => Err(if ja {
            "相談員には内線を選んでください。"
        } else {
            "A counselor needs an extension."
        }),
        (role, extension) => Ok((role, extension)),
    }
}

async fn create(view: View, Form(new): Form<New>) -> Response {
    let name = new.name.trim().to_owned();
    if let Some(wrong) = wrong_name(&view, &name) {
        return view.go_wrong("/accounts", wrong);
    }
    let (role, extension) = match chosen(&view, &new) {
        Ok(chosen) => chosen,
        Err(wrong) => return view.go_wrong("/accounts", wrong),
    };
    let known = match all(&view).await {
        Ok(all) => all,
        Err(response) => return response,
    };
    let lower = name.to_lowercase();
    if known.len() >= ACCOUNTS_MAX || known.iter().any(|it| it.name.to_lowercase() == lower) {
        let text = view.t("その名前は使われています。", "That name is taken.");
        return view.go_wrong("/accounts", text);
    }
    let account = Account { extension, ..Account::new(name, role) };
    send_invitation(&view, account, Invitee::New).await
}

/// Whether an account is there before it is invited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Invitee {
    New,
    Known,
}

/// Makes a new link for an account, and shows it once.
async fn send_invitation(view: &View, account: Account, invitee: Invitee) -> Response {
    let name = account.name.clone();
    match (new_invitation(view, account, invitee).await, invitee) {
        (Ok(Some(path)), _) => page(view, Some((name, path))).await,
        (Ok(None), Invitee::New) => {
            let text =
                "同じ名前のアカウントを、ほかの人がたった今作りました。一覧を確かめてください。";
            let en =
                "Somebody else has just made an account of that name. Please look at the list.";
            view.go_wrong("/accounts", view.t(text, en))
        }
        (Ok(None), Invitee::Known) => view.go_wrong("/accounts", no_account(view)),
        (Err(error), _) => view.fault(&error),
    }
}

/// Writes an account down with a new invitation, and returns the path of it. `None`: somebody else
/// made one of that name meanwhile, or removed it.
async fn new_invitation(
    view: &View,
    account: Account,
    invitee: Invitee,
) -> Result<Option<String>, store::Error> {
    let token = view.desk.token(24);
    let until = clock::now().wall + INVITATION;
    let invitation = Some((sessions::hash(&token), until));
    let (name, role) = (account.name.clone(), account.role.name());
    let account = Account { invitation, ..account };
    let write = move |conn: &_| match invitee {
        Invitee::New => accounts::create(conn, &account),
        Invitee::Known => accounts::amend(conn, &account.name, |kept| {
            (kept.role, kept.extension) = (account.role, account.extension.clone());
            kept.invitation.clone_from(&account.invitation);
            true
        }),
    };
    if !view.desk.store().run(write).await? {
        return Ok(None);
    }
    view.desk.accounts_changed();
    if invitee == Invitee::New {
        view.desk.audit(&view.person, format!("made the account {name:?}, {role}"));
    }
    view.desk.audit(&view.person, format!("made an invitation for {name:?}"));
    Ok(Some(format!("/invitation/{token}")))
}

/// Whom a machine invites. Who has an account keeps what is not said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invited {
    name: String,
    role: Option<String>,
    extension: Option<String>,
}

async fn invite_by_api(view: View, body: Result<Json<Invited>, JsonRejection>) -> Response {
    let refuse =
        |status: StatusCode, what: &str| (status, Json(json!({ "error": what }))).into_response();
    let Ok(Json(invited)) = body else { return refuse(StatusCode::BAD_REQUEST, "bad_body") };
    let Ok(all) = all(&view).await else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "no_answer");
    };
    let account = match whom(&view, &all, invited) {
        Ok(account) => account,
        Err(what) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, what),
    };
    let (name, role) = (account.name.clone(), account.role.name());
    let is_known = all.iter().any(|it| it.name == name);
    let invitee = if is_known { Invitee::Known } else { Invitee::New };
    match new_invitation(&view, account, invitee).await {
        Ok(None) => refuse(StatusCode::CONFLICT, "changed_meanwhile"),
        Ok(Some(path)) => {
            let days = INVITATION.as_secs() / 86_400;
            let answer = json!({ "name": name, "role": role, "path": path, "days": days });
            Json(answer).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an invitation can't be written down");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "not_written")
        }
    }
}

/// The account that is invited, new or as it is; the error is its name in the API.
fn whom(view: &View, all: &[Account], invited: Invited) -> Result<Account, &'static str> {
    let name = invited.name.trim().to_owned();
    let known = all.iter().find(|account| account.name.to_lowercase() == name.to_lowercase());
    if known.is_none() && wrong_name(view, &name).is_some() {
        return Err("bad_name");
    }
    if name == view.person.name {
        return Err("own_account");
    }
    if known.is_none() && all.len() >= ACCOUNTS_MAX {
        return Err("too_many_accounts");
    }
    let role = match invited.role {
        Some(role) => Role::named(&role).ok_or("unknown_role")?,
        None => known.ok_or("needs_a_role")?.role,
    };
    let given =
        invited.extension.filter(|it| !it.is_empty()).map(|it| Extension::from(it.as_str()));
    let current = view.desk.current();
    let is_known = |it: &Extension| current.loaded.call.counselors.contains_key(it);
    if given.as_ref().is_some_and(|it| !is_known(it)) {
        return Err("unknown_extension");
    }
    let extension = given.or_else(|| known.and_then(|account| account.extension.clone()));
    if role == Role::Counselor && extension.is_none() {
        return Err("needs_an_extension");
    }
    let nobody = || Account::new(name, role);
    Ok(Account { role, extension, ..known.cloned().unwrap_or_else(nobody) })
}

/// The account of this name, but not one's own: nobody shuts themselves out.
async fn other(view: &View, name: &str) -> Result<Account, Response> {
    let found = all(view).await?.into_iter().find(|account| account.name == name);
    if name == view.person.name {
        let text = view.t("自分のアカウントはここでは変えられません。", "Not your own account.");
        return Err(view.go_wrong("/accounts", text));
    }
    found.ok_or_else(|| view.go_wrong("/accounts", no_account(view)))
}

fn no_account(view: &View) -> &str {
    view.t("そのアカウントはもうありません。", "There is no such account any more.")
}

async fn invite(view: View, Form(Named { name }): Form<Named>) -> Response {
    match other(&view, &name).await {
        Ok(account) => send_invitation(&view, account, Invitee::Known).await,
        Err(response) => response,
    }
}

async fn change(view: View, Form(new): Form<New>) -> Response {
    let account = match other(&view, &new.name).await {
        Ok(account) => account,
        Err(response) => return response,
    };
    let (role, extension) = match chosen(&view, &new) {
        Ok(chosen) => chosen,
        Err(wrong) => return view.go_wrong("/accounts", wrong),
    };
    let deed = format!(
        "changed the account {:?}: {} {} → {} {}",
        account.name,
        account.role.name(),
        account.extension.as_ref().map_or("-", |it| &it.0),
        role.name(),
        extension.as_ref().map_or("-", |it| &it.0),
    );
    let change = move |kept: &mut Account| {
        (kept.role, kept.extension) = (role, extension);
        true
    };
    let write = move |conn: &_| accounts::amend(conn, &account.name, change);
    match view.desk.store().run(write).await {
        Ok(true) => view.desk.accounts_changed(),
        Ok(false) => return view.go_wrong("/accounts", no_account(&view)),
        Err(error) => return view.fault(&error),
    }
    view.desk.audit(&view.person, deed);
    view.go("/accounts", view.t("変えました。", "It is changed."))
}

async fn remove(view: View, Form(Named { name }): Form<Named>) -> Response {
    if let Err(response) = other(&view, &name).await {
        return response;
    }
    let whose = name.clone();
    let removed = view.desk.sign_out_all(&name).await;
    let removed = match removed {
        Ok(()) => view.desk.store().run(move |conn| accounts::remove(conn, &whose)).await,
        Err(error) => Err(error),
    };
    if let Err(error) = removed {
        return view.fault(&error);
    }
    view.desk.audit(&view.person, format!("removed the account {name:?}"));
    view.go("/accounts", view.t("アカウントを削除しました。", "The account is removed."))
}
