// Packs what the browser loads, and keeps it small.
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const LIMIT = 150_000;
const root = new URL("../dist/", import.meta.url).pathname;
const files = (folder) =>
  readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
let total = 0;
for (const path of files(root).filter((f) => /\.(html|js|css|svg)$/.test(f))) {
  const content = readFileSync(path);
  const gzip = gzipSync(content, { level: 9 });
  writeFileSync(`${path}.gz`, gzip);
  writeFileSync(`${path}.br`, brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
  total += gzip.length;
}
console.log(`console: ${(total / 1000).toFixed(1)} kB compressed (limit ${LIMIT / 1000} kB)`);
if (total > LIMIT) {
  console.error("console: too large");
  process.exit(1);
}
