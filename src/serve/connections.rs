//! Connections with limits: how many there are, how long a request's head may take and be, and how long a client may let
//! an answer wait.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::migration::Error;

/// Connections at a time. Others wait in the system's queue.
pub const CONNECTIONS_MAX: usize = 64;
/// How long a client may take for the head of a request, and to begin the next one.
pub const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a client may let an answer wait.
pub const WRITE_TIME: Duration = Duration::from_secs(5);
/// The longest head of a request, in bytes.
pub const HEAD_BYTES_MAX: usize = 8 << 10;
/// How long to wait after the system had no file descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Binds the address at which an option asks to listen.
///
/// # Errors
/// A usage error if the address is not of this computer alone and `allow_remote` is false, or if it cannot be bound.
pub fn bind(address: SocketAddr, allow_remote: bool) -> Result<StdListener, Error> {
    if !address.ip().is_loopback() && !allow_remote {
        return Err(Error::Usage {
            what: format!("{address} can be reached from other computers, and nobody has to log in"),
            next: "listen on 127.0.0.1, or say --allow-remote".into(),
        });
    }
    let bound = StdListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| Error::Usage {
        what: format!("cannot listen on {address}: {error}"),
        next: "choose another port, or 0 for any that is free".into(),
    })
}

/// What [`axum::serve`] accepts connections from.
pub struct Connections {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Connections {
    /// Takes a bound listener over. Must be called in the runtime.
    pub fn new(listener: StdListener) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::from_std(listener)?, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) })
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = self.places.clone().acquire_owned().await.expect("it is never closed");
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => return (Connection::new(stream, place), address),
                // The client went away before it was its turn.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Tells a connection that its answer is a stream, which a client reads without sending anything.
#[derive(Debug, Clone, Default)]
pub struct StreamMark(Arc<AtomicBool>);

impl StreamMark {
    /// From here on the connection waits for no further request.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Connected<IncomingStream<'_, Connections>> for StreamMark {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().mark.clone()
    }
}

/// A connection that ends when its client is too slow.
pub struct Connection {
    stream: TcpStream,
    mark: StreamMark,
    /// When the head of the request must be complete.
    head_until: Pin<Box<Sleep>>,
    /// Bytes that came since the last answer.
    head_bytes: usize,
    /// When the client must have taken something of the answer that waits.
    write_until: Pin<Box<Sleep>>,
    write_waits: bool,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        let far = |time| Box::pin(sleep_until(Instant::now() + time));
        Self {
            stream,
            mark: StreamMark::default(),
            head_until: far(HEAD_TIME),
            head_bytes: 0,
            write_until: far(WRITE_TIME),
            write_waits: false,
            _place: place,
        }
    }

    /// Says why a request is not taken, if something of one has come, and ends the connection.
    fn refuse(&self, answer: &[u8]) -> Poll<io::Result<()>> {
        if self.head_bytes > 0 {
            // A client that does not read it learns it from the end of the connection.
            let _ = self.stream.try_write(answer);
        }
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }

    /// Notes what a write has come to.
    fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            (self.head_bytes, self.write_waits) = (0, false);
            self.head_until.as_mut().reset(Instant::now() + HEAD_TIME);
            return written;
        }
        if !self.write_waits {
            self.write_waits = true;
            self.write_until.as_mut().reset(Instant::now() + WRITE_TIME);
        }
        self.write_until.as_mut().poll(cx).map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.head_bytes += buffer.filled().len() - before;
            return if self.head_bytes > HEAD_BYTES_MAX { self.refuse(TOO_LARGE) } else { read };
        }
        if !self.mark.is_set() && !self.write_waits && self.head_until.as_mut().poll(cx).is_ready() {
            return self.refuse(TOO_SLOW);
        }
        Poll::Pending
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
