//! Lines, counselors and trunks that come and go, and new passwords of phones.

use std::sync::OnceLock;

use askama::Template;
use axum::extract::{Form as Typed, Path};
use axum::response::Response;

use super::group::list_named;
use super::nothing;
use crate::call::config::{Extension, LineId};
use crate::config::edit::{Edit, Value};
use crate::console::keys;
use crate::console::pages::saving::{self, Basis, Form, Sent, Wrongs, form_page};
use crate::console::ui::{Page, View, show};
use crate::lang::Lang;
use crate::shell::clock;
use crate::sip::auth::{self, Algorithm};

/// The fields of a form, in order.
type Fields = Typed<Vec<(String, String)>>;

/// One more element of a list.
struct New {
    list: &'static str,
    /// Its id, once it is known to be one.
    id: OnceLock<String>,
    password: Password,
}

impl New {
    fn of(list: &'static str) -> Self {
        Self { list, id: OnceLock::new(), password: Password::default() }
    }
}

/// An element that goes.
struct Gone {
    list: &'static str,
    id: String,
}

/// Another password for a phone.
struct Again {
    extension: String,
    password: Password,
}

/// A password that is made when it is needed, and shown once.
#[derive(Default)]
struct Password(OnceLock<(String, String)>);

impl Password {
    /// The password's hashes, as `koebashi secret` prints them.
    fn hashes(&self, extension: &str, from: &Basis) -> Option<Vec<(String, Value)>> {
        let domain = &from.loaded.sip.domain;
        let chance = &mut clock::chance().ok()?;
        let (_, password) =
            self.0.get_or_init(|| (extension.to_owned(), auth::new_password(chance)));
        let of = |algorithm| Value::text(auth::ha1(algorithm, extension, domain, password));
        let (md5, sha256) = (of(Algorithm::Md5), of(Algorithm::Sha256));
        Some(vec![("ha1".to_owned(), md5), ("ha1_sha256".to_owned(), sha256)])
    }

    /// Shows it, for the only time.
    fn once(&self, view: &View, said: String) -> Option<Response> {
        let (extension, password) = self.0.get()?;
        let loaded = &view.desk.current().loaded;
        Some(show(&Once {
            page: view.page(view.t("電話機のパスワード", "The phone's password")),
            said,
            extension: extension.clone(),
            domain: loaded.sip.domain.clone(),
            password: password.clone(),
        }))
    }
}

#[derive(Template)]
#[template(path = "settings_password.html", config = ".askama.toml")]
struct Once {
    page: Page,
    said: String,
    extension: String,
    domain: String,
    password: String,
}

#[derive(Template)]
#[template(path = "settings_new.html", config = ".askama.toml")]
struct Sheet {
    page: Page,
    list: &'static str,
    base: String,
    unwritable: Option<String>,
    wrongs: Vec<String>,
    id: String,
    name: String,
    /// Numbers of a line, peers of a trunk.
    texts: String,
    is_supervisor: bool,
    /// Id, name, and whether it is chosen.
    lines: Vec<(String, String, bool)>,
}

pub(super) async fn open(view: View, Path(list): Path<String>) -> Response {
    match list_named(&list) {
        Some(list) => saving::open(&view, &New::of(list)).await,
        None => nothing(&view),
    }
}

pub(super) async fn save(view: View, Path(list): Path<String>, Typed(sent): Fields) -> Response {
    match list_named(&list) {
        Some(list) => saving::post(&view, &New::of(list), Sent(sent)).await,
        None => nothing(&view),
    }
}

pub(super) async fn remove(
    view: View,
    Path((list, id)): Path<(String, String)>,
    Typed(sent): Fields,
) -> Response {
    match list_named(&list) {
        Some(list) => saving::post(&view, &Gone { list, id }, Sent(sent)).await,
        None => nothing(&view),
    }
}

pub(super) async fn password(
    view: View,
    Path(extension): Path<String>,
    Typed(sent): Fields,
) -> Response {
    let again = Again { extension, password: Password::default() };
    saving::post(&view, &again, Sent(sent)).await
}

