//! `pair`: the local command line of the management API. Talks to the running host over its control socket.

use punktfunk_media::reason;
use punktfunk_mgmt::client::{Client, ClientError};
use punktfunk_mgmt::{ApproveRequest, ArmRequest, ClientKind, ClientState, PinRequest};

use crate::cli::{PairArgs, PairCommand};
use crate::exit::{Failure, NOT_RUNNING};
use crate::paths::Paths;

/// Carries the command out.
///
/// # Errors
/// `host.not_running` (exit 5) without a host; else what the host answered.
pub fn run(args: &PairArgs, paths: &Paths) -> Result<(), Failure> {
    block_on(async {
        let client = Client::connect(&paths.control_sockets()).await.map_err(failure)?;
        match &args.command {
            PairCommand::Arm { seconds } => {
                let request = ArmRequest { seconds: Some(u64::from(*seconds)), fingerprint: None };
                let armed = client.arm(&request).await.map_err(failure)?;
                show(args.json, &armed, || {
                    println!("PIN {}", armed.pin);
                    println!("valid for {} s and one attempt; on the client:", armed.expires_in_s);
                    println!("  punktfunk-probe pair HOST --pin {}", armed.pin);
                });
            }
            PairCommand::Disarm => {
                client.disarm().await.map_err(failure)?;
                show(args.json, &serde_json::json!({"armed": false}), || println!("no window is open"));
            }
            PairCommand::Pin { pin, id } => {
                let request = PinRequest { pin: pin.clone(), id: id.clone() };
                let device = client.pin(&request).await.map_err(failure)?;
                show(args.json, &device, || println!("{} ({}) is paired", device.name, device.id));
            }
            PairCommand::Status => {
                let status = client.pairing().await.map_err(failure)?;
                show(args.json, &status, || {
                    match (status.armed, status.expires_in_s) {
                        (true, Some(seconds)) => println!("a window is open for {seconds} s more"),
                        (true, None) => println!("a window is open"),
                        (false, _) => println!("no window is open"),
                    }
                    if status.open {
                        println!("pairing is not required: everybody may connect");
                    }
                    for knock in &status.pending {
                        println!("waiting: {}  {}  from {}, {} s", knock.id, knock.name, knock.source, knock.waiting_s);
                    }
                    for device in &status.pins_wanted {
                        println!(
                            "shows a PIN: {}  {}  from {}, {} s; type it with: punktfunk-host pair pin PIN --id {}",
                            device.id, device.name, device.source, device.waiting_s, device.id
                        );
                    }
                });
            }
            PairCommand::List => {
                let devices = client.devices().await.map_err(failure)?;
                show(args.json, &devices, || {
                    if devices.is_empty() {
                        println!("no client is paired, none is waiting");
                    }
                    for d in &devices {
                        let state = match d.state {
                            ClientState::Paired => "paired",
                            ClientState::Expired => "expired",
                            ClientState::Pending => "pending",
                        };
                        let kind = match d.kind {
                            ClientKind::Native => "native",
                            ClientKind::Gamestream => "gamestream",
                        };
                        let streaming = if d.streaming { "  streaming" } else { "" };
                        println!("{}  {state:<8}  {kind:<10}  grants 0x{:02x}  {}{streaming}", d.id, d.grants, d.name);
                    }
                });
            }
            PairCommand::Approve { id } => {
                let device = client.approve(id, &ApproveRequest::default()).await.map_err(failure)?;
                show(args.json, &device, || println!("{} may connect", device.name));
            }
            PairCommand::Deny { id } => {
                client.deny(id).await.map_err(failure)?;
                show(args.json, &serde_json::json!({"denied": id}), || println!("denied"));
            }
            PairCommand::Revoke { id } => {
                client.revoke(id).await.map_err(failure)?;
                show(args.json, &serde_json::json!({"revoked": id}), || println!("forgotten; its sessions end"));
            }
        }
        Ok(())
    })
}

/// Runs one request on a small runtime of its own.
///
/// # Errors
/// Those of `work`, or that the system gives no runtime.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(&reason::INTERNAL_THREADS, e.to_string()))?
        .block_on(work)
}

/// The host's refusal as this program's failure.
#[must_use]
pub fn failure(error: ClientError) -> Failure {
    let problem = error.problem();
    let known = reason::ALL.iter().copied().find(|r| r.code == problem.code);
    // A newer host may know codes that this program does not.
    let reason = known.unwrap_or(&reason::HOST_CONTROL_SOCKET);
    let detail = match (known, problem.detail) {
        (Some(_), detail) => detail.unwrap_or_default(),
        (None, _) => format!("{}: {}; {}", problem.code, problem.message, problem.fix),
    };
    let failure = Failure::new(reason, detail);
    if matches!(error, ClientError::NotRunning { .. }) { failure.with_code(NOT_RUNNING) } else { failure }
}

fn show<T: serde::Serialize>(json: bool, value: &T, text: impl FnOnce()) {
    if json {
        println!("{}", serde_json::to_string_pretty(value).expect("API types are maps with text keys"));
    } else {
        text();
    }
}
