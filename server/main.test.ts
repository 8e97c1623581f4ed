import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

/** The hub as a process, as `npm start` runs it: what it says, how it ends, and what a second start finds. */

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const root = fileURLToPath(new URL("..", import.meta.url));
let folder: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tabgrid-main-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  await rm(folder, { recursive: true, force: true });
});

interface Hub {
  child: ChildProcess;
  out: string;
  err: string;
  url: string;
}

function run(env: Record<string, string>): Hub {
  const child = spawn(process.execPath, [main], {
    cwd: root,
    env: { PATH: process.env.PATH ?? "", TABGRID_DATA: join(folder, "data"), TABGRID_PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  const hub: Hub = { child, out: "", err: "", url: "" };
  child.stdout?.on("data", (text) => {
    hub.out += text;
  });
  child.stderr?.on("data", (text) => {
    hub.err += text;
  });
  return hub;
}

async function started(env: Record<string, string> = {}): Promise<Hub> {
  const hub = run(env);
  await expect
    .poll(() => hub.out.includes("Ctrl-C ends it.") || hub.child.exitCode !== null, { timeout: 30_000 })
    .toBe(true);
  expect(hub.err).toBe("");
  hub.url = /contribute\s+(\S+)\//.exec(hub.out)?.[1] ?? "";
  return hub;
}

/** Ends by itself with exit code 1 and one plain sentence, no stack. */
async function refused(env: Record<string, string>): Promise<string> {
  const hub = run(env);
  const [code] = await once(hub.child, "exit");
  expect(code, hub.err).toBe(1);
  expect(hub.err).not.toMatch(/\n\s+at /);
  expect(hub.out).toBe("");
  return hub.err.trim();
}

const ask = async (hub: Hub, key: string, path: string) =>
  (await fetch(`${hub.url}${path}`, { headers: { authorization: `Bearer ${key}` } })).json();

async function askSeven(hub: Hub, key: string): Promise<number> {
  const response = await fetch(`${hub.url}/v2/models/digits/infer`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: await readFile(join(root, "models/digits/examples/seven.json")),
  });
  expect(response.status).toBe(200);
  const { data } = (await response.json()).outputs[0];
  return data.indexOf(Math.max(...data));
}

describe("npm start", { timeout: 60_000 }, () => {
  it("prints what a stranger needs, keeps its secrets to their owner, and answers the printed curl at once", async () => {
    const hub = await started();
    expect(hub.out).toMatch(/console\s+http:\S+\/console#token=\S{16,}/);
    const key = (await readFile(join(folder, "data/api-key"), "utf8")).trim();
    expect(hub.out).toContain(key);
    for (const file of ["api-key", "admin-token"]) {
      expect((await stat(join(folder, "data", file))).mode & 0o777).toBe(0o600);
    }
    expect(await askSeven(hub, key)).toBe(7);
    expect(await ask(hub, key, "/readyz")).toMatchObject({ status: "ready" });
  });

  it("resumes on the same folder: the key, the balance and the receipts are there, the secrets are not printed again", async () => {
    const first = await started();
    const key = (await readFile(join(folder, "data/api-key"), "utf8")).trim();
    await askSeven(first, key);
    const spent = async (hub: Hub) =>
      100_000_000_000n - BigInt((await ask(hub, key, "/api/v1/ledger/accounts/customer:first")).balance);
    await expect.poll(() => spent(first), { timeout: 10_000 }).toBe(1_000n);
    first.child.kill("SIGINT");
    expect((await once(first.child, "exit"))[0]).toBe(0);
    const second = await started();
    expect(second.out).not.toContain(key);
    expect(second.out).not.toContain("#token=");
    expect(await askSeven(second, key)).toBe(7);
    await expect.poll(() => spent(second), { timeout: 10_000 }).toBe(2_000n);
  });

  it("survives kill -9 in the middle of traffic: no request half paid, the books balance", async () => {
    const first = await started();
    const key = (await readFile(join(folder, "data/api-key"), "utf8")).trim();
    const traffic = Array.from({ length: 60 }, () => askSeven(first, key).catch(() => null));
    await new Promise((resolve) => setTimeout(resolve, 150));
    first.child.kill("SIGKILL");
    await Promise.all(traffic);
    const second = await started();
    const admin = (await readFile(join(folder, "data/admin-token"), "utf8")).trim();
    expect(await ask(second, admin, "/api/v1/ledger/imbalance")).toMatchObject({ USDC: "0", DN: "0" });
    expect((await ask(second, key, "/api/v1/ledger/accounts/customer:first:held")).balance ?? "0").toBe("0");
    const metrics = await (
      await fetch(`${second.url}/metrics`, { headers: { authorization: `Bearer ${admin}` } })
    ).text();
    expect(metrics).toContain('ledger_imbalance{asset="USDC"} 0');
  });

  it("uses a key and a token from the environment, and prints neither", async () => {
    const env = { TABGRID_API_KEY: "a-key-of-my-own-choice", TABGRID_ADMIN_TOKEN: "a-token-of-my-own-choice" };
    const hub = await started(env);
    for (const secret of Object.values(env)) expect(hub.out).not.toContain(secret);
    expect(await askSeven(hub, env.TABGRID_API_KEY)).toBe(7);
    expect(await ask(hub, env.TABGRID_ADMIN_TOKEN, "/api/v1/ledger/imbalance")).toMatchObject({ USDC: "0" });
    await expect(stat(join(folder, "data/api-key"))).rejects.toThrow();
  });
});

describe("npm start, what cannot work: one sentence and exit 1", { timeout: 60_000 }, () => {
  it("a port in use", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    expect(await refused({ TABGRID_PORT: String(port) })).toBe(
      `Port ${port} on 127.0.0.1 is in use: end what runs there, or set TABGRID_PORT to another one.`,
    );
    other.close();
  });

  it("a data folder that cannot be one", async () => {
    await writeFile(join(folder, "file"), "");
    const sentence = await refused({ TABGRID_DATA: join(folder, "file", "data") });
    expect(sentence).toContain(join(folder, "file", "data"));
    expect(sentence.split("\n")).toHaveLength(1);
  });

  it("a damaged database", async () => {
    const first = await started();
    first.child.kill("SIGTERM");
    await once(first.child, "exit");
    await writeFile(join(folder, "data/tabgrid.db"), Buffer.alloc(100_000, "garbage"));
    for (const rest of ["tabgrid.db-wal", "tabgrid.db-shm"]) await rm(join(folder, "data", rest), { force: true });
    const sentence = await refused({});
    expect(sentence).toContain("tabgrid.db");
    expect(sentence.split("\n")).toHaveLength(1);
  });

  it("a second hub on the same folder", async () => {
    await started();
    expect(await refused({})).toContain("Another hub is running");
  });

  it("an address of another machine, and settings that make no sense, all named at once", async () => {
    expect(await refused({ TABGRID_HOST: "203.0.113.1" })).toContain("TABGRID_HOST");
    const faults = await refused({ TABGRID_PORT: "high", TABGRID_API_KEY: "short", TABGRID_PROT: "1" });
    for (const name of ["TABGRID_PORT", "TABGRID_API_KEY", "TABGRID_PROT"]) expect(faults).toContain(name);
    expect(faults).not.toContain('"short"');
  });
});