/// Whether the id could stand in a key.
fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

fn is_there(from: &Basis, list: &str, id: &str) -> bool {
    let call = &from.loaded.call;
    match list {
        "line" => call.lines.contains_key(&LineId::from(id)),
        "counselor" => call.counselors.contains_key(&Extension::from(id)),
        _ => call.trunks.contains_key(&id.into()),
    }
}

impl Form for New {
    fn path(&self) -> String {
        format!("/settings/{}/new", self.list)
    }

    fn edits(&self, view: &View, from: &Basis, sent: &Sent) -> Result<Vec<Edit>, Wrongs> {
        let id = sent.get("id");
        if !is_plain(id) {
            let text = match self.list {
                "counselor" => view.t("内線は2~8桁の数字です。", "An extension has 2 to 8 digits."),
                _ => view.t(
                    "IDは半角の英小文字・数字・_・- で入力してください。",
                    "An id is made of a-z, 0-9, _ and -.",
                ),
            };
            return Err(Wrongs::one("", text));
        }
        if is_there(from, self.list, id) {
            let text = view.t("同じ番号・IDのものがすでにあります。", "There already is one.");
            return Err(Wrongs::one("", text));
        }
        let field = |name: &str, value: Value| (name.to_owned(), value);
        let texts = || {
            let parts = sent.get("texts").split([',', '\n']).map(str::trim);
            Value::texts(parts.filter(|it| !it.is_empty()))
        };
        let mut fields = Vec::new();
        let name = Some(sent.get("name")).filter(|it| !it.is_empty());
        let name = name.map(|name| field("name", Value::text(name)));
        match self.list {
            "counselor" => {
                fields.push(field("extension", Value::text(id)));
                fields.extend(name);
                if sent.get("role") == "supervisor" {
                    fields.push(field("role", Value::text("supervisor")));
                }
                fields.push(field("lines", Value::texts(sent.all("lines"))));
                let hashes = self.password.hashes(id, from);
                let failed = view.t("パスワードを作れません。", "No password can be made.");
                fields.extend(hashes.ok_or_else(|| Wrongs::one("", failed))?);
            }
            "line" => {
                fields.push(field("id", Value::text(id)));
                fields.extend(name);
                fields.push(field("numbers", texts()));
                // Without hours it would be open round the clock, which nobody has said yet.
                fields.push(field("override", Value::text("closed")));
            }
            _ => {
                fields.push(field("id", Value::text(id)));
                fields.push(field("peers", texts()));
            }
        }
        self.id.get_or_init(|| id.to_owned());
        Ok(vec![Edit::Add(self.list.to_owned(), fields)])
    }

    fn page(&self, view: &View, from: &Basis, sent: Option<&Sent>, wrongs: &Wrongs) -> Response {
        let typed = |name: &str| sent.map_or("", |sent| sent.get(name)).to_owned();
        let is_on = |id: &str| match sent {
            Some(sent) => sent.all("lines").any(|it| it == id),
            // A line's only counselors take its calls.
            None => from.loaded.call.lines.len() == 1,
        };
        let lines = from.loaded.call.lines.iter();
        let title = match self.list {
            "counselor" => view.t("相談員を加える", "A new counselor"),
            "line" => view.t("回線を加える", "A new line"),
            _ => view.t("外線を加える", "A new trunk"),
        };
        let sheet = Sheet {
            page: view.page(title),
            list: self.list,
            base: from.leaf.base.clone(),
            unwritable: from.unwritable.clone(),
            wrongs: wrongs.others(view.l, &[]),
            id: typed("id"),
            name: typed("name"),
            texts: typed("texts"),
            is_supervisor: typed("role") == "supervisor",
            lines: lines
                .map(|(id, line)| (id.to_string(), line.name.clone(), is_on(&id.0)))
                .collect(),
        };
        form_page(&sheet, wrongs)
    }

