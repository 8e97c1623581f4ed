/**
 * Runs other programs and passes signals on. Every command of package.json goes through here, before anything is
 * installed and on Node 20 too: only `node:` imports.
 *
 * Running: children end by themselves. First signal: nothing more is started, and every child is to end; those that do not
 * within their grace are killed. A second signal a second later or more kills them at once (npm repeats at once what the
 * terminal has sent). When the last one has ended, this process ends with its exit code, or with 128 + the signal's
 * number where it was set-up that was interrupted.
 *
 * A terminal sends Ctrl-C to all of us, and a program may take a second SIGINT for impatience: what is shown gets it from
 * us only if it still runs a second later.
 */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import process from "node:process";

/** A program that a person has started may finish what it is doing; a step of the set-up is simply done again. */
const shownGraceMs = 5_000;
const setUpGraceMs = 1_000;
const repeatMs = 1_000;

/** @type {Map<import("node:child_process").ChildProcess, { isShown: boolean, graceMs: number }>} */
const children = new Map();
/** @type {{ signal: NodeJS.Signals, at: number } | null} */
let stopping = null;

for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
  process.on(signal, () => stop(signal));
}

// npm hands a signal to the shell between us alone, which ends without passing it on: then our parent changes.
if (process.env.npm_lifecycle_event) {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    if (!stopping) stop("SIGTERM");
  }, 200);
  watch.unref();
}

/** @param {NodeJS.Signals} signal */
function stop(signal) {
  if (stopping) {
    if (Date.now() - stopping.at < repeatMs) return;
    for (const child of children.keys()) child.kill("SIGKILL");
    return;
  }
  stopping = { signal, at: Date.now() };
  if (children.size === 0) process.exit(exitCode(null, signal));
  for (const [child, { isShown, graceMs }] of children) {
    if (isShown && signal === "SIGINT") setTimeout(() => child.kill(signal), repeatMs).unref();
    else child.kill(signal);
    setTimeout(() => child.kill("SIGKILL"), graceMs).unref();
  }
}

/** @param {number | null} code @param {NodeJS.Signals | null} signal */
function exitCode(code, signal) {
  return code ?? 128 + constants.signals[signal ?? "SIGKILL"];
}

/**
 * Runs a program to its end. `show` lets it write to this terminal; otherwise its output is collected. A set-up step
 * that was interrupted never returns: this process ends instead.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ show?: boolean, cwd?: string, env?: NodeJS.ProcessEnv, timeoutMs?: number, graceMs?: number }} [options]
 * @returns {Promise<{ code: number, output: string }>} code 127 where the program does not exist
 */
export function run(command, args, { show = false, cwd, env = process.env, timeoutMs, graceMs } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, stdio: show ? "inherit" : ["ignore", "pipe", "pipe"] });
    children.set(child, { isShown: show, graceMs: graceMs ?? (show ? shownGraceMs : setUpGraceMs) });
    const deadline = timeoutMs === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text) => {
        output += text;
      });
    }
    /** @param {number} code */
    const end = (code) => {
      clearTimeout(deadline);
      children.delete(child);
      if (!stopping) resolve({ code, output });
      else if (children.size === 0) process.exit(show ? code : exitCode(null, stopping.signal));
    };
    child.once("error", (error) => {
      output += error.message;
      end(127);
    });
    child.once("close", (code, signal) => end(exitCode(code, signal)));
  });
}

/** Ends the children that still run, as a signal would; the exit code is the last one's. */
export function stopAll() {
  stop("SIGTERM");
}
