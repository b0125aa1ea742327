//! stub
#![allow(missing_docs, unused_variables)]
use super::config::Schedule;
use crate::time::Timestamp;
pub enum Why {
    OutsideHours,
    Range(String),
    Date(String),
    Holiday(String),
    Override,
}
pub enum Opening {
    Open { intake_end: Option<Timestamp>, service_end: Option<Timestamp> },
    Winding { service_end: Timestamp },
    Closed { why: Why, next_open: Option<Timestamp> },
}
pub fn at(s: &Schedule, tz: chrono_tz::Tz, w: Timestamp) -> Opening {
    Opening::Open { intake_end: None, service_end: None }
}
pub fn next_change(s: &Schedule, tz: chrono_tz::Tz, w: Timestamp) -> Option<Timestamp> {
    None
}
