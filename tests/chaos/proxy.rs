//! A small TCP proxy that stands in front of a node, in the node's own namespace, and is slow or corrupts what passes when it
//! is told to. Its orders come as lines on standard input: `pass`, `slow MS`, `corrupt N` (one bit in one of N bytes). It
//! ends with its standard input.

use crate::random::Random;
use anyhow::Context;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinSet,
};

/// What the proxy does with what passes.
#[derive(Debug, Default)]
struct Orders {
    slow_ms: AtomicU64,
    corrupt: AtomicU64,
}

impl Orders {
    fn take(&self, line: &str) {
        let mut words = line.split_whitespace();
        let (order, number) = (words.next(), words.next().and_then(|word| word.parse().ok()).unwrap_or(0));
        self.slow_ms.store(if order == Some("slow") { number } else { 0 }, Ordering::SeqCst);
        self.corrupt.store(if order == Some("corrupt") { number } else { 0 }, Ordering::SeqCst);
    }
}

/// Runs the proxy until standard input ends.
pub(crate) async fn serve(listen: u16, to: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", listen)).await.context("the proxy's port")?;
    let orders = Arc::<Orders>::default();
    let mut lines = input()?;
    let mut connections = JoinSet::new();
    let mut seed = 0;
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => orders.take(&line),
                None => return Ok(()),
            },
            accepted = listener.accept() => {
                let (near, _) = accepted?;
                seed += 1;
                connections.spawn(pass(near, to, Arc::clone(&orders), seed));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Reads standard input on a thread of its own, which nobody has to wait for.
fn input() -> std::io::Result<mpsc::UnboundedReceiver<String>> {
    let (told, lines) = mpsc::unbounded_channel();
    let read = move || std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| told.send(line));
    std::thread::Builder::new().name("orders".to_owned()).spawn(read)?;
    Ok(lines)
}

async fn pass(near: TcpStream, to: u16, orders: Arc<Orders>, seed: u64) -> std::io::Result<()> {
    let far = TcpStream::connect(("127.0.0.1", to)).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    // A side that ends is ended on the other side too; one that breaks breaks both.
    tokio::try_join!(copy(near_in, far_out, &orders, seed << 1), copy(far_in, near_out, &orders, seed << 1 | 1))?;
    Ok(())
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, orders: &Orders, seed: u64) -> std::io::Result<()> {
    let mut random = Random::new(seed);
    let mut chunk = vec![0; 16 << 10];
    loop {
        let n = from.read(&mut chunk).await?;
        if n == 0 {
            return to.shutdown().await;
        }
        let slow = orders.slow_ms.load(Ordering::SeqCst);
        if slow > 0 {
            tokio::time::sleep(Duration::from_millis(slow)).await;
        }
        let one_in = orders.corrupt.load(Ordering::SeqCst);
        if one_in > 0 {
            corrupt(&mut chunk[..n], one_in, &mut random);
        }
        to.write_all(&chunk[..n]).await?;
    }
}

/// Turns one bit in about one of `one_in` bytes.
fn corrupt(bytes: &mut [u8], one_in: u64, random: &mut Random) {
    for byte in bytes {
        if random.between(0, one_in) == 0 {
            *byte ^= 1 << random.between(0, 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_one_byte_in_n_has_one_other_bit() {
        let mut bytes = vec![0_u8; 100_000];
        corrupt(&mut bytes, 1_000, &mut Random::new(1));
        let turned: Vec<_> = bytes.iter().filter(|byte| **byte != 0).collect();
        assert!((50..200).contains(&turned.len()), "{}", turned.len());
        assert!(turned.iter().all(|byte| byte.count_ones() == 1));
    }

    #[test]
    fn an_order_takes_back_the_one_before() {
        let orders = Orders::default();
        orders.take("slow 50");
        assert_eq!(orders.slow_ms.load(Ordering::SeqCst), 50);
        orders.take("corrupt 100");
        assert_eq!((orders.slow_ms.load(Ordering::SeqCst), orders.corrupt.load(Ordering::SeqCst)), (0, 100));
        orders.take("pass");
        assert_eq!(orders.corrupt.load(Ordering::SeqCst), 0);
    }
}
