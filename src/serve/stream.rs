//! Bodies that are made while they are sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use futures_core::Stream;
use tokio::sync::mpsc::Receiver;

/// The pieces that come through a channel.
struct Pieces(Receiver<Bytes>);

impl Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|piece| piece.map(Ok))
    }
}

/// Returns the body of the pieces that come through a channel. It ends when all senders are gone.
pub fn body(pieces: Receiver<Bytes>) -> Body {
    Body::from_stream(Pieces(pieces))
}
