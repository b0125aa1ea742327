//! One stream, TCP or TLS over it: listening, connecting, the handshake, and the task that reads
//! and writes until it ends.
//!
//! Owns what happens on a stream (RFC 3261 §18.3, RFC 5626 §4.4.1); who may have one is
//! `connections`'s. Reading and writing go on side by side, so that a peer that does not read is
//! still heard, and the other way round, until its time is over.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::connections::{Connections, Seat, State};
use super::{Limits, Report, tls, udp};
use crate::shell::kept_sockets::{Carries, KeptSockets, Name};
use crate::sip::frame::{Frame, Framer};
use crate::sip::{Flow, Transport, parse};

/// Streams that wait to be accepted.
const BACKLOG: i32 = 1_024;
/// What one read takes at most.
const READ_BYTES: usize = 8_192;
/// Pause after a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a silent stream is left alone, then asked how often and how fast whether it is there.
const KEEPALIVE: (Duration, u32, Duration) = (Duration::from_secs(30), 3, Duration::from_secs(10));

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The peer closed it, or the network did.
    Closed,
    /// Something came that is not SIP, or took too long to come.
    Malformed,
    /// Nothing came for too long.
    Idle,
    /// The peer does not read.
    Stalled,
    /// We close it to make room, or because the loop is gone.
    Ours,
}

