//! The task that owns one open connection: it numbers nothing and decides nothing, it writes what callers queue, gives
//! each reply to its caller, pings, and notices when the other side has gone silent.
//!
//! ```text
//! serving ──Goaway, Retire──▶ draining ──nothing unanswered──▶ ended
//!    └──────────── closed · silent · malformed ──────────────▶ ended
//! ```

use super::Lost;
use super::open::Opened;
use super::session::{Call, Command, Permits};
use crate::wire::link::{Frame, LinkError, Outcome, decode, encode};
use bytes::BytesMut;
use std::collections::HashMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Commands taken together; what they write leaves in one go.
const BATCH: usize = 256;

/// Unwritten bytes at which no further commands are taken: the socket is slower than the callers.
const WRITE_AHEAD: usize = 1 << 20;

/// Room for each read. A buffer without room would be read into in small pieces.
const READ_AHEAD: usize = 16 << 10;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the pod closed the link")]
    Closed,
    #[error("the pod said goodbye")]
    Goodbye,
    #[error("the link was silent for {0:?}")]
    Silent(Duration),
    #[error("the link broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("the pod sent a malformed frame: {0}")]
    Malformed(#[from] LinkError),
    #[error("the pod sent a frame that only a router sends")]
    Unexpected,
}

/// What has been sent and not been answered.
#[derive(Debug)]
struct Unanswered {
    /// `None` once the caller has given up; the share is held on, since the pod still counts the request.
    reply: Option<oneshot::Sender<Result<Outcome, Lost>>>,
    _permits: Permits,
    answer_by: Instant,
}

/// The state of one connection.
#[derive(Debug)]
struct Connection {
    unanswered: HashMap<u32, Unanswered>,
    out: BytesMut,
    heard: Instant,
    draining: bool,
    timeout: Duration,
}

/// Runs a connection until it ends. Calls `draining` once when it takes no new requests any more.
pub(super) async fn run(
    opened: Opened,
    mut commands: mpsc::UnboundedReceiver<Command>,
    max_frame: usize,
    timeout: Duration,
    draining: impl Fn(),
) -> Ended {
    let Opened { stream, mut buffer, .. } = opened;
    let (mut reader, mut writer) = stream.into_split();
    let mut ticks = interval((timeout / 3).clamp(Duration::from_millis(10), Duration::from_secs(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut state = Connection {
        unanswered: HashMap::new(),
        out: BytesMut::new(),
        heard: Instant::now(),
        draining: false,
        timeout,
    };
    let (mut batch, mut told) = (Vec::with_capacity(BATCH), false);
    // The handshake may have read the first frames already.
    let mut ended = state.take_frames(&mut buffer, max_frame);
    loop {
        if let Err(why) = ended {
            return why;
        }
        if state.draining && !told {
            told = true;
            draining();
        }
        if state.draining && state.unanswered.is_empty() && state.out.is_empty() {
            return Ended::Goodbye;
        }
        buffer.reserve(READ_AHEAD);
        ended = tokio::select! {
            read = reader.read_buf(&mut buffer) => match read {
                Ok(0) => Err(Ended::Closed),
                Ok(_) => state.take_frames(&mut buffer, max_frame),
                Err(why) => Err(why.into()),
            },
            written = writer.write_buf(&mut state.out), if !state.out.is_empty() => match written {
                Ok(0) => Err(Ended::Closed),
                Ok(_) => Ok(()),
                Err(why) => Err(why.into()),
            },
            _ = commands.recv_many(&mut batch, BATCH), if state.out.len() < WRITE_AHEAD => {
                batch.drain(..).for_each(|command| state.take_command(command));
                Ok(())
            }
            _ = ticks.tick() => state.tick(Instant::now()),
        };
    }
}

impl Connection {
    fn take_frames(&mut self, buffer: &mut BytesMut, max_frame: usize) -> Result<(), Ended> {
        self.heard = Instant::now();
        while let Some(frame) = decode(buffer, max_frame)? {
            match frame {
                Frame::Reply { stream, outcome } => {
                    // Unknown is what was cancelled long ago.
                    if let Some(Unanswered { reply: Some(reply), .. }) = self.unanswered.remove(&stream) {
                        let _ = reply.send(Ok(*outcome));
                    }
                }
                Frame::Ping => encode(&Frame::Pong, &mut self.out),
                Frame::Pong => {}
                Frame::Goaway => self.draining = true,
                Frame::Hello { .. } | Frame::Request { .. } | Frame::Cancel { .. } => return Err(Ended::Unexpected),
            }
        }
        Ok(())
    }

    fn take_command(&mut self, command: Command) {
        match command {
            Command::Call(call) if self.draining => {
                let _ = call.reply.send(Err(Lost { sent: false }));
            }
            Command::Call(call) => {
                let Call { stream, request, reply, permits, answer_by } = *call;
                encode(&Frame::Request { stream, request: Box::new(request) }, &mut self.out);
                self.unanswered.insert(stream, Unanswered { reply: Some(reply), _permits: permits, answer_by });
            }
            Command::Cancel(stream) => {
                if let Some(unanswered) = self.unanswered.get_mut(&stream)
                    && unanswered.reply.take().is_some()
                {
                    encode(&Frame::Cancel { stream }, &mut self.out);
                }
            }
            Command::Retire => self.draining = true,
        }
    }

    fn tick(&mut self, now: Instant) -> Result<(), Ended> {
        if now.duration_since(self.heard) >= self.timeout {
            return Err(Ended::Silent(self.timeout));
        }
        // A cancelled request may never be answered; once the pod must be done with it, its share goes back.
        let timeout = self.timeout;
        self.unanswered.retain(|_, one| one.reply.is_some() || now < one.answer_by + timeout);
        encode(&Frame::Ping, &mut self.out);
        Ok(())
    }
}
