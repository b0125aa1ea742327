//! What all pages look like: language, frame, answers.
//!
//! Owns [`View`] (what a page's handler is given), [`Page`] (what its frame needs) and the frame
//! itself (`base.html`). Each page is its own template, made of Japanese and English side by side.

pub(in crate::console) mod diff;
pub(super) mod plot;

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use super::access::{PLACES, Place, place_of};
use super::assets;
use super::desk::{Desk, Notice};
use super::sign_in::Person;
use crate::lang::Lang;

/// The cookie that keeps the language.
pub(super) const LANGUAGE: &str = "koebashi_language";

/// The style sheet, which stands in every page.
pub(super) static STYLE: LazyLock<String> = LazyLock::new(|| assets::text("console.css"));

/// The language of a page: the cookie's, else the browser's.
fn language(headers: &HeaderMap) -> Lang {
    let asked = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let prefers_english = asked.is_some_and(|text| text.starts_with("en"));
    match cookie(headers, LANGUAGE) {
        Some("en") => Lang::En,
        Some("ja") => Lang::Ja,
        _ if prefers_english => Lang::En,
        _ => Lang::Ja,
    }
}

/// A cookie of a request.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// What a page's handler is given.
#[derive(Clone)]
pub(super) struct View {
    /// Everything that pages share.
    pub(super) desk: Arc<Desk>,
    /// Who asks; on pages for everybody a stranger, with no name.
    pub(super) person: Person,
    /// The language.
    pub(super) l: Lang,
    path: String,
}

impl FromRequestParts<Arc<Desk>> for View {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Infallible> {
        let person = parts.extensions.get::<Person>().cloned();
        Ok(Self::new(desk, person, &parts.headers, parts.uri.path()))
    }
}

impl View {
    pub(super) fn new(
        desk: &Arc<Desk>,
        person: Option<Person>,
        headers: &HeaderMap,
        path: &str,
    ) -> Self {
        let stranger = || Person { name: String::new(), ..Person::machine() };
        let person = person.unwrap_or_else(stranger);
        Self { desk: Arc::clone(desk), person, l: language(headers), path: path.to_owned() }
    }

    /// The text of this page's language.
    pub(super) fn t<'a>(&self, ja: &'a str, en: &'a str) -> &'a str {
        self.l.t(ja, en)
    }

    /// The frame of a page with this title. Takes what the page shall say first.
    pub(super) fn page(&self, title: &str) -> Page {
        let is_known = !self.person.name.is_empty();
        let may = |place: &&Place| place.menu.is_some() && place.admits(self.person.role);
        let here = place_of(&self.path);
        let menu = PLACES.iter().filter(may).filter_map(|place| {
            let (ja, en) = place.menu?;
            let is_here = here.is_some_and(|here| here.path == place.path);
            Some(Entry { path: place.path, name: self.t(ja, en), is_here })
        });
        Page {
            l: self.l,
            title: title.to_owned(),
            menu: if is_known { menu.collect() } else { Vec::new() },
            notice: self.desk.told(&self.person).filter(|_| is_known),
            person: self.person.clone(),
            path: self.path.clone(),
        }
    }

    /// Goes to another page, which says this first.
    pub(super) fn go(&self, to: &str, said: impl Into<String>) -> Response {
        self.desk.tell(&self.person, false, said);
        see_other(to)
    }

    /// Goes to another page, which says first what went wrong.
    pub(super) fn go_wrong(&self, to: &str, said: impl Into<String>) -> Response {
        self.desk.tell(&self.person, true, said);
        see_other(to)
    }

    /// A page that says what went wrong and nothing else.
    pub(super) fn refuse(&self, status: StatusCode, said: impl Into<String>) -> Response {
        let title = self.t("できませんでした", "That did not work").to_owned();
        let mut page = self.page(&title);
        page.notice = Some(Notice { is_bad: true, text: said.into() });
        render(status, &Plain { page })
    }

    /// Something of ours failed: logged in full, shown in general.
    pub(super) fn fault(&self, error: &dyn std::fmt::Display) -> Response {
        tracing::error!(%error, path = self.path, "a page can't be made");
        let text = self.t(
            "内部の不具合で表示できません。通話には影響ありません。少し待ってからもう一度お試しください。",
            "Something of ours failed. Calls are not affected. Please try again in a moment.",
        );
        self.refuse(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}

/// A page's frame.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// The language.
    pub(super) l: Lang,
    /// What the page is about.
    pub(super) title: String,
    /// Where the person may go.
    pub(super) menu: Vec<Entry>,
    /// What is said first.
    pub(super) notice: Option<Notice>,
    /// Who sees it.
    pub(super) person: Person,
    /// Its own path.
    pub(super) path: String,
}

/// An entry of the menu.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Where it leads.
    pub(super) path: &'static str,
    /// What it is called.
    pub(super) name: &'static str,
    /// Whether this is its page.
    pub(super) is_here: bool,
}

impl Page {
    /// The style sheet.
    pub(in crate::console) fn style(&self) -> &'static str {
        &STYLE
    }

    /// Where the script is.
    pub(in crate::console) fn script(&self) -> &'static str {
        static PATH: LazyLock<String> = LazyLock::new(|| assets::path("console.js"));
        &PATH
    }

    /// Where the icon is. Without one, browsers ask for one that is not there.
    pub(in crate::console) fn icon(&self) -> &'static str {
        static PATH: LazyLock<String> = LazyLock::new(|| assets::path("icon.svg"));
        &PATH
    }

    /// Whether somebody is signed in.
    pub(in crate::console) fn is_known(&self) -> bool {
        !self.person.name.is_empty()
    }
}

/// Nothing but the frame and what it says.
#[derive(Template)]
#[template(path = "plain.html", config = ".askama.toml")]
struct Plain {
    page: Page,
}

/// A template as an answer.
pub(super) fn render(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a template can't be filled in");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page.
pub(super) fn show(template: &impl Template) -> Response {
    render(StatusCode::OK, template)
}

/// Goes on with a GET.
pub(super) fn see_other(to: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, to.to_owned())]).into_response()
}

/// Whether it is a path of ours to go on with: no other site's, no scheme.
pub(super) fn is_path(to: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_graphic() && c != '\\';
    to.starts_with('/') && !to.starts_with("//") && to.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_on_is_ours_alone() {
        for (to, ours) in [
            ("/hours", true),
            ("/hours?a=b&c=d", true),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("https://evil.example", false),
            ("", false),
            ("/a b", false),
            ("/a\r\nSet-Cookie: x", false),
        ] {
            assert_eq!(is_path(to), ours, "{to}");
        }
    }

    #[test]
    fn the_language_is_the_cookies_or_the_browsers() {
        let of = |cookie: &str, asked: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, cookie.parse().unwrap());
            headers.insert(ACCEPT_LANGUAGE, asked.parse().unwrap());
            language(&headers)
        };
        assert_eq!(of("a=b; koebashi_language=en", "ja"), Lang::En);
        assert_eq!(of("koebashi_language=ja", "en-US"), Lang::Ja);
        assert_eq!(of("x=y", "en-US,en"), Lang::En);
        assert_eq!(of("x=y", "fr"), Lang::Ja);
    }
}
