/**
 * `npm run miner [-- --hub URL --role miner|validator --runtime webgpu|wasm|software --profile DIR --slots N]`: mines on a machine without a
 * screen. It opens the hub's contribute page in a headless Chromium and presses Start there, so it is the same miner as in
 * any tab, with its identity and model cache in a profile that is kept. Ctrl-C finishes the task under way and stops.
 */
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { cac } from "cac";
import puppeteer, { type Browser, type Page } from "puppeteer";
import { z } from "zod";
import { limits } from "../../shared/limits.ts";
import { sessionRoles } from "../../shared/protocol.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { type Config, loadConfig } from "../config.ts";
import { chromiumFlags, findChromium } from "./chromium.mjs";
import { changes, earnings, type MinerReport, minerViewSchema } from "./miner-report.ts";

const POLL_MS = 500;
const EARNINGS_MS = 10_000;
const RETRY_MS = 5_000;
/** Less than the five seconds after which `server/cli/child.mjs` would kill this process and leave Chromium behind. */
const FINISH_MS = 4_000;

const optionsSchema = z.object({
  role: z.enum(sessionRoles, { error: "--role: expected miner or validator." }),
  hub: z.url({ protocol: /^https?$/, error: "--hub: expected an address that starts with http:// or https://." }),
  runtime: z
    .enum(["webgpu", "wasm", "software"], { error: "--runtime: expected webgpu, wasm or software." })
    .optional(),
  profile: z.string({ error: "--profile: expected a folder." }),
  slots: z
    .int({ error: `--slots: expected a whole number from 1 to ${limits.slotsMax}.` })
    .min(1)
    .max(limits.slotsMax)
    .optional(),
});
type Options = z.infer<typeof optionsSchema>;

/** What the contribute page offers to this command; see client/miner/connect.ts. */
interface PageGlobals {
  tabgridView?: unknown;
  tabgridMiner?: { finishThenStop(): Promise<void>; stop(): Promise<void> };
}

async function main(): Promise<void> {
  const config = loadConfig(process.env);
  if (!config.ok) return stop(config.error.join("\n"));
  const options = readOptions(config.value);
  if (!options.ok) return stop(options.error);
  const executablePath = findChromium();
  if (!executablePath) {
    return stop("There is no Chrome or Chromium: install one (Debian: `apt-get install chromium`) or set CHROME_PATH.");
  }
  const ending = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => ending.abort());

  // On Linux Chromium hides WebGPU, hardware or software, from whoever does not ask for it.
  const { role, runtime } = options.value;
  const args = chromiumFlags({ software: (runtime ?? (role === "miner" ? "webgpu" : "wasm")) !== "wasm" });
  const { profile } = options.value;
  let browser: Browser;
  try {
    const signals = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };
    browser = await puppeteer.launch({ executablePath, args, userDataDir: profile, ...signals });
  } catch (error) {
    const inUse = "Is another miner running on the same profile? Give each its own by --profile.";
    return stop(`${executablePath} could not be started with the profile ${profile}: ${messageOf(error)}\n${inUse}`);
  }
  browser.on("disconnected", () => {
    if (!ending.signal.aborted) stop("The browser ended unexpectedly.");
    ending.abort();
  });
  try {
    await mine(browser, options.value, ending.signal);
  } finally {
    await browser.close().catch(() => undefined); // it ended by itself
  }
}

