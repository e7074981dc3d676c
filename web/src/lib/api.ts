// The management API, same origin. Types come from api/openapi.json.

import type { components } from "../api/schema";
import { session } from "./session.svelte";

export type Schema = components["schemas"];
export type Problem = Schema["Problem"];
export type SessionView = Schema["SessionView"];
export type SessionDetails = Schema["SessionDetails"];

/** A refusal of the host, or that it could not be reached. */
export class Refusal extends Error {
  constructor(
    readonly problem: Problem,
    readonly status: number,
  ) {
    super(problem.message);
  }
}

/** One request; a file is sent as it is. Throws a `Refusal`. */
export async function call<T = void>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = {};
  const isFile = body instanceof Blob;
  if (body !== undefined) headers["content-type"] = isFile ? "application/octet-stream" : "application/json";
  if (session.csrf) headers["x-csrf-token"] = session.csrf;
  let response: Response;
  try {
    response = await fetch(`/api/v1/${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : isFile ? body : JSON.stringify(body),
    });
  } catch {
    throw new Refusal({ code: "web.unreachable", message: "", fix: "" }, 0);
  }
  const text = await response.text();
  const json: unknown = text && response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : undefined;
  if (response.ok) return json as T;
  const problem = (json as Problem | undefined) ?? { code: "api.internal", message: `HTTP ${response.status}`, fix: "" };
  if (problem.code === "console.signed_out") session.signedOut();
  throw new Refusal(problem, response.status);
}

export const get = <T>(path: string) => call<T>("GET", path);

/** Whatever was thrown, as a problem to show. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Refusal) return error.problem;
  return { code: "web.bug", message: String(error), fix: "" };
}