/// Listens, for as long as the loop does.
pub(super) fn listen(
    transport: Transport,
    address: SocketAddr,
    limits: &Limits,
    connections: &Arc<Connections>,
    kept: &KeptSockets,
) -> io::Result<SocketAddr> {
    let socket = match kept.claim(address, Carries::Streams) {
        Some(old) => Socket::from(old),
        None => {
            let new = bind(address)?;
            if let Some(bound) = new.local_addr()?.as_socket() {
                kept.keep(Name::sip(transport, bound), &[new.as_fd()]);
            }
            new
        }
    };
    socket.set_nonblocking(true)?;
    udp::mark(&socket, address, limits.dscp)?;
    let beside = &connections.beside;
    let _context = beside.enter();
    let listener = TcpListener::from_std(socket.into())?;
    let bound = listener.local_addr()?;
    beside.spawn(accept(listener, transport, bound, Arc::clone(connections)));
    Ok(bound)
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Streams of the last run that linger (TIME_WAIT) must not keep the next one from starting.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

async fn accept(
    listener: TcpListener,
    transport: Transport,
    bound: SocketAddr,
    connections: Arc<Connections>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = connections.reports.closed() => return,
        };
        match accepted {
            Ok((stream, remote)) => {
                let Some((seat, queue)) = connections.admit(transport, remote) else { continue };
                let mut local = bound;
                if let (true, Ok(own)) = (bound.ip().is_unspecified(), stream.local_addr()) {
                    local.set_ip(own.ip());
                }
                tokio::spawn(serve(stream, seat, queue, local));
            }
            Err(error) => {
                tracing::debug!(%error, "accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A stream that somebody opened to us, until its end. Of one whose handshake fails nobody is told,
/// since nobody knew of it.
async fn serve(mut stream: TcpStream, seat: Seat, queue: mpsc::Receiver<Bytes>, local: SocketAddr) {
    let flow = seat.flow(local);
    let reports = seat.connections.reports.clone();
    prepare(&stream, &seat.connections.limits);
    if flow.transport == Transport::Tls {
        let Some(tls) = seat.connections.tls() else { return };
        let acceptor = TlsAcceptor::from(tls.server(flow.remote.ip()));
        match handshake(&seat, acceptor.accept(stream)).await {
            Ok(stream) => run(split(stream), &seat, queue, flow).await,
            Err(error) => {
                tracing::debug!(remote = %flow.remote, %error, "TLS handshake");
                return;
            }
        }
    } else {
        run(stream.split(), &seat, queue, flow).await;
    }
    drop(seat);
    tell(&reports, flow).await;
}

/// Opens a stream for the seat in a task of its own. `name`: whom a certificate has to name.
pub(super) fn connect(seat: Seat, queue: mpsc::Receiver<Bytes>, flow: &Flow, name: Option<&str>) {
    let local = flow.local;
    let name = tls::server_name(name, flow.remote.ip());
    let beside = seat.connections.beside.clone();
    beside.spawn(async move {
        let reports = seat.connections.reports.clone();
        let limits = &seat.connections.limits;
        let opened = tokio::select! {
            opened = timeout(limits.connect_timeout, open(local, seat.remote(), limits)) => opened,
            () = seat.state.close.notified() => Ok(Err(io::ErrorKind::Interrupted.into())),
        };
        let mut flow = seat.flow(local);
        match opened {
            Ok(Ok(stream)) if flow.transport == Transport::Tls => {
                if let Err(error) = secure(stream, &seat, queue, flow, name).await {
                    // Said aloud: it is somebody whom the operator named, and who lets no call in.
                    tracing::warn!(remote = %flow.remote, "no TLS: {error}");
                    flow.connection = None;
                }
            }
            Ok(Ok(mut stream)) => {
                prepare(&stream, limits);
                run(stream.split(), &seat, queue, flow).await;
            }
            Ok(Err(_)) | Err(_) => flow.connection = None,
        }
        drop(seat);
        tell(&reports, flow).await;
    });
}

/// Lets the far end prove who it is, and then runs the stream until its end.
async fn secure(
    stream: TcpStream,
    seat: &Seat,
    queue: mpsc::Receiver<Bytes>,
    flow: Flow,
    name: Option<ServerName<'static>>,
) -> io::Result<()> {
    let refuse = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    let tls = seat.connections.tls().ok_or_else(|| refuse("sip.tls is not configured"))?;
    let name = name.ok_or_else(|| refuse("no certificate can hold this name"))?;
    prepare(&stream, &seat.connections.limits);
    let connector = TlsConnector::from(Arc::clone(&tls.client));
    let shown = name.to_str().into_owned();
    let stream = handshake(seat, connector.connect(name, stream)).await;
    let stream = stream.map_err(|e| io::Error::new(e.kind(), format!("{shown}: {e}")))?;
    run(split(stream), seat, queue, flow).await;
    Ok(())
}

/// A handshake within its time, unless the seat is wanted for another. What fails is counted.
async fn handshake<S>(seat: &Seat, shake: impl Future<Output = io::Result<S>>) -> io::Result<S> {
    let shaken = tokio::select! {
        shaken = timeout(seat.connections.limits.handshake_timeout, shake) => {
            shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
        () = seat.state.close.notified() => return Err(io::ErrorKind::Interrupted.into()),
    };
    if shaken.is_err() {
        seat.connections.unproven.fetch_add(1, Relaxed);
    }
    shaken
}

async fn open(local: SocketAddr, remote: SocketAddr, limits: &Limits) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    udp::mark(&SockRef::from(&socket), remote, limits.dscp)?;
    if !local.ip().is_unspecified() && local.is_ipv4() == remote.is_ipv4() {
        socket.bind(SocketAddr::new(local.ip(), 0))?;
    }
    socket.connect(remote).await
}

/// Tells the loop that the stream is gone: by its name, and by its address alone, for whoever sent
/// on it without naming it.
async fn tell(reports: &mpsc::Sender<Report>, flow: Flow) {
    let unnamed = flow.connection.map(|_| Flow { connection: None, ..flow });
    for flow in [Some(flow), unnamed].into_iter().flatten() {
        if reports.send(Report::Failed(flow)).await.is_err() {
            return;
        }
    }
}

/// Reads and writes until either ends.
async fn run<R, W>((read, write): (R, W), seat: &Seat, mut queue: mpsc::Receiver<Bytes>, flow: Flow)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (connections, state) = (&seat.connections, &seat.state);
    let end = tokio::select! {
        end = reading(read, seat, flow) => end,
        end = writing(write, &mut queue, state, &connections.limits) => end,
        () = state.close.notified() => End::Ours,
    };
    match end {
        End::Stalled => connections.stalled.fetch_add(1, Relaxed),
        End::Malformed => connections.malformed.fetch_add(1, Relaxed),
        End::Closed | End::Idle | End::Ours => 0,
    };
    tracing::debug!(connection = seat.id.0, ?end, "stream closed");
}

fn prepare(stream: &TcpStream, limits: &Limits) {
    let (after, times, every) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(after).with_interval(every).with_retries(times);
    let socket = SockRef::from(stream);
    // Data that the peer's kernel never acknowledges ends the stream as well as silence does.
    let unacknowledged = Some(every * times + limits.write_timeout);
    let prepared = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive))
        .and_then(|()| socket.set_tcp_user_timeout(unacknowledged));
    if let Err(error) = prepared {
        tracing::debug!(%error, "stream options");
    }
}

async fn reading(mut stream: impl AsyncRead + Unpin, seat: &Seat, flow: Flow) -> End {
    let limits = &seat.connections.limits;
    let mut framer = Framer::new(parse::Limits::default());
    let mut buffer = vec![0; READ_BYTES];
    let mut heard = Instant::now();
    let mut begun: Option<Instant> = None;
    loop {
        let known = seat.state.known.load(Relaxed);
        let deadline = match begun {
            Some(since) => since + limits.message_timeout,
            None if known => heard + limits.idle_timeout,
            None => heard + limits.stranger_timeout,
        };
        let len = match timeout_at(deadline, stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return End::Closed,
            Ok(Ok(len)) => len,
            Err(_) if begun.is_some() => return End::Malformed,
            // Our answer may have made the peer known while we waited.
            Err(_) if known || !seat.state.known.load(Relaxed) => return End::Idle,
            Err(_) => continue,
        };
        heard = Instant::now();
        framer.push(&buffer[..len]);
        buffer[..len].fill(0);
        for frame in framer.by_ref() {
            begun = None;
            let bytes = match frame {
                Ok(Frame::Message(bytes)) => bytes,
                Ok(Frame::Ping) if seat.pong() => continue,
                Ok(Frame::Ping) => return End::Stalled,
                Ok(Frame::Pong) => continue,
                Err(_) => return End::Malformed,
            };
            // Waits while the loop is behind: the peer's own buffers fill up, nobody else's.
            let message = Report::Message { flow, bytes, read: heard.into_std() };
            if seat.connections.reports.send(message).await.is_err() {
                return End::Ours;
            }
        }
        begun = if framer.has_begun() { begun.or(Some(heard)) } else { None };
    }
}

async fn writing(
    mut stream: impl AsyncWrite + Unpin,
    queue: &mut mpsc::Receiver<Bytes>,
    state: &State,
    limits: &Limits,
) -> End {
    while let Some(bytes) = queue.recv().await {
        // TLS may keep the end of a record back until it is told to flush.
        let written = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        match timeout(limits.write_timeout, written).await {
            Ok(Ok(())) => state.queued.fetch_sub(bytes.len(), Relaxed),
            Ok(Err(_)) => return End::Closed,
            Err(_) => return End::Stalled,
        };
    }
    End::Ours
}
