//! The end of our certificate's life: told in time, and again every day.

use std::time::{Duration, Instant};

use super::sip_socket::tls::{Tls, Validity};
use crate::time::Now;

/// How long before the end it is told.
const SOON: i64 = 14 * 86_400;
/// How often.
const AGAIN: Duration = Duration::from_secs(86_400);

/// The certificate that handshakes show.
pub(super) struct Certificate {
    validity: Option<Validity>,
    /// When the operator was told last.
    told: Option<Instant>,
}

impl Certificate {
    pub(super) fn new(tls: Option<&Tls>) -> Self {
        Self { validity: tls.map(|tls| tls.validity), told: None }
    }

    /// Seconds until the end, less than 0 after it; `None` without a certificate.
    pub(super) fn beat(&mut self, now: Now) -> Option<i64> {
        let left = (self.validity?.until - now.wall).num_seconds();
        if left < SOON && self.told.is_none_or(|at| now.mono >= at + AGAIN) {
            self.told = Some(now.mono);
            match left {
                ..=0 => tracing::error!("the certificate of SIP over TLS has expired"),
                _ => tracing::warn!("the certificate of SIP over TLS expires in {left} s"),
            }
        }
        Some(left)
    }
}
