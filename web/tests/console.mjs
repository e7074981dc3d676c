// The console in a real browser, against a real host, with a real probe. Started by tests/e2e/tests/console.rs:
//
//   WEB=https://127.0.0.1:PORT  LINK=…#setup=…  QUIC=127.0.0.1:PORT  PROBE=path  PROBE_HOME=dir  [UID_ GID_]  SHOTS=dir
//
// Every step ends with a check; the first that fails ends the run with its name.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const { WEB, LINK, QUIC, PROBE, PROBE_HOME, UID_, GID_, SHOTS } = process.env;
const PASSWORD = "correct horse battery";
mkdirSync(SHOTS, { recursive: true });
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const strangers = [];
const complaints = [];
const probes = [];

async function visitor(options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, locale: "en-GB", viewport: { width: 1200, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("request", (r) => r.url().startsWith(WEB) || r.url().startsWith("data:") || strangers.push(r.url()));
  page.on("console", (m) => m.type() === "error" && !/status of 4\d\d/.test(m.text()) && complaints.push(m.text()));
  page.on("pageerror", (e) => complaints.push(String(e)));
  return page;
}

/** A command of the probe; resolves with its exit code and output when it ends. */
function probe(home, ...args) {
  const env = { PATH: "/usr/bin:/bin", LANG: "C.UTF-8" };
  for (const name of ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"]) env[name] = `${PROBE_HOME}/${home}`;
  const who = UID_ ? { uid: Number(UID_), gid: Number(GID_) } : {};
  const child = spawn(PROBE, args, { cwd: `${PROBE_HOME}/${home}`, env, stdio: ["ignore", "pipe", "pipe"], ...who });
  probes.push(child);
  let text = "";
  child.stdout.on("data", (d) => (text += d));
  child.stderr.on("data", (d) => (text += d));
  const ended = new Promise((resolve) => child.on("close", (code) => resolve({ code, text })));
  return { child, ended };
}

async function step(name, work) {
  const before = Date.now();
  try {
    await work();
  } catch (error) {
    console.error(`FAILED: ${name}\n${error.stack ?? error}`);
    await owner?.screenshot({ path: `${SHOTS}/failed.png`, fullPage: true }).catch(() => undefined);
    await finish(1);
  }
  console.log(`ok  ${name} (${Date.now() - before} ms)`);
}

async function finish(code) {
  for (const child of probes) child.kill("SIGKILL");
  await browser.close();
  process.exit(code);
}

async function accessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  const told = violations.map((v) => `${v.id}: ${v.help} (${v.nodes.map((n) => n.target.join(" ")).join("; ")})`);
  assert.deepEqual(told, [], `axe on ${where}`);
}

const shot = (page, name) => page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true });
const button = (page, name) => page.getByRole("button", { name, exact: true });
const visit = async (page, name) => {
  await page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
};

let owner = await visitor();

await step("without a password the console says how to set one", async () => {
  await owner.goto(WEB);
  await owner.getByRole("heading", { name: "no password yet" }).waitFor();
  await accessible(owner, "unset");
  await shot(owner, "01-unset");
});

await step("the one-time link sets the password", async () => {
  await owner.goto(LINK);
  await owner.getByLabel("Password", { exact: true }).fill(PASSWORD);
  await owner.getByLabel("Password again").fill("something else");
  await owner.getByText("The two are not the same.").waitFor();
  assert(await button(owner, "Set password and go on").isDisabled());
  await accessible(owner, "setup");
  await shot(owner, "02-setup");
  await owner.getByLabel("Password again").fill(PASSWORD);
  await button(owner, "Set password and go on").click();
  await owner.getByRole("heading", { name: "Step 2 of 3: pair a device" }).waitFor();
  assert(!owner.url().includes("setup="), "the secret does not stay in the address");
});

let stream;
await step("a real probe pairs with the PIN and streams", async () => {
  await button(owner, "Show a PIN").click();
  const pin = (await owner.locator(".pin").innerText()).trim();
  assert.match(pin, /^\d{4}$/);
  await accessible(owner, "pairing");
  await shot(owner, "03-pin");
  const { code, text } = await probe("a", "pair", QUIC, "--pin", pin, "--name", "Sofa <b>TV</b>\u202Ereversed").ended;
  assert.equal(code, 0, text);
  await owner.getByText("is paired.").waitFor();
  stream = probe("a", "stream", QUIC, "--mode", "640x360@30", "--seconds", "300");
  await owner.getByText("It streams!").waitFor();
  await shot(owner, "04-streams");
});

