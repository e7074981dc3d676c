//! A way between client and host that loses datagrams, in both directions, by a seed.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Passes on what comes for one client. Ends when dropped.
pub struct Relay {
    /// Where the client finds the host.
    pub address: SocketAddr,
    state: Arc<State>,
    threads: Vec<JoinHandle<()>>,
}

struct State {
    /// Of a thousand.
    loss: AtomicU32,
    random: AtomicU64,
    client: Mutex<Option<SocketAddr>>,
    stop: AtomicBool,
}

impl Relay {
    /// Loses nothing until [`Self::lose`].
    pub fn start(host: SocketAddr, seed: u64) -> Self {
        let open = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let (front, back) = (open(), open());
        back.connect(host).expect("connected");
        for socket in [&front, &back] {
            socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        }
        let address = front.local_addr().expect("an address");
        let state = Arc::new(State {
            loss: AtomicU32::new(0),
            random: AtomicU64::new(seed | 1),
            client: Mutex::new(None),
            stop: AtomicBool::new(false),
        });
        let to_host = {
            let (front, back, state) =
                (front.try_clone().expect("cloned"), back.try_clone().expect("cloned"), Arc::clone(&state));
            move || {
                state.pass(
                    |buffer| {
                        let (len, from) = front.recv_from(buffer)?;
                        *state.client.lock().expect("no panic") = Some(from);
                        Ok(len)
                    },
                    |packet| drop(back.send(packet)),
                );
            }
        };
        let to_client = {
            let state = Arc::clone(&state);
            move || {
                state.pass(
                    |buffer| back.recv(buffer),
                    |packet| {
                        if let Some(client) = *state.client.lock().expect("no panic") {
                            drop(front.send_to(packet, client));
                        }
                    },
                );
            }
        };
        let threads = vec![std::thread::spawn(to_host), std::thread::spawn(to_client)];
        Self { address, state, threads }
    }

    /// From now on so many of a thousand datagrams vanish.
    pub fn lose(&self, permille: u32) {
        self.state.loss.store(permille, Ordering::Relaxed);
    }
}

impl State {
    fn pass(&self, mut take: impl FnMut(&mut [u8]) -> std::io::Result<usize>, mut give: impl FnMut(&[u8])) {
        let mut buffer = [0; 2048];
        while !self.stop.load(Ordering::Relaxed) {
            // A timeout, or the answer to something that nobody took.
            let Ok(len) = take(&mut buffer) else { continue };
            if self.next() % 1000 >= u64::from(self.loss.load(Ordering::Relaxed)) {
                give(&buffer[..len]);
            }
        }
    }

    /// xorshift64*; which thread gets which number does not matter.
    fn next(&self) -> u64 {
        let step = |mut x: u64| {
            x ^= x >> 12;
            x ^= x << 25;
            x ^ x >> 27
        };
        let before = self.random.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |x| Some(step(x)));
        step(before.unwrap_or(1)).wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}
