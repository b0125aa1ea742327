//! The one integration binary. Each module below is one kind of test.
#![expect(clippy::unwrap_used, reason = "this is test code")]

/// The source itself: arrows, sans-IO, lengths, leftovers.
mod tidy;
