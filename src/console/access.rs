//! Who may go where: one table of paths, which is the menu too.
//!
//! A path that is not in it is nobody's.

use crate::store::accounts::Role;
use Role::{Auditor, Counselor, Operator, Supervisor};

/// A path, with all that is below it.
#[derive(Clone, Copy, Debug)]
pub(in crate::console) struct Place {
    /// The path; with a slash at the end only what is below it, else also itself.
    pub(in crate::console) path: &'static str,
    /// Who may; `None`: everybody, signed in or not.
    pub(in crate::console) roles: Option<&'static [Role]>,
    /// Its name in the menu, in Japanese and English; `None`: it is not in the menu.
    pub(in crate::console) menu: Option<(&'static str, &'static str)>,
}

const ALL: Option<&[Role]> = Some(&Role::ALL);
const ANYBODY: Option<&[Role]> = None;

const fn place(path: &'static str, roles: Option<&'static [Role]>) -> Place {
    Place { path, roles, menu: None }
}

const fn page(
    path: &'static str,
    roles: &'static [Role],
    ja: &'static str,
    en: &'static str,
) -> Place {
    Place { path, roles: Some(roles), menu: Some((ja, en)) }
}

/// Every place. In order of the menu.
pub(in crate::console) const PLACES: &[Place] = &[
    place("/live", ANYBODY),
    place("/ready", ANYBODY),
    place("/metrics", ANYBODY),
    place("/assets/", ANYBODY),
    place("/sign-in", ANYBODY),
    place("/setup/", ANYBODY),
    place("/invitation/", ANYBODY),
    place("/language", ANYBODY),
    place("/api/v1/board", Some(&[Operator, Supervisor])),
    place("/api/v1/events", Some(&[Operator, Supervisor])),
    place("/api/v1/calls/", Some(&[Supervisor])),
    place("/api/v1/counselors/", Some(&[Supervisor, Counselor])),
    place("/sign-out", ALL),
    page("/board", &[Operator, Supervisor], "ボード", "Board"),
    page("/me", &[Counselor, Supervisor], "マイページ", "My page"),
    page("/prompts", &[Operator], "音声", "Prompts"),
    page("/hours", &[Operator], "受付時間", "Hours"),
    place("/hours/*/override", Some(&[Operator, Supervisor])),
    page("/settings", &[Operator], "設定", "Settings"),
    page("/settings/history", &[Operator, Auditor], "設定の履歴", "History"),
    page("/opening", &[Operator, Supervisor], "開始前の点検", "Before opening"),
    page("/reports", &[Operator, Supervisor, Auditor], "統計", "Reports"),
    page("/accounts", &[Operator], "アカウント", "Accounts"),
    page("/audit", &[Auditor, Operator], "監査記録", "Audit trail"),
    page("/account", &Role::ALL, "自分の設定", "My account"),
];

/// The place that this path belongs to.
pub(in crate::console) fn place_of(path: &str) -> Option<&'static Place> {
    let fits = |place: &&Place| match behind(place.path, path) {
        Some("") => true,
        Some(rest) => rest.starts_with('/') || place.path.ends_with('/'),
        None => false,
    };
    PLACES.iter().filter(fits).max_by_key(|place| place.path.len())
}

/// What of a path is behind a place; `*` in the place stands for one name.
fn behind<'p>(place: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, after)) = place.split_once('*') else { return path.strip_prefix(place) };
    let rest = path.strip_prefix(before)?;
    let name = rest.find('/').filter(|end| *end > 0)?;
    rest[name..].strip_prefix(after)
}

/// Where somebody begins.
pub(in crate::console) fn home(role: Role) -> &'static str {
    match role {
        Operator => "/hours",
        Supervisor => "/board",
        Counselor => "/me",
        Auditor => "/audit",
    }
}

impl Place {
    /// Whether somebody of this role may go there.
    pub(in crate::console) fn admits(&self, role: Role) -> bool {
        self.roles.is_none_or(|roles| roles.contains(&role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_belongs_to_one_place_or_to_nobody() {
        let of = |path| place_of(path).map(|place| place.path);
        assert_eq!(of("/hours"), Some("/hours"));
        assert_eq!(of("/hours/nijiiro"), Some("/hours"));
        assert_eq!(of("/hours/nijiiro/override"), Some("/hours/*/override"));
        assert_eq!(of("/hours//override"), Some("/hours"));
        assert_eq!(of("/hours/override"), Some("/hours"));
        assert_eq!(of("/account"), Some("/account"));
        assert_eq!(of("/accounts"), Some("/accounts"));
        assert_eq!(of("/accountsx"), None);
        assert_eq!(of("/assets/console.css"), Some("/assets/"));
        assert_eq!(of("/assets"), None);
        assert_eq!(of("/api/v1/"), None);
        assert_eq!(of("/"), None);
    }

    #[test]
    fn everybody_may_go_where_they_begin() {
        for role in Role::ALL {
            assert!(place_of(home(role)).unwrap().admits(role));
        }
        assert!(!place_of("/hours").unwrap().admits(Counselor));
    }
}
