//! `pair` and `forget`, and how the other commands connect.

use std::sync::Arc;

use punktfunk_client::{DialBudget, Dialer, Link, PairError, Target, pair};

use crate::cli::{ForgetArgs, PairArgs};
use crate::failure::Failure;
use crate::store::Store;

/// Pairs, and pins the host.
pub async fn run(args: PairArgs) -> Result<(), Failure> {
    let store = Store::from_env();
    let mut dialer = Dialer::new(Arc::new(store.identity()?));
    // No pin: a successful ceremony proves the host's identity better than any earlier meeting.
    let link =
        dialer.dial(&args.host, None, DialBudget::default()).await.map_err(|e| Failure::of_dial(&e, &args.host))?;
    let name = device_name(args.name);
    let outcome = pair(&link, dialer.identity(), &name, &args.pin).await;
    dialer.settle().await;
    outcome.map_err(|error| match error {
        PairError::Ended(end) => Failure::of_end(&end),
        PairError::Ceremony(_) => Failure::new(error.to_string())
            .with_fix("A PIN works once: arm a new one on the host (`punktfunk-host pair arm`) and type it exactly."),
        other => Failure::new(other.to_string()),
    })?;
    store.remember(&args.host, link.host)?;
    println!("paired with {} as \"{name}\"", args.host);
    println!("host identity  {}", link.host);
    println!("our identity   {}", dialer.identity().fingerprint());
    Ok(())
}

/// Forgets a host's pin.
pub fn forget(args: &ForgetArgs) -> Result<(), Failure> {
    if Store::from_env().forget(&args.host)? {
        println!("forgot {}", args.host);
        Ok(())
    } else {
        Err(Failure::new(format!("{} is not known", args.host)))
    }
}

/// A link to a host that is the pinned one, or that nobody knew before.
pub struct Met {
    /// The link.
    pub link: Link,
    /// Whether it has to be remembered.
    first_time: bool,
}

impl Met {
    /// Connects; refuses a host whose identity changed.
    pub async fn connect(store: &Store, dialer: &mut Dialer, target: &Target) -> Result<Self, Failure> {
        let pin = store.pin(target)?;
        let dialed = dialer.dial(target, pin, DialBudget::default()).await;
        let link = dialed.map_err(|e| Failure::of_dial(&e, target))?;
        Ok(Self { link, first_time: pin.is_none() })
    }

    /// Trusts the host on first use, with a notice. Call when there is time: writing reaches the disk.
    pub fn remember(&self, store: &Store, target: &Target) -> Result<(), Failure> {
        if self.first_time {
            store.remember(target, self.link.host)?;
            eprintln!("met {target} for the first time; its identity is {}", self.link.host);
        }
        Ok(())
    }
}

/// The name given, or one made of the machine's.
pub fn device_name(given: Option<String>) -> String {
    given.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| {
        let machine = rustix::system::uname();
        format!("probe on {}", machine.nodename().to_string_lossy())
    })
}
