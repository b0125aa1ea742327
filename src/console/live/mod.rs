//! Parts of a page that change by themselves: one stream of server-sent events a viewer.
//!
//! Owns the stream: how often it sends, and that it ends with the session. What a part looks like
//! is its page's. Nothing is sent while nothing changes: lengths of time count up in the browser,
//! from the moment that stands in the part.
//!
//! | event | data |
//! |---|---|
//! | `now` | the service's clock, in milliseconds of Unix time; once, first |
//! | `part` | a list of parts that changed ([`sheet`]) |
//! | `over` | the session has ended: the last event |
//! | `moved` | a newer stream of the same account took the place: the last event |

pub(in crate::console) mod pass;
pub(in crate::console) mod seats;
pub(in crate::console) mod sheet;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::sign_in::From;
use super::ui::{View, error};
use crate::call::board::Board;
use crate::shell::clock;
use pass::Pass;
use seats::{Seat, Seats};

/// Shortest time between two events of a viewer. With the board's own pace (a quarter of a second)
/// a change is seen within a second.
pub(in crate::console) const PAUSE: Duration = Duration::from_millis(750);

/// What a viewer gets at a moment.
pub(in crate::console) enum Paint {
    /// What they have is all there is.
    Nothing,
    /// There may be more at this moment.
    Later(Instant),
    /// These parts, up to this version.
    Parts(Arc<str>, u64),
}

/// Knows how a page's parts look at the moment.
pub(in crate::console) trait Painter: Send + 'static {
    /// What has changed since the version that the viewer has seen; 0: nothing was seen.
    fn paint(&mut self, seen: u64) -> impl Future<Output = Paint> + Send;
}

/// A viewer's stream.
pub(in crate::console) fn follow(
    view: &View,
    headers: &HeaderMap,
    (seats, from): (&Seats, From),
    painter: impl Painter,
) -> Response {
    let Some(seat) = seats.take(&view.person, from) else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "too_many_subscribers");
    };
    let mut board = view.desk.handle.board();
    board.mark_changed();
    let viewer = Viewer {
        pass: Pass::new(&view.desk, &view.person, headers),
        board,
        painter,
        seen: 0,
        next: Instant::now(),
        stage: Stage::Greets,
        seat,
    };
    let heartbeat = KeepAlive::new().interval(view.desk.limits.heartbeat).text("heartbeat");
    Sse::new(viewer.events()).keep_alive(heartbeat).into_response()
}

/// Where a stream is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greets,
    Goes,
    IsOver,
}

/// One reader of a stream. Its place is free again when the connection ends.
struct Viewer<P> {
    pass: Pass,
    board: watch::Receiver<Arc<Board>>,
    painter: P,
    seen: u64,
    /// When it may get the next event.
    next: Instant,
    stage: Stage,
    seat: Seat,
}

impl<P: Painter> Viewer<P> {
    /// Ends with the session, or with the loop.
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut viewer| async {
            let event = viewer.event().await?;
            Some((Ok(event), viewer))
        })
    }

    async fn event(&mut self) -> Option<Event> {
        match self.stage {
            Stage::Greets => {
                self.stage = Stage::Goes;
                let now = clock::now().wall.timestamp_millis();
                return Some(Event::default().event("now").data(now.to_string()));
            }
            Stage::Goes => {}
            Stage::IsOver => return None,
        }
        loop {
            let changed = async {
                sleep_until(self.next).await;
                self.board.changed().await
            };
            let Some(changed) = self.seat.until(changed).await else {
                self.stage = Stage::IsOver;
                return Some(seats::moved());
            };
            changed.ok()?;
            if !self.pass.is_good().await {
                self.stage = Stage::IsOver;
                return Some(Event::default().event("over").data("-"));
            }
            match self.painter.paint(self.seen).await {
                Paint::Nothing => {}
                Paint::Later(at) => {
                    self.next = at;
                    self.board.mark_changed();
                }
                Paint::Parts(parts, version) => {
                    self.seen = version;
                    self.next = Instant::now() + PAUSE;
                    return Some(Event::default().event("part").data(&*parts));
                }
            }
        }
    }
}