await step("the overview shows live figures, and names are only text", async () => {
  await owner.getByRole("link", { name: "See it in the overview" }).click();
  await owner.getByText("640x360@30").waitFor();
  const fps = owner.locator(".plot", { hasText: "Frames per second" }).locator("b");
  await owner.waitForFunction(() => [...document.querySelectorAll(".plot b")].some((b) => Number.parseFloat(b.textContent) > 5));
  assert.match(await fps.innerText(), /fps/);
  assert.equal(await owner.locator("main b", { hasText: /^TV$/ }).count(), 0, "a name must not become markup");
  await owner.getByText("Sofa <b>TV</b>reversed").first().waitFor();
  await button(owner, "Show its picture").click();
  const picture = owner.getByRole("img", { name: /^What Sofa/ });
  await owner.waitForFunction(() => document.querySelector("img.thumbnail")?.naturalWidth === 480);
  await owner.waitForTimeout(12_000);
  assert(await picture.isVisible());
  await accessible(owner, "overview");
  await shot(owner, "05-overview");
});

await step("a session is steered", async () => {
  await button(owner, "Send keyframe").click();
  await owner.getByLabel("Bitrate limit").selectOption("5000");
  await owner.getByText("Saved.").waitFor();
  await owner.getByLabel("May use").selectOption("view");
  await owner.getByText("Changed.").waitFor();
  await visit(owner, "Devices");
  await owner.getByText("Watch only").first().waitFor();
});

await step("an unpaired device knocks and is let in", async () => {
  await visit(owner, "Pairing");
  const knocking = probe("b", "stream", QUIC, "--mode", "640x360@30", "--seconds", "2", "--name", "Tablet");
  await button(owner, "Let in").waitFor();
  await owner.getByRole("navigation").getByText("1", { exact: true }).waitFor();
  await shot(owner, "06-knock");
  await button(owner, "Let in").click();
  const { code, text } = await knocking.ended;
  assert.equal(code, 0, text);
});

const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==", "base64");
await step("the library is extended, searched, launched from, hidden in, and edited by two at once", async () => {
  await visit(owner, "Library");
  const card = owner.getByRole("listitem").filter({ hasText: "Quick <i>look</i>exe" });
  await owner.getByText("Desktop", { exact: true }).first().waitFor();
  await button(owner, "Add an entry").click();
  await owner.getByLabel("Name", { exact: true }).fill("Quick <i>look</i>\u202Eexe");
  await owner.getByLabel("Command", { exact: true }).fill("sleep 600");
  const cover = owner.getByLabel(/^Cover/);
  await cover.setInputFiles({ name: "x.png", mimeType: "image/png", buffer: Buffer.from("<svg onload=alert(1)>") });
  await accessible(owner, "library form");
  await shot(owner, "07-library-form");
  await button(owner, "Save").click();
  await owner.getByText("library.cover_invalid").waitFor();
  await cover.setInputFiles({ name: "x.png", mimeType: "image/png", buffer: PNG });
  await button(owner, "Save").click();
  await owner.getByText("Saved.").waitFor();
  assert.equal(await card.count(), 1, "it was added once");
  await owner.waitForFunction(() => document.querySelector(".covers img")?.naturalWidth > 0);
  await owner.getByLabel("Search the library").fill("quick");
  assert.equal(await owner.locator(".covers > li").count(), 1);
  await card.getByRole("button", { name: /^Launch/ }).click();
  await owner.getByText("runs on the display of Sofa").waitFor();
  await card.getByText("Runs for Sofa").waitFor();
  await shot(owner, "08-library");
  await card.getByRole("button", { name: /^End it/ }).click();
  await card.getByText("Runs for Sofa").waitFor({ state: "detached" });
  await card.getByRole("button", { name: /^Hide/ }).click();
  await card.waitFor({ state: "detached" });
  await owner.getByLabel("Show hidden entries").check();
  await card.getByRole("button", { name: /again$/ }).click();
  await owner.getByLabel("Show hidden entries").uncheck();
  await card.getByRole("button", { name: /^Edit/ }).click();
  await owner.getByLabel("Name", { exact: true }).waitFor();
  const other = await owner.context().newPage();
  await other.goto(`${WEB}/library`);
  await other.getByRole("button", { name: /^Hide Quick/ }).click();
  await other.getByText("Saved.").waitFor();
  await other.getByLabel("Show hidden entries").check();
  await other.getByRole("button", { name: /^Show Quick/ }).click();
  await other.close();
  await button(owner, "Save").click();
  await owner.getByText("library.conflict").waitFor();
  await button(owner, "Cancel").click();
  await card.getByRole("button", { name: /^Edit/ }).click();
  owner.once("dialog", (dialog) => dialog.accept());
  await button(owner, "Remove").click();
  await owner.getByText("Removed.").waitFor();
  await card.waitFor({ state: "detached" });
  await owner.getByLabel("Search the library").fill("");
  await button(owner, "Scan again").click();
  await owner.getByText("Scanned.").waitFor();
});

