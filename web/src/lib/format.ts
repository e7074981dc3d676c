// Numbers and times for people.

import { text } from "./i18n.svelte";

const number = (digits: number) =>
  new Intl.NumberFormat(text.language, { minimumFractionDigits: digits, maximumFractionDigits: digits });

export const fixed = (value: number, digits = 0) => number(digits).format(value);

export function bitrate(kbps: number): string {
  return kbps >= 1000 ? `${fixed(kbps / 1000, 1)} Mbit/s` : `${fixed(kbps)} kbit/s`;
}

export function bytes(n: number): string {
  if (n >= 1e6) return `${fixed(n / 1e6, 1)} MB`;
  if (n >= 1e3) return `${fixed(n / 1e3, 1)} kB`;
  return `${fixed(n)} B`;
}

export function ms(us: number): string {
  return `${fixed(us / 1000, us < 10_000 ? 1 : 0)} ms`;
}

export function span(seconds: number): string {
  const unit = (value: number, name: "second" | "minute" | "hour" | "day") =>
    new Intl.NumberFormat(text.language, { style: "unit", unit: name, unitDisplay: "short" }).format(Math.floor(value));
  if (seconds < 60) return unit(seconds, "second");
  if (seconds < 3600) return unit(seconds / 60, "minute");
  if (seconds < 86_400) return unit(seconds / 3600, "hour");
  return unit(seconds / 86_400, "day");
}

export function moment(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toLocaleString(text.language, { dateStyle: "medium", timeStyle: "short" });
}

export function clock(unixMs: number): string {
  return new Date(unixMs).toLocaleTimeString(text.language);
}
