//! Who may go where: one table of paths, which is the menu too.
//!
//! A path that is not in it is nobody's.

use crate::store::accounts::Role;
use Role::{Auditor, Counselor, Operator, Supervisor};

/// A path, with all that is below it.
#[derive(Clone, Copy, Debug)]
pub(in crate::console) struct Place {
    /// The path; with a slash at the end only what is below it, else also itself. `*` stands for
    /// any one name.
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
    place("/api/v1/calls/*/contact", Some(&[Supervisor, Counselor])),
    place("/api/v1/limits", Some(&[Supervisor])),
    place("/api/v1/counselors/", Some(&[Supervisor, Counselor])),
    place("/api/v1/accounts/", Some(&[Operator])),
    place("/api/v1/opening", Some(&[Operator, Supervisor])),
    place("/sign-out", ALL),
    page("/board", &[Operator, Supervisor], "ボード", "Board"),
    place("/board/act", Some(&[Supervisor])),
    page("/me", &[Counselor, Supervisor], "マイページ", "My page"),
    page("/prompts", &[Operator], "音声", "Prompts"),
    page("/hours", &[Operator], "受付時間", "Hours"),
    place("/hours/*/override", Some(&[Operator, Supervisor])),
    page("/settings", &[Operator], "設定", "Settings"),
    page("/settings/history", &[Operator, Auditor], "設定の履歴", "History"),
    page("/opening", &[Operator, Supervisor], "開始前の点検", "Before opening"),
    page("/reports", &[Operator, Supervisor, Auditor], "統計", "Reports"),
    place("/reports/carrier/", Some(&[Operator])),
    page("/accounts", &[Operator], "アカウント", "Accounts"),
    page("/audit", &[Auditor, Operator], "監査記録", "Audit trail"),
    page("/account", &Role::ALL, "自分の設定", "My account"),
];

/// The place that this path belongs to.
pub(in crate::console) fn place_of(path: &str) -> Option<&'static Place> {
    PLACES.iter().filter(|place| place.holds(path)).max_by_key(|place| place.path.len())
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
    fn holds(&self, path: &str) -> bool {
        let (own, is_below) = match self.path.strip_suffix('/') {
            Some(own) => (own, true),
            None => (self.path, false),
        };
        let mut given = path.split('/');
        let is_at = |name: &str, given: &str| match name {
            "*" => !given.is_empty(),
            name => name == given,
        };
        own.split('/').all(|name| given.next().is_some_and(|given| is_at(name, given)))
            && (!is_below || given.next().is_some())
    }

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
        assert_eq!(of("/hours/nijiiro/override"), Some("/hours/*/override"));
        assert_eq!(of("/hours//override"), Some("/hours"));
        assert_eq!(of("/api/v1/calls/k7f2/contact"), Some("/api/v1/calls/*/contact"));
        assert_eq!(of("/api/v1/calls/k7f2/supervise"), Some("/api/v1/calls/"));
    }

    #[test]
    fn everybody_may_go_where_they_begin() {
        for role in Role::ALL {
            assert!(place_of(home(role)).unwrap().admits(role));
        }
        assert!(!place_of("/hours").unwrap().admits(Counselor));
    }
}
