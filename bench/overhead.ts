import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Tokenizer } from "@huggingface/tokenizers";
import { manifestSchema } from "../models/manifest.ts";
import { Tab } from "../server/e2e/tabs.ts";
import { startTestHub } from "../server/e2e/test-hub.ts";
import { bootstrap, mean } from "../server/sim/intervals.ts";
import type { RunningHub } from "../server/start-hub.ts";
import { seededRng } from "../shared/random.ts";
import { assert } from "../shared/result.ts";
import { median, rounded } from "./median-of.ts";
import { openTextPage, shakespeare } from "./text-browser.ts";
import { greedy, promptsOf } from "./text-prompts.ts";

/**
 * What hub and protocol add to the time of a token: texts by the engine asked directly by its page, and the same texts as an
 * HTTP client sees them that streams `/v1/completions` from a hub whose only miner is a tab. One browser, in turns.
 *
 * `--pinned` holds the whole browser on one core and hub and client on another, for both sides: in life they are two machines.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "10" },
    tokens: { type: "string", default: "400" },
    pinned: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const count = Number(values.tokens);
assert(Number.isInteger(rounds) && rounds > 0, "--rounds is a positive integer");
assert(Number.isInteger(count) && count > 1, "--tokens is an integer above 1");
const [EIGHT, PROMPT, WARM_UP] = [8, 32, 2];
/** Texts one after the other in a round of one text: a single one takes a third of a second, which one hiccup decides. */
const TIMES = 4;

const folder = join(import.meta.dirname, "../models/shakespeare");
const json = (file: string) => JSON.parse(readFileSync(join(folder, file), "utf8"));
const { id, version } = manifestSchema.parse(json("manifest.json"));
const tokenizer = new Tokenizer(json("tokenizer.json"), json("tokenizer_config.json"));

/** Texts that were asked for together. */
interface Made {
  texts: string[];
  /** From the request to the first token of any. */
  firstMs: number;
  /** Of decoding, for all of them: from the first token of any to the last of all. */
  tokenMs: number;
  /** Processor time of a token, its prompt's share in it, by who spent it. */
  cpuMs: Record<Spender, number>;
}

/** The tab's own process (inference, session and page), the rest of the browser, and the hub with its HTTP client. */
type Spender = (typeof spenders)[number];

const spenders = ["tab", "browser", "hub"] as const;

const averageOf = (made: Made[]): Made => ({
  texts: made.flatMap(({ texts }) => texts),
  firstMs: mean(made.map(({ firstMs }) => firstMs)),
  tokenMs: mean(made.map((one) => one.tokenMs)),
  cpuMs: Object.fromEntries(spenders.map((who) => [who, mean(made.map(({ cpuMs }) => cpuMs[who]))])) as Made["cpuMs"],
});

const tokenMs = (texts: number, firstMs: number, ms: number) => (ms - firstMs) / (texts * count - 1);

