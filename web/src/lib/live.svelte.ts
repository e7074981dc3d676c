// What happens on the host, as it happens: one stream of events for all pages.

import { get } from "./api";
import { session } from "./session.svelte";

type Listener = (kind: string) => void;

const listeners = new Set<Listener>();
let source: EventSource | undefined;

export const live = $state({ connected: false });

const KINDS = [
  "pairing.armed",
  "pairing.disarmed",
  "pairing.finished",
  "pairing.knock",
  "pairing.knock_answered",
  "pairing.pin_wanted",
  "pairing.pin_answered",
  "client.changed",
  "client.revoked",
  "session.admitted",
  "session.refused",
  "session.started",
  "session.released",
  "session.encoder_changed",
  "settings.changed",
  "settings.reverted",
  "display.changed",
  "app.changed",
  "library.changed",
  "state.problem",
  "gap",
];

/** Calls `listener` with the kind of every event whose kind begins so, until the returned function is called. */
export function on(prefixes: string[], listener: Listener): () => void {
  const wrapped: Listener = (kind) => {
    if (kind === "gap" || prefixes.some((p) => kind.startsWith(p))) listener(kind);
  };
  listeners.add(wrapped);
  return () => listeners.delete(wrapped);
}

/** Opens the stream. */
export function connect() {
  source?.close();
  source = new EventSource("/api/v1/events");
  source.onopen = () => {
    live.connected = true;
    // What happened while nobody listened.
    for (const listener of listeners) listener("gap");
  };
  source.onerror = () => {
    live.connected = false;
    // Ended by the host, maybe because the session did: asking tells.
    if (session.signedIn) void get("status").catch(() => undefined);
    if (source?.readyState === EventSource.CLOSED) setTimeout(() => session.signedIn && connect(), 3000);
  };
  for (const kind of KINDS) source.addEventListener(kind, () => listeners.forEach((listener) => listener(kind)));
}

export function disconnect() {
  source?.close();
  source = undefined;
  live.connected = false;
}

/** Runs `work` now and every `ms`, never twice at once, while the page is visible; ends with the returned function. */
export function every(ms: number, work: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  const turn = async () => {
    if (document.visibilityState === "visible") await work();
    if (!ended) timer = setTimeout(turn, ms);
  };
  void turn();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
