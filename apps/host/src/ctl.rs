//! `ctl` and `console-url`: the management API from a shell, over the control socket.

mod ask;
mod table;
mod words;

use std::io::Write as _;

use punktfunk_media::reason;
use punktfunk_mgmt::ConsoleLink;
use punktfunk_mgmt::client::Client;
use serde_json::json;

use ask::{Ask, ask};
pub use words::CtlArgs;

use crate::exit::{Failure, USAGE};
use crate::pair::{block_on, failure};
use crate::paths::Paths;

/// Runs `ctl`.
///
/// # Errors
/// The host's refusal, or that none runs.
pub fn run(args: &CtlArgs, paths: &Paths) -> Result<(), Failure> {
    let ask = ask(&args.command)?;
    block_on(async {
        let client = Client::connect(&paths.control_sockets()).await.map_err(failure)?;
        match ask {
            Ask::Json(method, path, body) => {
                let method = method.parse().map_err(|_| usage(format!("{method} is no method")))?;
                let answer = client.request(method, &path, body.as_ref()).await.map_err(failure)?;
                table::print(&answer, args.json);
                Ok(())
            }
            Ask::Send(path, bytes) => {
                let answer = client.put_file(&path, bytes).await.map_err(failure)?;
                table::print(&answer, args.json);
                Ok(())
            }
            Ask::Raw(path) => {
                let mut stdout = std::io::stdout().lock();
                // Whoever closed the other end has seen enough.
                let mut write = |data: &[u8]| drop(stdout.write_all(data).and_then(|()| stdout.flush()));
                client.stream(&path, &mut write).await.map_err(failure)
            }
        }
    })
}

/// Runs `console-url`.
///
/// # Errors
/// The host's refusal, or that none runs.
pub fn console_url(paths: &Paths, reset: bool, json: bool) -> Result<(), Failure> {
    block_on(async {
        let client = Client::connect(&paths.control_sockets()).await.map_err(failure)?;
        let method = "POST".parse().map_err(|_| usage("POST".into()))?;
        let body = json!({ "reset": reset });
        let answer = client.request(method, "/api/v1/console/link", Some(&body)).await.map_err(failure)?;
        let unknown = |e: serde_json::Error| Failure::new(&reason::API_INTERNAL, e.to_string());
        let link: ConsoleLink = serde_json::from_value(answer.clone()).map_err(unknown)?;
        if json {
            table::print(&answer, true);
        } else if link.urls.is_empty() {
            println!("this host serves no console (--no-web, or its port is taken: see `punktfunk-host ctl health`)");
        } else {
            link.urls.iter().for_each(|url| println!("{url}"));
        }
        Ok(())
    })
}

fn usage(detail: String) -> Failure {
    Failure::new(&reason::API_BAD_REQUEST, detail).with_code(USAGE)
}
