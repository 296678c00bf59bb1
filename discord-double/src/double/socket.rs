//! One connection of the gateway: carries what is said both ways and closes as it is told. Decides nothing.

use super::{Shared, pack::Packer};
use crate::gateway::{Effect, Entrance};
use axum::{
    body::Bytes,
    extract::ws::{CloseFrame, Message, WebSocket},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long a client may take to answer a close.
const GOODBYE: Duration = Duration::from_secs(10);

/// Serves a connection until it ends.
pub(super) async fn serve(mut socket: WebSocket, entrance: Entrance, shared: Arc<Shared>) {
    let mut packer = Packer::asked(entrance.compress.as_deref());
    let (id, mut orders) = shared.connect(entrance);
    let mut ticks = interval(shared.tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (code, by_client) = loop {
        tokio::select! {
            () = shared.stop.cancelled() => break (None, false),
            order = orders.recv() => match order {
                Some(Effect::Say(_, text)) => {
                    if socket.send(packer.pack(&text)).await.is_err() {
                        break (None, false);
                    }
                }
                Some(Effect::Blurt(_, bytes)) => {
                    if socket.send(Message::Binary(Bytes::copy_from_slice(&bytes))).await.is_err() {
                        break (None, false);
                    }
                }
                Some(Effect::Pack(_)) => {
                    if matches!(packer, Packer::Plain) {
                        packer = Packer::Each;
                    }
                }
                Some(Effect::Close(_, code)) => {
                    goodbye(&mut socket, code).await;
                    break (None, false);
                }
                Some(Effect::Cut(_)) | None => break (None, false),
            },
            heard = socket.recv() => match heard {
                Some(Ok(Message::Text(text))) => shared.receive(id, text.as_str().as_bytes()),
                Some(Ok(Message::Binary(bytes))) => shared.receive(id, &bytes),
                Some(Ok(Message::Close(frame))) => break (frame.map(|frame| frame.code), true),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Err(_)) | None => break (None, false),
            },
            _ = ticks.tick() => shared.tick(id),
        }
    };
    shared.gone(id, code);
    if by_client {
        // The answer to it leaves while the end is waited for.
        let _ = timeout(GOODBYE, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    }
}

/// Closes with a code and waits until the client has heard it.
async fn goodbye(socket: &mut WebSocket, code: u16) {
    let frame = CloseFrame { code, reason: "".into() };
    if socket.send(Message::Close(Some(frame))).await.is_ok() {
        let _ = timeout(GOODBYE, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    }
}
