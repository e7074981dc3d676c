//! The API's and the console's doors on the network, which may move while the host runs.
//!
//! ```text
//! change ─► the new door opens ─► the old one stays, marked as leaving ─┬─ keep ────────► the old one closes
//!    └── taken: nothing changed                                        └─ change back ─► the new one closes
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use punktfunk_media::reason;
use punktfunk_mgmt::door::{Door, DoorError, DoorKind, Leaving};
use punktfunk_mgmt::{MgmtState, Problem, Router, console_router, router};
use punktfunk_net::Identity;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Which ports; `None`: closed. 0 takes any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Of the API.
    pub api: Option<u16>,
    /// Of the console.
    pub web: Option<u16>,
}

/// The doors.
pub struct Doors {
    bind: IpAddr,
    identity: Arc<Identity>,
    routers: OnceLock<(Router, Router)>,
    slots: Mutex<Slots>,
}

struct Slots {
    api: Slot,
    web: Slot,
    /// Closed doors being emptied.
    closing: Vec<JoinHandle<()>>,
    /// Nothing opens any more.
    shut: bool,
}

/// One of the two.
#[derive(Default)]
struct Slot {
    now: Option<Open>,
    /// What a change on trial found.
    before: Option<Option<Open>>,
    /// Why it is not open although it should be.
    problem: Option<Problem>,
}

struct Open {
    /// As asked for.
    port: u16,
    address: SocketAddr,
    leaving: Leaving,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Doors {
    /// No door is open yet.
    pub fn new(bind: IpAddr, identity: &Arc<Identity>) -> Arc<Self> {
        let slots = Slots { api: Slot::default(), web: Slot::default(), closing: Vec::new(), shut: false };
        Arc::new(Self { bind, identity: Arc::clone(identity), routers: OnceLock::new(), slots: Mutex::new(slots) })
    }

    /// Opens them. One that cannot be opened is a problem that the host tells, not a reason not to stream. Inside a tokio
    /// runtime.
    pub fn start(&self, state: &MgmtState, ports: Ports) {
        // A second call changes nothing.
        let _ = self.routers.set((router(state.clone()), console_router(state.clone())));
        let mut slots = self.lock();
        for (kind, port) in [(DoorKind::Lan, ports.api), (DoorKind::Console, ports.web)] {
            let Some(port) = port else { continue };
            match self.open(kind, port) {
                Ok(open) => slots.of(kind).now = Some(open),
                Err(problem) => {
                    tracing::warn!(code = %problem.code, fix = %problem.fix, detail = ?problem.detail, "a door stays closed");
                    slots.of(kind).problem = Some(problem);
                }
            }
        }
    }

    /// Moves them. What was open stays so until [`Self::keep`]; asking for the ports from before takes the change back.
    ///
    /// # Errors
    /// Why a door cannot be opened; nothing changed then.
    pub fn change(&self, ports: Ports) -> Result<(), Problem> {
        let mut slots = self.lock();
        if slots.shut {
            return Err(Problem::new(&reason::HOST_SHUTTING_DOWN));
        }
        let api_before = slots.api.now.as_ref().map(|o| o.port);
        self.move_one(&mut slots, DoorKind::Lan, ports.api)?;
        self.move_one(&mut slots, DoorKind::Console, ports.web).inspect_err(|_| {
            // Going back opens nothing, so that it cannot fail.
            let _ = self.move_one(&mut slots, DoorKind::Lan, api_before);
        })
    }

    fn move_one(&self, slots: &mut Slots, kind: DoorKind, port: Option<u16>) -> Result<(), Problem> {
        let slot = slots.of(kind);
        if slot.now.as_ref().map(|o| o.port) == port {
            return Ok(());
        }
        let closed = match slot.before.take() {
            Some(before) if before.as_ref().map(|o| o.port) == port => {
                before.iter().for_each(|door| door.leaving.set(false));
                std::mem::replace(&mut slot.now, before)
            }
            other => {
                slot.before = other;
                let fresh = port.map(|port| self.open(kind, port)).transpose()?;
                slot.problem = None;
                let old = std::mem::replace(&mut slot.now, fresh);
                old.iter().for_each(|door| door.leaving.set(true));
                // A change on top of one on trial does not happen: the older of the two would be nobody's.
                slot.before.replace(old).flatten()
            }
        };
        slots.close(closed);
        Ok(())
    }

    /// The change stays: what it left closes.
    pub fn keep(&self) {
        let mut slots = self.lock();
        for kind in [DoorKind::Lan, DoorKind::Console] {
            let before = slots.of(kind).before.take().flatten();
            slots.close(before);
        }
    }

    /// Where the API is, if it is served.
    pub fn api(&self) -> Option<SocketAddr> {
        self.lock().api.now.as_ref().map(|o| o.address)
    }

    /// Where the console is, if it is served.
    pub fn web(&self) -> Option<SocketAddr> {
        self.lock().web.now.as_ref().map(|o| o.address)
    }

    /// Why doors are not open that should be.
    pub fn problems(&self) -> Vec<Problem> {
        let slots = self.lock();
        [&slots.api, &slots.web].into_iter().filter_map(|slot| slot.problem.clone()).collect()
    }

    /// Closes all and waits until their requests are answered.
    pub async fn shutdown(&self) {
        let closing = {
            let mut slots = self.lock();
            slots.shut = true;
            for kind in [DoorKind::Lan, DoorKind::Console] {
                let slot = std::mem::take(slots.of(kind));
                slots.close(slot.now);
                slots.close(slot.before.flatten());
            }
            std::mem::take(&mut slots.closing)
        };
        for door in closing {
            if let Err(e) = door.await {
                tracing::error!("a door of the management API: {e}");
            }
        }
    }

    fn open(&self, kind: DoorKind, port: u16) -> Result<Open, Problem> {
        let bind = |ip| Door::bind(SocketAddr::new(ip, port), kind, &self.identity);
        // A kernel without IPv6 has no `::`.
        let no_v6 = |e: &DoorError| {
            self.bind.is_ipv6() && self.bind.is_unspecified() && *e.reason == reason::NETWORK_UNAVAILABLE
        };
        let door = bind(self.bind).or_else(|e| if no_v6(&e) { bind(Ipv4Addr::UNSPECIFIED.into()) } else { Err(e) });
        let door = door.map_err(|e| Problem::new(e.reason).with_detail(e.to_string()))?;
        let (lan, console) = self.routers.get().ok_or_else(|| Problem::new(&reason::API_INTERNAL))?;
        let router = if kind == DoorKind::Lan { lan } else { console };
        let (stop, mut stopped) = watch::channel(false);
        let (address, leaving) = (door.local_addr(), door.leaving());
        let serving = tokio::spawn(door.serve(router.clone(), async move {
            // An error means that the sender is gone: the same.
            let _ = stopped.wait_for(|stop| *stop).await;
        }));
        Ok(Open { port, address, leaving, stop, serving })
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        // Every holder leaves the data valid between any two statements.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    const fn of(&mut self, kind: DoorKind) -> &mut Slot {
        match kind {
            DoorKind::Lan => &mut self.api,
            DoorKind::Console => &mut self.web,
        }
    }

    fn close(&mut self, door: Option<Open>) {
        self.closing.retain(|door| !door.is_finished());
        if let Some(Open { stop, serving, .. }) = door {
            stop.send_replace(true);
            self.closing.push(serving);
        }
    }
}