await step("every page is accessible, light and dark, small and in German", async () => {
  const pages = ["Overview", "Pairing", "Devices", "Library", "Displays", "Settings", "Diagnostics", "About"];
  for (const name of pages) {
    await visit(owner, name);
    await owner.waitForTimeout(name === "Diagnostics" ? 4000 : 700);
    for (const [suffix, colorScheme, size] of [["light", "light", { width: 1200, height: 900 }], ["dark", "dark", { width: 1200, height: 900 }], ["small", "light", { width: 320, height: 640 }]]) {
      await owner.emulateMedia({ colorScheme });
      await owner.setViewportSize(size);
      await owner.waitForTimeout(200);
      await accessible(owner, `${name} ${suffix}`);
      const wide = await owner.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert(wide <= 0, `${name} ${suffix} scrolls sideways by ${wide} px`);
      await shot(owner, `10-${name.toLowerCase()}-${suffix}`);
    }
    await owner.emulateMedia({ colorScheme: "light" });
    await owner.setViewportSize({ width: 1200, height: 900 });
  }
  await owner.getByLabel("Language").selectOption("de");
  await owner.getByRole("heading", { level: 1, name: "Über" }).waitFor();
  assert.equal(await owner.evaluate(() => document.documentElement.lang), "de");
  await visit(owner, "Einstellungen");
  await owner.getByText("Welcher Video-Encoder benutzt wird.").waitFor();
  const german = owner.getByRole("spinbutton", { name: "Wie viele Sitzungen gleichzeitig laufen dürfen." });
  await german.fill("0");
  await german.press("Enter");
  await owner.getByText("Die Einstellung nimmt diesen Wert nicht.").waitFor();
  await shot(owner, "11-settings-german");
  await visit(owner, "Über");
  await owner.getByLabel("Sprache").selectOption("en");
});

await step("the keyboard alone is enough", async () => {
  await owner.goto(WEB);
  await owner.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  await owner.keyboard.press("Tab");
  assert.equal(await owner.evaluate(() => document.activeElement?.className), "skip");
  for (let n = 0; n < 3; n += 1) await owner.keyboard.press("Tab");
  assert.equal(await owner.evaluate(() => document.activeElement?.textContent?.trim()), "Devices");
  await owner.keyboard.press("Enter");
  await owner.getByRole("heading", { level: 1, name: "Devices" }).waitFor();
  assert.equal(await owner.evaluate(() => document.activeElement?.id), "content", "focus follows");
});

await step("settings are searched, changed and refused", async () => {
  await visit(owner, "Settings");
  await owner.getByRole("combobox", { name: "Which video encoder is used." }).selectOption("openh264");
  await owner.getByText("Saved.").first().waitFor();
  await owner.getByLabel("Search settings").fill("video.gpu");
  await owner.getByText("It is further up on this page.").waitFor();
  const gpu = owner.getByRole("combobox", { name: "Which GPU private desktops and their programs draw with." });
  await gpu.selectOption({ label: "none: the processor draws" });
  await owner.getByText("Some changes wait for a restart").waitFor();
  await owner.reload();
  await owner.waitForFunction(() => [...document.querySelectorAll("#content select")].some((s) => s.value === "none"));
  await gpu.selectOption("auto");
  await owner.getByText("Some changes wait for a restart").waitFor({ state: "detached" });
  await owner.getByLabel("Search settings").fill("data_port");
  const ports = owner.getByRole("textbox", { name: /^UDP ports for video/ });
  await ports.fill("40000-40100");
  await ports.press("Enter");
  await owner.getByText("Some changes wait for a restart").waitFor();
  await button(owner, "Back to the default").click();
  await owner.getByText("Some changes wait for a restart").waitFor({ state: "detached" });
  await owner.getByLabel("Search settings").fill("desktop.choice");
  assert(await owner.getByRole("combobox", { name: "Which desktop is streamed" }).isDisabled(), "fixed by a flag");
  await owner.getByLabel("Search settings").fill("max_sessions");
  const sessions = owner.getByRole("spinbutton", { name: "How many sessions may run at once." });
  await sessions.fill("0");
  await sessions.press("Enter");
  await owner.getByText("settings.invalid").waitFor();
});

