//! Phones on the pages of a prompt and of a version: which can be rung, and what one is doing.

use crate::console::desk::Notice;
use crate::console::studio::News;
use crate::console::ui::{Page, View};

/// Phones that can be rung, and what one is doing.
pub(super) struct Phone {
    /// Extensions and names.
    pub(super) extensions: Vec<(String, String)>,
    /// A phone rings, plays or records for this prompt.
    pub(super) is_busy: bool,
}

impl Phone {
    /// What a page says about phones; what came of a call stands first on it.
    pub(super) fn of(view: &View, prompt: &str, page: &mut Page) -> Self {
        let config = &view.desk.current().loaded.call;
        // One's own; for those who have none, every desk: who is on duty there is not rung.
        let own = view.person.extension.as_ref();
        let counselors =
            config.counselors.iter().filter(|(id, _)| own.is_none_or(|own| own == *id));
        let extensions = counselors.map(|(id, it)| (id.to_string(), it.name.clone())).collect();
        // What went wrong with a form is said first, and the news the next time.
        let is_said = page.notice.as_ref().is_some_and(|notice| notice.is_bad);
        let is_busy = match view.desk.studio.news(prompt, is_said) {
            Some(News::Busy) => true,
            Some(News::Over { is_bad, text: (ja, en) }) => {
                let text = view.t(&ja, &en).to_owned();
                if !is_said {
                    page.notice = Some(Notice { is_bad, text });
                }
                false
            }
            None => false,
        };
        Self { extensions, is_busy }
    }
}
