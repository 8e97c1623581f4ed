import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { afterEach, describe, expect, it } from "vitest";

const module = JSON.stringify(new URL("./child.mjs", import.meta.url).href);
const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

const shown = "{ show: true }";
const stays = "setInterval(() => {}, 1000);";

/** A command as package.json has them: it runs `program` to its end, then leaves with its exit code. */
function command(program: string, options: string) {
  const script = `
    const { run } = await import(${module});
    const running = run(process.execPath, ["-e", ${JSON.stringify(program)}], ${options});
    console.log("started");
    const { code, output } = await running;
    console.log("returned", JSON.stringify(output));
    process.exit(code);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  started.push(child);
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  return {
    child,
    ended: once(child, "close").then(([code]) => ({ code, output })),
    says: async (text: string) => {
      while (!output.includes(text)) await once(child.stdout, "data");
    },
  };
}

describe("a command", () => {
  it("ends as its program ends", async () => {
    expect(await command("process.exit(7)", shown).ended).toEqual({ code: 7, output: 'started\nreturned ""\n' });
  });

  it("collects what a step of the set-up writes", async () => {
    const { output } = await command("console.log(1); console.error(2)", "{}").ended;
    expect(output).toMatch(/returned "(1\\n2|2\\n1)\\n"\n$/);
  });

  const finish = (signal: string) =>
    `process.on('${signal}', () => { console.log('signal'); setTimeout(() => process.exit(3), 100); }); console.log('up'); ${stays}`;

  it.each(["SIGINT", "SIGTERM"] as const)("forwards %s once, and ends as its program does", async (signal) => {
    const { child, says, ended } = command(finish(signal), shown);
    await says("up");
    child.kill(signal);
    child.kill(signal);
    expect(await ended).toEqual({ code: 3, output: "started\nup\nsignal\n" });
  });

  it("does not repeat the Ctrl-C that a terminal sends to the whole group", async () => {
    const { child, says, ended } = command(finish("SIGINT"), shown);
    await says("up");
    process.kill(-(child.pid as number), "SIGINT");
    expect(await ended).toEqual({ code: 3, output: "started\nup\nsignal\n" });
  });

  it("kills what does not end within its grace, and goes no further", async () => {
    const refuse = "process.on('SIGTERM', () => console.log('no'));";
    const { child, says, ended } = command(`${refuse} console.log('up'); ${stays}`, "{ show: true, graceMs: 100 }");
    await says("up");
    child.kill("SIGTERM");
    expect(await ended).toEqual({ code: 137, output: "started\nup\nno\n" });
  });

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("that is interrupted by %s during the set-up ends with %i, without a word", async (signal, code) => {
    const { child, says, ended } = command(stays, "{}");
    await says("started");
    child.kill(signal);
    expect(await ended).toEqual({ code, output: "started\n" });
  });

  it("gives a step its deadline", async () => {
    expect((await command(stays, "{ timeoutMs: 100 }").ended).code).toBe(137);
  });

  it("says 127 where the program does not exist", async () => {
    const { output, code } = await command("", "{ cwd: '/no/such/folder' }").ended;
    expect([code, output]).toEqual([127, expect.stringContaining("ENOENT")]);
  });
});
