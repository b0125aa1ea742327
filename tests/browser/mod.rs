//! The console's pages in a real browser: Chromium, driven by WebDriver, against the real program.
//!
//! Each page is looked at at two widths; its picture stays in `target/screenshots`. axe-core, which
//! `.ci/test` fetches, has to find nothing on it.

/// An operator who has nothing but the console.
mod alone;
/// The door: first account, signing in, roles, forms that outlive a session.
mod door;
/// The browser.
mod driver;
/// Every page: size, width, axe.
pub(crate) mod every;
/// What people do while calls go on.
mod flows;
/// Names that are markup.
mod markup;
/// My page: a counselor's evening.
mod me;
/// Settings: saved by two at once, and by hand.
mod saving;
/// Without a mouse, and without scripts.
mod ways;