await step("GPUs are shown as a machine tells of them that has some", async () => {
  const gpu = (number, more) => ({ node: `/dev/dri/renderD${number}`, vendor: "AMD", device: "744c", driver: "amdgpu", usable: true, detail: "", chosen: false, used_for: [], ...more });
  const gpus = [
    gpu(128, { bus: "0000:01:00.0", chosen: true, used_for: ["desktop", "programs"] }),
    gpu(129, { bus: "0000:02:00.0", usable: false, detail: "Permission denied (os error 13)" }),
  ];
  const problem = { code: "gpu.failed", message: "x", fix: "y", detail: "Could not initialize EGL ".repeat(8) };
  await owner.route(`${WEB}/api/v1/encoders/gpus`, (route) => route.fulfill({ json: gpus }));
  await owner.route(`${WEB}/api/v1/encoders/choice`, (route) =>
    route.fulfill({ json: { encoder: "auto", gpu: "/dev/dri/renderD128", restart_needed: false, gpu_problem: problem } }));
  await visit(owner, "Overview");
  await visit(owner, "Settings");
  await owner.getByText("Private desktops are drawn with it.").waitFor();
  const choice = owner.getByRole("combobox", { name: "Which GPU private desktops and their programs draw with." });
  assert.equal(await choice.inputValue(), "0000:01:00.0", "by its place, however it was named");
  assert.equal(await choice.locator("option:disabled").count(), 1);
  await owner.getByText("Permission denied (os error 13)").waitFor();
  await owner.getByText("gpu.failed").waitFor();
  await owner.setViewportSize({ width: 320, height: 640 });
  await accessible(owner, "settings with GPUs");
  const wide = await owner.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert(wide <= 0, `scrolls sideways by ${wide} px`);
  await owner.screenshot({ path: `${SHOTS}/12-gpus.png`, clip: { x: 0, y: 150, width: 320, height: 1000 }, fullPage: true });
  await owner.setViewportSize({ width: 1200, height: 900 });
  await owner.unroute(`${WEB}/api/v1/encoders/gpus`);
  await owner.unroute(`${WEB}/api/v1/encoders/choice`);
  await visit(owner, "Overview");
  await visit(owner, "Settings");
});

await step("a risky setting is tried, taken back, and kept", async () => {
  await owner.getByLabel("Search settings").fill("pairing.policy");
  const policy = owner.getByRole("combobox", { name: /^Who may connect/ });
  await policy.selectOption("open");
  await owner.getByRole("heading", { name: "Keep these settings?" }).waitFor();
  await owner.getByText(/Back to what it was in 1\d s/).waitFor();
  await accessible(owner, "settings on trial");
  await shot(owner, "12-trial");
  await button(owner, "Take them back now").click();
  await owner.getByText("The settings are as they were before.").waitFor();
  await owner.waitForFunction(() => [...document.querySelectorAll("#content select")].some((s) => s.value === "required"));
  await policy.selectOption("open");
  await button(owner, "Keep these settings").click();
  await owner.getByText("Kept.").waitFor();
  await visit(owner, "Overview");
  await owner.getByText("Pairing is not required").waitFor();
  await visit(owner, "Settings");
  await policy.selectOption("required");
  await owner.getByText("Saved.").waitFor();
  assert.equal(await owner.getByRole("heading", { name: "Keep these settings?" }).count(), 0, "closing the door is no risk");
});

await step("nobody decides about a risky setting, and it goes back", async () => {
  const policy = owner.getByRole("combobox", { name: /^Who may connect/ });
  await policy.selectOption("open");
  await owner.getByRole("heading", { name: "Keep these settings?" }).waitFor();
  await owner.getByText("The settings are as they were before.").waitFor();
  await owner.waitForFunction(() => [...document.querySelectorAll("#content select")].some((s) => s.value === "required"));
});

await step("who hears a running session is decided in plain words, and is in force at once", async () => {
  await visit(owner, "Settings");
  await owner.getByRole("heading", { name: "Sound of the running session" }).waitFor();
  assert(await owner.getByRole("radio", { name: "The device." }).isChecked());
  await owner.getByRole("radio", { name: "Both." }).check();
  // Another card may have saved something a moment ago.
  await owner.getByLabel("Sound of the running session").getByText("Saved.").waitFor();
  await owner.reload();
  await owner.getByRole("heading", { name: "Sound of the running session" }).waitFor();
  assert(await owner.getByRole("radio", { name: "Both." }).isChecked());
});

