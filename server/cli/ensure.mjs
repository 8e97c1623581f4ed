/**
 * Whatever a command needs and a fresh clone lacks: the packages with Node 24, the built page, a browser. A step is
 * skipped where its result is already there, and starts over where an earlier run was interrupted. Runs before anything
 * is installed, and on Node 20: only `node:` imports.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { run } from "./child.mjs";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** @param {...string} parts */
const at = (...parts) => join(root, ...parts);

/** What npm writes last, when an install is complete. */
const installed = at("node_modules", ".package-lock.json");

const chromeDownloadMs = 180_000;

/** The pinned Node that every part of Tabgrid runs on; there once `ensureDependencies` has returned. */
export function node24() {
  return at("node_modules", ".bin", process.platform === "win32" ? "node.cmd" : "node");
}

/** The environment of a child: programs of the project, its Node first, are found by their bare names. */
export function childEnv() {
  return { ...process.env, PATH: `${at("node_modules", ".bin")}${delimiter}${process.env.PATH ?? ""}` };
}

/** Installs exactly what package-lock.json says, where that is not what lies in node_modules. */
export async function ensureDependencies() {
  if (dependenciesMatch()) return;
  const started = Date.now();
  say("Installing packages (about half a minute, once) …");
  rmSync(installed, { force: true });
  const args = ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
  // Under npm: the same npm, on the machine's own Node, as the project's Node is about to be replaced.
  const { npm_execpath: npm, npm_node_execpath: node } = process.env;
  const { code, output } =
    npm && node ? await run(node, [npm, ...args], { cwd: root }) : await run("npm", args, { cwd: root });
  if (code !== 0) {
    fail("The packages could not be installed: `npm ci` failed. Is the npm registry reachable from here?", output);
  }
  if (!dependenciesMatch()) {
    fail(
      "`npm ci` ended without an error, yet Node 24 is missing: does npm's setting `ignore-scripts` forbid it?",
      output,
    );
  }
  say(`Packages installed in ${seconds(started)}.`);
}

/** Finds a changed lock and an interrupted install; optional packages of other platforms are never there. */
function dependenciesMatch() {
  if (!existsSync(installed) || !existsSync(node24())) return false;
  const wanted = JSON.parse(readFileSync(at("package-lock.json"), "utf8")).packages;
  const present = JSON.parse(readFileSync(installed, "utf8")).packages;
  return Object.entries(wanted).every(
    ([path, { optional, version, integrity }]) =>
      path === "" || optional || (present[path]?.version === version && present[path]?.integrity === integrity),
  );
}

/** Builds the page into dist/client, where it is missing or its sources have changed since. */
export async function ensureClient() {
  const stamp = at("dist", "client.sources");
  const sources = clientSources();
  if (existsSync(at("dist", "client")) && existsSync(stamp) && readFileSync(stamp, "utf8") === sources) return;
  const started = Date.now();
  say("Building the page …");
  rmSync(stamp, { force: true });
  const vite = at("node_modules", "vite", "bin", "vite.js");
  // Vite follows a NODE_ENV that is set: under a test's the page would be React's development build, many times as slow.
  const env = { ...childEnv(), NODE_ENV: "production" };
  const { code, output } = await run(node24(), [vite, "build", "--logLevel", "warn"], { cwd: root, env });
  if (code !== 0) fail("The page could not be built.", output);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, sources);
  say(`Page built in ${seconds(started)}.`);
}

/** One hash over everything the page is made from. */
function clientSources() {
  const hash = createHash("sha256");
  for (const file of ["client", "shared", "models", "vite.config.ts", "package-lock.json"].flatMap(filesUnder)) {
    const isSource = !/\.test\.tsx?$/.test(file) && (!file.startsWith("models") || file.endsWith(".ts"));
    if (isSource)
      hash
        .update(`${file}\0`)
        .update(readFileSync(at(file)))
        .update("\0");
  }
  return hash.digest("hex");
}

/** @param {string} path @returns {string[]} files, relative to the root, in a stable order */
function filesUnder(path) {
  if (!existsSync(at(path))) return [];
  if (!statSync(at(path)).isDirectory()) return [path];
  return readdirSync(at(path), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
    .sort();
}

/**
 * A Chrome or Chromium for the browser tests: the machine's own, else puppeteer's, else (as root on Debian and its kin)
 * the distribution's package.
 */
export async function ensureChromium() {
  const { findChromium } = await import("./chromium.mjs");
  if (await findChromium()) return;
  say("The browser tests need Chrome or Chromium, and none is installed: getting one …");
  const puppeteer = at("node_modules", ".bin", "puppeteer");
  await run(puppeteer, ["browsers", "install", "chrome"], { cwd: root, env: childEnv(), timeoutMs: chromeDownloadMs });
  if (await findChromium()) return;
  if (process.getuid?.() === 0 && existsSync("/usr/bin/apt-get")) {
    const options = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, graceMs: 10_000 };
    await run("apt-get", ["update"], options);
    await run("apt-get", ["install", "-y", "--no-install-recommends", "chromium"], options);
    if (await findChromium()) return;
  }
  fail("The browser tests need Chrome or Chromium: install one (Debian: `apt-get install chromium`) and try again.");
}

/** @param {string} sentence */
export function say(sentence) {
  console.error(sentence);
}

/**
 * Ends this process with one sentence, and below it the first lines of the program that failed.
 *
 * @param {string} sentence @param {string} [output]
 * @returns {never}
 */
export function fail(sentence, output = "") {
  const words = output.trim().split("\n").slice(0, 20).join("\n");
  say(words ? `${sentence}\n${words}` : sentence);
  process.exit(1);
}

/** @param {number} started */
const seconds = (started) => `${((Date.now() - started) / 1000).toFixed(0)} s`;
