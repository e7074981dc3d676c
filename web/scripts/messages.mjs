// The gate on missing strings. The types make German complete; this finds sentences that nobody uses, placeholders that
// differ between the languages, reason codes of the host without German, and text that was written into a page instead of
// the messages.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const root = new URL("..", import.meta.url).pathname;
const load = async (name) => {
  const source = readFileSync(join(root, "src/messages", name), "utf8");
  const { outputText } = ts.transpileModule(source, { compilerOptions: { module: "ESNext", target: "ES2022" } });
  return import(`data:text/javascript,${encodeURIComponent(outputText)}`);
};
const { en, enProblems } = await load("en.ts");
const { de } = await load("de.ts");
const { deProblems } = await load("problems.de.ts");
const wrong = [];

const flat = (value, path = "") =>
  typeof value === "string" ? [[path, value]] : Object.entries(value).flatMap(([k, v]) => flat(v, path ? `${path}\u0000${k}` : k));
const german = new Map(flat(de));
const holes = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort().join();
for (const [path, text] of flat(en)) {
  const other = german.get(path);
  const name = path.replaceAll("\u0000", ".");
  if (!other?.trim()) wrong.push(`${name}: no German`);
  else if (holes(text) !== holes(other)) wrong.push(`${name}: other placeholders in German`);
  german.delete(path);
}
for (const path of german.keys()) wrong.push(`${path.replaceAll("\u0000", ".")}: German only`);
// The API's description lists every code that the host has.
const { components } = JSON.parse(readFileSync(join(root, "../api/openapi.json"), "utf8"));
const codes = new Set([...components.schemas.Problem["x-codes"], ...Object.keys(enProblems)]);
for (const code of codes) if (!deProblems[code]?.every((text) => text.trim())) wrong.push(`${code}: no German`);
for (const code of Object.keys(deProblems)) if (!codes.has(code)) wrong.push(`${code}: no such reason code`);

const files = (folder) =>
  readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
const sources = files(join(root, "src")).filter((f) => /\.(svelte|ts)$/.test(f) && !f.includes("/messages/") && !f.includes("/api/schema"));
const code = sources.map((f) => readFileSync(f, "utf8")).join("\n");
for (const [path] of flat(en)) {
  const words = path.split("\u0000");
  // A table that is looked up by key counts as used when the table is.
  const used = words.some((_, n) => n > 0 && new RegExp(`\\.${words[n - 1]}\\.${words[n]}\\b|\\.${words[n - 1]}\\[`).test(code)) || new RegExp(`t\\(\\)\\.${words[0]}\\b`).test(code) && words.length === 1;
  if (!used) wrong.push(`${words.join(".")}: nobody says it`);
}
for (const file of sources.filter((f) => f.endsWith(".svelte"))) {
  const markup = readFileSync(file, "utf8").replace(/<script[\s\S]*?<\/script>/, "").replace(/<style[\s\S]*?<\/style>/, "").replace(/<!--[\s\S]*?-->/g, "").replace(/<code>[\s\S]*?<\/code>|&\w+;/g, "");
  for (const [, text] of markup.replace(/\{[^{}]*\}/g, "").matchAll(/>([^<>{}]*[A-Za-z]{3,}[^<>{}]*)</g)) {
    wrong.push(`${file.slice(root.length)}: text in the page: ${text.trim()}`);
  }
}
for (const line of wrong) console.error(`messages: ${line}`);
console.log(`messages: ${flat(en).length} sentences and ${codes.size} reasons in 2 languages`);
process.exit(wrong.length ? 1 : 0);
