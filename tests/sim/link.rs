//! What becomes of a datagram on its way.

use std::time::Duration;

/// What becomes of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives after the link's delay.
    Arrives,
    /// It never arrives.
    Lost,
    /// It arrives twice.
    Doubled,
    /// It arrives this much later than others.
    Late(Duration),
}

/// All links of the world: the fate of the n-th SIP datagram, counted from 0 in either direction.
pub(crate) struct Link {
    /// One-way delay of every datagram.
    pub delay: Duration,
    /// Decides.
    pub fate: Box<dyn FnMut(u64) -> Fate>,
    /// SIP datagrams so far.
    pub count: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self { delay: Duration::from_millis(5), fate: Box::new(|_| Fate::Arrives), count: 0 }
    }
}

impl Link {
    /// The delays after which the next datagram arrives: none, one or two.
    pub(crate) fn next(&mut self) -> Vec<Duration> {
        let n = self.count;
        self.count += 1;
        match (self.fate)(n) {
            Fate::Arrives => vec![self.delay],
            Fate::Lost => vec![],
            Fate::Doubled => vec![self.delay, self.delay + Duration::from_millis(3)],
            Fate::Late(more) => vec![self.delay + more],
        }
    }
}