    fn done(&self, view: &View, said: String) -> Response {
        if let ("line", Some(id)) = (self.list, self.id.get()) {
            let closed = view.t(
                "加えた回線は、まだ閉めてあります。受付時間を決めて保存してから、\
                 「臨時の開け閉め」を「時間どおり」に切り替えてください。\
                 時間帯を入れずに切り替えると、いつでも電話を受けます。",
                "The new line is still closed. Save its hours, then switch “By hand” to “by the \
                 hours”. Without any hours it would take calls at all times.",
            );
            return view.go(&format!("/hours/{id}"), format!("{said}\n{closed}"));
        }
        let go = |said| view.go("/settings", said);
        match self.password.0.get().is_some() {
            true => self.password.once(view, said).unwrap_or_else(|| go(String::new())),
            false => go(said),
        }
    }
}

impl Form for Gone {
    fn path(&self) -> String {
        format!("/settings/{}/{}/remove", self.list, self.id)
    }

    fn edits(&self, view: &View, from: &Basis, _: &Sent) -> Result<Vec<Edit>, Wrongs> {
        if !is_plain(&self.id) || !is_there(from, self.list, &self.id) {
            let text = view.t("それはもうありません。", "It is not there any more.");
            return Err(Wrongs::one("", text));
        }
        let mut edits = Vec::new();
        if self.list == "line" {
            // Who took its calls takes the others'.
            let line = LineId::from(self.id.as_str());
            for (extension, counselor) in &from.loaded.call.counselors {
                if counselor.lines.contains(&line) {
                    let others = counselor.lines.iter().filter(|it| **it != line);
                    let lines = Value::texts(others.map(ToString::to_string));
                    edits.push(Edit::Set(format!("counselor.{extension}.lines"), lines));
                }
            }
        }
        edits.push(Edit::Unset(format!("{}.{}", self.list, self.id)));
        Ok(edits)
    }

    fn page(&self, view: &View, _: &Basis, _: Option<&Sent>, wrongs: &Wrongs) -> Response {
        let back = format!("/settings/{}/{}", self.list, self.id);
        match wrongs.is_empty() {
            true => view.go(&back, view.t("何も変わっていません。", "Nothing has changed.")),
            false => view.go_wrong(&back, wrongs.others(view.l, &[]).join("\n")),
        }
    }

    fn done(&self, view: &View, said: String) -> Response {
        let kind = keys::label(view.l, &format!("{}.x", self.list)).to_owned();
        let what = match view.l {
            Lang::Ja => {
                format!("{kind} {} を外しました。続いている通話はそのまま続きます。", self.id)
            }
            Lang::En => format!("{kind} {} is removed. Live calls go on.", self.id),
        };
        view.go("/settings", format!("{what}\n{said}"))
    }
}

impl Form for Again {
    fn path(&self) -> String {
        format!("/settings/counselor/{}/password", self.extension)
    }

    fn edits(&self, view: &View, from: &Basis, _: &Sent) -> Result<Vec<Edit>, Wrongs> {
        let text = view.t("その内線は設定にありません。", "There is no such extension.");
        if !is_plain(&self.extension) || !is_there(from, "counselor", &self.extension) {
            return Err(Wrongs::one("", text));
        }
        let key = |name: &str| format!("counselor.{}.{name}", self.extension);
        let others = ["password", "password_file", "digest"].map(|it| Edit::Unset(key(it)));
        let hashes = self.password.hashes(&self.extension, from);
        let hashes = hashes.ok_or_else(|| Wrongs::one("", text))?;
        let hashes = hashes.into_iter().map(|(name, value)| Edit::Set(key(&name), value));
        Ok(others.into_iter().chain(hashes).collect())
    }

    fn page(&self, view: &View, _: &Basis, _: Option<&Sent>, wrongs: &Wrongs) -> Response {
        let back = format!("/settings/counselor/{}", self.extension);
        match wrongs.is_empty() {
            true => view.go(&back, view.t("何も変わっていません。", "Nothing has changed.")),
            false => view.go_wrong(&back, wrongs.others(view.l, &[]).join("\n")),
        }
    }

    fn done(&self, view: &View, said: String) -> Response {
        let go = || view.go("/settings", String::new());
        self.password.once(view, said).unwrap_or_else(go)
    }
}
