//! Phones on the pages of a prompt and of a version: which can be rung, and what one is doing.

use crate::console::desk::Notice;
use crate::console::studio::News;
use crate::console::ui::{Page, View};

/// Phones that can be rung, and what one is doing.
pub(super) struct Phone {
    /// Extensions and names.
    pub(super) extensions: Vec<(String, String)>,
    /// The one of who looks.
    pub(super) own: String,
    /// A phone rings, plays or records for this prompt.
    pub(super) is_busy: bool,
}

impl Phone {
    /// What a page says about phones; what came of a call stands first on it.
    pub(super) fn of(view: &View, prompt: &str, page: &mut Page) -> Self {
        let config = &view.desk.current().loaded.call;
        let counselors = config.counselors.iter();
        let extensions = counselors.map(|(id, it)| (id.to_string(), it.name.clone())).collect();
        let own = view.person.extension.as_ref().map(ToString::to_string).unwrap_or_default();
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
        Self { extensions, own, is_busy }
    }

    /// Whether this extension is the one of who looks.
    pub(super) fn is_own(&self, extension: &str) -> bool {
        self.own == extension
    }
}