await step("a problem is saved after it happened", async () => {
  await visit(owner, "Diagnostics");
  await owner.getByText("encoder.openh264").waitFor();
  await button(owner, "Save the last two minutes").click();
  const row = owner.locator('a[href*="/stats/recordings/"]').first();
  const [download] = await Promise.all([owner.waitForEvent("download"), row.click()]);
  const table = readFileSync(await download.path(), "utf8").trim().split("\n");
  assert(table.length > 30 && table[0].startsWith("session,sent_us,index"), table.slice(0, 2).join("\n"));
  const [bundle] = await Promise.all([owner.waitForEvent("download"), owner.getByRole("link", { name: "Download the bundle" }).click()]);
  const text = readFileSync(await bundle.path(), "utf8");
  assert(JSON.parse(text).log.length > 0 && !/[0-9a-f]{40}/.test(text), "nothing that looks like a key");
  await owner.getByRole("log").getByText("sending video").first().waitFor();
  await shot(owner, "12-diagnostics");
});

await step("a device has a keyboard layout and a scale of its own", async () => {
  await visit(owner, "Devices");
  const row = owner.getByRole("listitem").filter({ hasText: "Sofa" });
  const edit = () => row.getByRole("button", { name: /^Change Sofa/ }).click();
  const layout = row.getByLabel("Keyboard layout");
  await edit();
  await layout.fill("no-such-layout");
  await button(owner, "Save").click();
  await owner.getByText("desktop.layout_refused").waitFor();
  await edit();
  assert.equal(await layout.inputValue(), "", "what is refused is not kept");
  await layout.fill("de:nodeadkeys");
  await row.getByLabel("Size of what programs draw").selectOption("150");
  await shot(owner, "12-device");
  await button(owner, "Save").click();
  await owner.getByText("desktop.layout_refused").waitFor({ state: "detached" });
  await owner.reload();
  await edit();
  assert.equal(await layout.inputValue(), "de:nodeadkeys");
  assert.equal(await row.getByLabel("Size of what programs draw").inputValue(), "150");
});

await step("revoking a device ends its stream", async () => {
  await visit(owner, "Devices");
  const row = owner.getByRole("listitem").filter({ hasText: "Sofa" });
  await row.getByText("streaming", { exact: true }).waitFor();
  owner.once("dialog", (dialog) => dialog.accept());
  await row.getByRole("button", { name: /^Unpair/ }).click();
  const { text } = await stream.ended;
  assert.match(text, /access\.revoked|revoked/, text);
  await row.waitFor({ state: "detached" });
});

await step("an expired session asks to sign in, and goes on", async () => {
  const cookies = await owner.context().cookies();
  await owner.context().clearCookies({ name: "__Host-punktfunk" });
  await owner.getByRole("navigation").getByRole("link", { name: "Displays" }).click();
  await owner.getByText("You were signed out.").waitFor();
  await accessible(owner, "login");
  await shot(owner, "13-expired");
  assert(cookies.every((c) => c.httpOnly && c.secure && c.sameSite === "Strict"), "cookies");
});

await step("guessing locks strangers out, and not the owner", async () => {
  const stranger = await visitor();
  await stranger.goto(WEB);
  for (let n = 0; n < 5; n += 1) {
    await stranger.getByLabel("Password").fill(`guess number ${n}`);
    await button(stranger, "Sign in").click();
    await stranger.getByText("The password is wrong.").waitFor();
    await stranger.waitForFunction(() => document.querySelector("input").value === "");
  }
  await stranger.getByLabel("Password").fill(PASSWORD);
  await button(stranger, "Sign in").click();
  await stranger.getByText("Too many wrong passwords.").waitFor();
  await shot(stranger, "14-locked");
  await owner.getByLabel("Password").fill("not this one");
  await button(owner, "Sign in").click();
  await owner.getByText("The password is wrong.").waitFor();
  await owner.getByLabel("Password").fill(PASSWORD);
  await button(owner, "Sign in").click();
  await owner.getByRole("navigation").waitFor();
});

await step("nothing came from elsewhere, and nothing complained", async () => {
  assert.deepEqual(strangers, []);
  assert.deepEqual(complaints.filter((c) => !/401|ERR_/.test(c)), []);
});

await finish(0);
