/**
 * Finding a Chrome or Chromium, and the flags under which it computes without a screen. Plain JavaScript without
 * dependencies: it also runs on Node 20 before anything is installed.
 */
import { accessSync, constants, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";

const commands = [
  "chromium",
  "chromium-browser",
  "google-chrome-stable",
  "google-chrome",
  "google-chrome-beta",
  "chrome",
];

const macApplications = ["Google Chrome", "Chromium", "Google Chrome Canary"].map(
  (name) => `/Applications/${name}.app/Contents/MacOS/${name}`,
);

function windowsPlaces(env) {
  const roots = [env.PROGRAMFILES, env["PROGRAMFILES(X86)"], env.LOCALAPPDATA];
  const applications = ["Google/Chrome/Application/chrome.exe", "Chromium/Application/chrome.exe"];
  return roots.flatMap((root) => (root ? applications.map((application) => join(root, application)) : []));
}

/** What `puppeteer browsers install chrome` puts on this machine, newest first. */
function puppeteerPlaces(env) {
  const folder = join(env.PUPPETEER_CACHE_DIR ?? join(homedir(), ".cache", "puppeteer"), "chrome");
  const inside = [
    "chrome-linux64/chrome",
    "chrome-mac-arm64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing",
    "chrome-mac-x64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing",
    "chrome-win64/chrome.exe",
  ];
  try {
    const builds = readdirSync(folder).sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
    return builds.flatMap((build) => inside.map((path) => join(folder, build, path)));
  } catch {
    return []; // it has never installed one
  }
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * The path of an installed browser, or null. PUPPETEER_EXECUTABLE_PATH and CHROME_PATH go first, what puppeteer installed
 * goes last.
 */
export function findChromium(env = process.env, platform = process.platform) {
  const named = [env.PUPPETEER_EXECUTABLE_PATH, env.CHROME_PATH];
  const onPath = (env.PATH ?? "")
    .split(delimiter)
    .flatMap((folder) => commands.map((command) => join(folder, command)));
  const usual =
    platform === "win32"
      ? windowsPlaces(env)
      : platform === "darwin"
        ? macApplications
        : [...commands.map((command) => `/usr/bin/${command}`), "/opt/google/chrome/chrome", "/snap/bin/chromium"];
  return [...named, ...onPath, ...usual, ...puppeteerPlaces(env)].find((path) => path && isExecutable(path)) ?? null;
}

/**
 * Flags for a browser that mines without a screen. `software` also offers the software WebGPU adapter, which Chromium
 * otherwise hides.
 */
export function chromiumFlags({ software }) {
  return [
    ...(software ? ["--enable-unsafe-webgpu"] : []),
    // Chromium refuses its sandbox to root.
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // A page in the background of a headless browser is as good as any.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
  ];
}
