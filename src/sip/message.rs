//! SIP messages as received.

/// A received message.
#[derive(Clone, Debug)]
pub struct Message;