function stop(sentence: string): void {
  console.error(sentence);
  process.exitCode = 1;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function readOptions(config: Config): Result<Options, string> {
  const anyHost = ["0.0.0.0", "::"].includes(config.host);
  const host = anyHost ? "127.0.0.1" : config.host.includes(":") ? `[${config.host}]` : config.host;
  const hub = `${config.tls ? "https" : "http"}://${host}:${config.port}`;
  const program = cac("npm run miner --");
  program.option("--hub <url>", "Where the hub is", { default: hub });
  program.option("--role <name>", "miner computes answers, validator only checks those of others", {
    default: "miner",
  });
  program.option("--runtime <name>", "webgpu, wasm, or software (the software adapter, for tests); else what works");
  program.option("--profile <dir>", "Folder of identity and models", {
    default: join(config.dataDir, "miner-profile"),
  });
  program.option("--slots <n>", `Tasks at once, 1 to ${limits.slotsMax}`);
  program.usage("[options]");
  program.help();
  const { options } = program.parse();
  if (options.help) process.exit(0);
  const parsed = optionsSchema.safeParse({ ...options, profile: String(options.profile) });
  return parsed.success
    ? ok(parsed.data)
    : err([...new Set(parsed.error.issues.map(({ message }) => message))].join("\n"));
}

/** Presses Start and tells what happens, until the signal or a state that only a person can leave. */
async function mine(browser: Browser, options: Options, ending: AbortSignal): Promise<void> {
  const page = (await browser.pages())[0] ?? (await browser.newPage());
  const address = new URL("/?frames=ignore", options.hub);
  if (options.runtime) address.searchParams.set("runtime", options.runtime);
  address.searchParams.set("role", options.role);
  if (options.slots) address.searchParams.set("slots", String(options.slots));
  if (address.protocol === "http:" && !["localhost", "127.0.0.1", "[::1]"].includes(address.hostname)) {
    console.log(`Browsers give WebGPU to https:// and localhost only: ${options.hub} is neither.`);
  }
  const doing = options.role === "validator" ? "Checking" : "Mining";
  console.log(`${doing} for ${options.hub}. Ctrl-C finishes the task under way and stops.`);
  if (!(await open(page, address, ending))) return;

  let told: MinerReport | null = null;
  let earned: MinerReport | null = null;
  let earnedAt = 0;
  while (!ending.aborted) {
    const view = await readView(page);
    if (view) {
      for (const line of changes(told, view)) console.log(line);
      told = view;
      if (Date.now() - earnedAt >= EARNINGS_MS) {
        const line = earnings(earned, view);
        if (line) console.log(line);
        [earned, earnedAt] = [view, Date.now()];
      }
      if (view.state === "failed" || view.state === "suspended") return stop("The miner has stopped.");
    }
    await sleep(POLL_MS, null, { signal: ending }).catch(() => undefined);
  }
  if (browser.connected) await finish(page, earned);
}

/** Loads the page, however long the hub takes to come up; false where that was interrupted. */
async function open(page: Page, address: URL, ending: AbortSignal): Promise<boolean> {
  while (!ending.aborted) {
    try {
      await page.goto(address.href);
      await page.waitForFunction(
        () => (globalThis as PageGlobals).tabgridView || document.querySelector("[data-testid=start]"),
      );
      const view = await readView(page);
      // After a run that was killed, the page goes on by itself.
      if (!view || view.state === "stopped") await page.click("[data-testid=start]");
      return true;
    } catch (error) {
      if (ending.aborted) return false;
      console.log(`${address.origin} does not show the contribute page (${messageOf(error)}); trying again.`);
      await sleep(RETRY_MS, null, { signal: ending }).catch(() => undefined);
    }
  }
  return false;
}

async function readView(page: Page): Promise<MinerReport | null> {
  const view = await page.evaluate(() => (globalThis as PageGlobals).tabgridView ?? null).catch(() => null);
  const parsed = minerViewSchema.safeParse(view);
  return parsed.success ? parsed.data : null;
}

async function finish(page: Page, earned: MinerReport | null): Promise<void> {
  console.log("Finishing the task under way …");
  const giveUpAt = Date.now() + FINISH_MS;
  await page.evaluate(() => (globalThis as PageGlobals).tabgridMiner?.finishThenStop()).catch(() => undefined);
  let view = await readView(page);
  while (view && view.state !== "stopped" && Date.now() < giveUpAt) {
    await sleep(100);
    view = await readView(page);
  }
  const line = view && earnings(earned, view);
  if (line) console.log(line);
  console.log(view?.state === "stopped" ? "Stopped." : "Stopped without finishing.");
}

await main();
