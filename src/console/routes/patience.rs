//! How long a body may be on its way: whoever stops in the middle, or sends a byte now and then,
//! must not keep a connection, and what was made of the rest.
//!
//! Owns the two limits. How much may come is the door's.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use futures_util::StreamExt as _;
use futures_util::stream::{self, Stream};
use tokio::time::{Instant, timeout_at};

/// How long nothing may come.
const PAUSE: Duration = Duration::from_secs(20);
/// How long a form may take.
const FORM: Duration = Duration::from_secs(60);
/// How long a file may take: many megabytes by a slow line.
const FILE: Duration = Duration::from_secs(900);

/// The request, whose body ends with an error when it takes too long.
pub(super) fn limited(request: Request) -> Request {
    let form = request.headers().get(CONTENT_TYPE).map(|value| value.as_bytes());
    let is_file = form.is_some_and(|form| form.starts_with(b"multipart/form-data"));
    let whole = if is_file { FILE } else { FORM };
    request.map(|body| Body::from_stream(timed(body, PAUSE, whole)))
}

fn timed(body: Body, pause: Duration, whole: Duration) -> impl Stream<Item = io::Result<Bytes>> {
    let until = Instant::now() + whole;
    stream::try_unfold(body.into_data_stream(), move |mut body| async move {
        let late = until.min(Instant::now() + pause);
        match timeout_at(late, body.next()).await {
            Ok(Some(Ok(bytes))) => Ok(Some((bytes, body))),
            Ok(Some(Err(error))) => Err(io::Error::other(error)),
            Ok(None) => Ok(None),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    })
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    /// Sends so many bytes, one every 20 ms, and then nothing.
    fn dripping(count: usize) -> Body {
        Body::from_stream(stream::unfold(0, move |n| async move {
            let pause = if n < count { Duration::from_millis(20) } else { Duration::from_secs(60) };
            tokio::time::sleep(pause).await;
            Some((io::Result::Ok(Bytes::from_static(b"x")), n + 1))
        }))
    }

    #[tokio::test]
    async fn a_body_that_stops_or_drips_comes_to_an_end() {
        let (short, long) = (Duration::from_millis(400), Duration::from_secs(30));
        for (count, pause, whole) in [(2, short, long), (1_000_000, long, short)] {
            let began = Instant::now();
            let body = Body::from_stream(timed(dripping(count), pause, whole));
            assert!(to_bytes(body, usize::MAX).await.is_err(), "{count}");
            assert!(began.elapsed() < long, "{count}");
        }
        let body = Body::from_stream(timed(Body::from("whole"), long, long));
        assert_eq!(to_bytes(body, usize::MAX).await.unwrap(), "whole");
    }
}