/** One completion, streamed: when its first and its last text came, on this process's clock. */
async function stream({ url, firstKey }: RunningHub, prompt: number[]) {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${firstKey.value}`, "content-type": "application/json" },
    body: JSON.stringify({ model: id, stream: true, prompt, max_tokens: count, temperature: 0, seed: 1 }),
  });
  assert(response.ok && response.body, `${response.status} ${response.ok ? "" : await response.text()}`);
  let [text, rest, firstAt, lastAt, events] = ["", "", 0, 0, 0];
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const at = performance.now();
    const whole = (rest + piece).split("\n\n");
    rest = whole.pop() as string;
    for (const event of whole) {
      if (!event.startsWith("data: {")) continue;
      const chunk = JSON.parse(event.slice("data: ".length));
      assert(!chunk.error, JSON.stringify(chunk.error));
      const added = chunk.choices[0]?.text ?? "";
      if (added === "") continue;
      firstAt ||= at;
      lastAt = at;
      events++;
      text += added;
    }
  }
  return { text, firstAt, lastAt, events };
}

const open = await openTextPage();
const { hub, close } = await startTestHub({ referenceServes: false });
try {
  await open.call("load", "engine", shakespeare("wasm"));
  const tab = await Tab.open(open.browser, hub.url, "wasm");
  // A tab prepares a text model when somebody asks for texts.
  let waiting = true;
  const asking = (async () => {
    while (waiting) await stream(hub, [1]).catch(() => pause(100));
  })();
  await tab.admitted(`${id}@${version}`, 240_000).finally(() => {
    waiting = false;
  });
  await asking;

  /** Checks come after their texts: they are no part of either side's time. */
  const settled = async () => {
    while (hub.runtime.live.size > 0) await pause(20);
  };
  const system = await open.browser.target().createCDPSession();
  if (values.pinned) {
    const { processInfo } = await system.send("SystemInfo.getProcessInfo");
    const pin = (pid: number, core: number) => execFileSync("taskset", ["-apc", String(core), String(pid)]);
    for (const { id: pid } of processInfo) pin(pid, 0);
    pin(process.pid, 1);
  }
  const spent = async (): Promise<Made["cpuMs"]> => {
    const { processInfo } = await system.send("SystemInfo.getProcessInfo");
    const msOf = (isTab: boolean) =>
      processInfo.reduce((sum, { type, cpuTime }) => sum + ((type === "renderer") === isTab ? 1000 * cpuTime : 0), 0);
    const { user, system: kernel } = process.cpuUsage();
    return { tab: msOf(true), browser: msOf(false), hub: (user + kernel) / 1000 };
  };
  const since = async (before: Made["cpuMs"], texts: number): Promise<Made["cpuMs"]> => {
    const after = await spent();
    const of = (who: Spender) => (after[who] - before[who]) / (texts * count);
    return { tab: of("tab"), browser: of("browser"), hub: of("hub") };
  };
  const direct = async (prompts: number[][]): Promise<Made> => {
    const before = await spent();
    const settings = greedy(count);
    const made = await open.call(
      "generate",
      "engine",
      prompts.map((prompt) => ({ prompt, settings })),
    );
    const texts = made.tokens.map((tokens) => tokenizer.decode(tokens));
    const firstMs = Math.min(...made.firstMs);
    const cpuMs = await since(before, texts.length);
    return { texts, firstMs, tokenMs: tokenMs(texts.length, firstMs, made.ms), cpuMs };
  };
  const events = { one: [] as number[], eight: [] as number[] };
  const served = async (prompts: number[][]): Promise<Made> => {
    const before = await spent();
    const startedAt = performance.now();
    const streams = await Promise.all(prompts.map((prompt) => stream(hub, prompt)));
    const cpuMs = await since(before, streams.length);
    events[streams.length === 1 ? "one" : "eight"].push(...streams.map((one) => count / one.events));
    const firstMs = Math.min(...streams.map(({ firstAt }) => firstAt)) - startedAt;
    const lastMs = Math.max(...streams.map(({ lastAt }) => lastAt)) - startedAt;
    await settled();
    const texts = streams.map(({ text }) => text);
    return { texts, firstMs, tokenMs: tokenMs(texts.length, firstMs, lastMs), cpuMs };
  };

  const ways = { direct, served };
  const sizes = { one: { texts: 1, times: TIMES }, eight: { texts: EIGHT, times: 1 } };
  const took = { one: { direct: [], served: [] }, eight: { direct: [], served: [] } } as Record<
    keyof typeof sizes,
    Record<keyof typeof ways, Made[]>
  >;
  let differing = 0;
  await settled();
  const prompts = promptsOf((rounds + WARM_UP) * (EIGHT + TIMES), PROMPT);
  const loadBefore = loadavg()[0] as number;
  for (let round = -WARM_UP; round < rounds; round++) {
    for (const size of ["one", "eight"] as const) {
      const { texts, times } = sizes[size];
      const asked = Array.from({ length: times }, () => prompts.splice(0, texts));
      const names = Object.keys(ways) as (keyof typeof ways)[];
      const made = {} as Record<keyof typeof ways, Made>;
      for (const name of round % 2 === 0 ? names : names.reverse()) {
        const each: Made[] = [];
        for (const together of asked) each.push(await ways[name](together));
        made[name] = averageOf(each);
      }
      differing += made.served.texts.filter((text, at) => text !== made.direct.texts[at]).length;
      if (round < 0) continue; // warms up
      for (const name of names) took[size][name].push(made[name]);
    }
  }

  const row = (size: keyof typeof sizes) => {
    const pairs = took[size].direct.map((direct, round) => ({ direct, served: took[size].served[round] as Made }));
    const said = <T>(units: T[], statistic: (units: readonly T[]) => number) => {
      const { value, low, high } = bootstrap(units, statistic, seededRng(1));
      return { value: rounded(value), interval95: [rounded(low), rounded(high)] };
    };
    const compared = (of: (made: Made) => number) => {
      const each = pairs.map(({ direct, served }) => of(served) / of(direct));
      return {
        ofMedians: said(
          pairs,
          (drawn) => median(drawn.map(({ served }) => of(served))) / median(drawn.map(({ direct }) => of(direct))),
        ),
        medianOfPairs: said(each, median),
        pairs: each.map((ratio) => rounded(ratio)),
      };
    };
    const all = ({ cpuMs }: Made) => cpuMs.tab + cpuMs.browser + cpuMs.hub;
    const of = (made: Made[]) => ({
      cpuMsPerToken: Object.fromEntries(
        spenders.map((who) => [who, rounded(median(made.map(({ cpuMs }) => cpuMs[who])))]),
      ),
      msPerToken: rounded(median(made.map((one) => one.tokenMs))),
      msOfRounds: made.map((one) => rounded(one.tokenMs)),
      firstTokenMs: rounded(median(made.map((one) => one.firstMs))),
    });
    return {
      direct: of(took[size].direct),
      served: of(took[size].served),
      ratio: compared((made) => made.tokenMs),
      cpuRatio: compared(all),
      tokensPerEvent: rounded(median(events[size])),
    };
  };
  console.log(
    JSON.stringify(
      {
        bench: "overhead",
        browser: await open.browser.version(),
        cpus: cpus().length,
        load: [loadBefore, loadavg()[0] as number].map((load) => rounded(load, 1)),
        pinned: values.pinned ? "the browser to core 0, hub and client to core 1" : "no",
        model: `${id} fp32, wasm, 1 thread, ${PROMPT} tokens in, ${count} out, greedy`,
        rounds,
        one: row("one"),
        eight: row("eight"),
        textsThatDiffer: differing,
      },
      null,
      2,
    ),
  );
} finally {
  await open.close();
  await close();
}
