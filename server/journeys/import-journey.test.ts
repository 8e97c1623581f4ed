import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { goldenSchema, type Manifest, manifestSchema } from "../../models/manifest.ts";
import { limits } from "../../shared/limits.ts";
import { assert } from "../../shared/result.ts";
import { loadConfig } from "../config.ts";
import { type ScriptedHub, startScriptedHub } from "../import/scripted-hub.ts";
import { type RunningHub, startHub } from "../start-hub.ts";

/**
 * The journey of a model, end to end: `npm run models -- add` as a process of its own asks a hub, which fetches a repository
 * from a server with a Hugging Face hub's addresses, measures it on its reference node, publishes it, and answers with it.
 */

const shakespeare = fileURLToPath(new URL("../../models/shakespeare/", import.meta.url));
const digits = fileURLToPath(new URL("../../models/digits/", import.meta.url));
const command = fileURLToPath(new URL("../cli/models.ts", import.meta.url));
const graph = "onnx/model_q4.onnx";
let huggingFace: ScriptedHub;
let dataDir: string;
let hub: RunningHub;
let bard: Record<string, Buffer>;
const faults: unknown[] = [];

beforeAll(async () => {
  const file = (name: string) => readFile(join(shakespeare, name));
  bard = {
    "README.md": Buffer.from("# The bard"),
    "config.json": await file("config.json"),
    "generation_config.json": await file("generation_config.json"),
    "onnx/model.onnx": await file("model.onnx"),
    [graph]: await file("model_q4.onnx"),
    "tokenizer.json": await file("tokenizer.json"),
    "tokenizer_config.json": await file("tokenizer_config.json"),
  };
  huggingFace = await startScriptedHub({});
  dataDir = await mkdtemp(join(tmpdir(), "tabgrid-import-"));
  const config = loadConfig({ TABGRID_DATA: dataDir, TABGRID_PORT: "0", HF_ENDPOINT: huggingFace.endpoint });
  assert(config.ok, "the settings are valid");
  const fatal = (error: unknown) => faults.push(error);
  const log = pino({ level: "silent" });
  hub = await startHub({ config: config.value, log, version: "test", clientDir: null, fatal });
});
afterAll(async () => {
  await hub?.close();
  await huggingFace?.close();
  await rm(dataDir, { recursive: true, force: true });
});
beforeEach(() => {
  huggingFace.script.repositories = { "stage/Bard": bard, "stage/Bard@v1.0": bard };
  huggingFace.script.licences = { "stage/Bard": "apache-2.0", "stage/Bard@v1.0": "apache-2.0", "stage/Mute": "mit" };
  huggingFace.asked.length = 0;
});

async function add(...args: string[]): Promise<{ code: number; lines: string[] }> {
  const env = { ...process.env, TABGRID_DATA: dataDir };
  const child = spawn(process.execPath, [command, "add", ...args, "--hub", hub.url], {
    env,
  });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const code = await new Promise<number>((resolve) => child.once("close", resolve));
  return { code, lines: output.trimEnd().split("\n") };
}

const post = async (path: string, body: unknown) => {
  const headers = { authorization: `Bearer ${hub.firstKey.value}`, "content-type": "application/json" };
  return (await fetch(`${hub.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) })).json();
};
const greedy = { prompt: "ROMEO:\nIs the day", max_tokens: 24, temperature: 0, logprobs: 1 };
const published = async (id: string): Promise<Manifest> =>
  manifestSchema.parse(await (await fetch(`${hub.url}/models/${id}/1/manifest.json`)).json());
const fetches = () => huggingFace.asked.filter((path) => path.startsWith("/cdn/"));

it("a repository is fetched with a broken connection, pinned, measured, published, and answers as its files say", {
  timeout: 240_000,
}, async () => {
  huggingFace.script.cuts[graph] = [1_000_000];
  const { code, lines } = await add("hf:stage/Bard@v1.0", "--dtype", "q4");
  expect(lines.at(-3)).toMatch(/^bard@1 is published: text-generation, work by \w+, opset \d+, q4$/);
  expect(lines.at(-2)).toBe("Licence, as its repository states it: apache-2.0");
  expect(lines.at(-1)).toBe(`POST ${hub.url}/v1/chat/completions`);
  expect(code).toBe(0);
  const progress = lines.slice(0, -3);
  expect(progress.map((line) => line.replace(/^\d+ % of 2\.3 MB {2}/, ""))).toEqual([
    ...[graph, "tokenizer.json", "tokenizer_config.json", "config.json", "generation_config.json"],
  ]);
  const shares = progress.map((line) => Number.parseInt(line, 10));
  expect([shares[0], shares.at(-1), shares.toSorted((a, b) => a - b)]).toEqual([0, 99, shares]);
  // It goes on behind what had arrived when the connection broke, which need not be all that was sent.
  const [, resumed] = fetches().map((path) => /^\/cdn\/stage\/Bard@v1\.0\/(\S+)(?: bytes=(\d+)-)?$/.exec(path));
  expect(fetches()).toHaveLength(2);
  expect([fetches()[0], resumed?.[1]]).toEqual([`/cdn/stage/Bard@v1.0/${graph}`, graph]);
  expect(Number(resumed?.[2])).toBeGreaterThan(0);
  expect(Number(resumed?.[2])).toBeLessThanOrEqual(1_000_000);

  const manifest = await published("bard");
  const own = manifestSchema.parse(JSON.parse(await readFile(join(shakespeare, "manifest.json"), "utf8")));
  expect(manifest).toMatchObject({
    ...{ licence: "apache-2.0", description: "Imported from hf:stage/Bard@v1.0." },
    ...{ dtype: "q4", creator: "stage", text: { contextLength: 512, eos: [0] } },
  });
  for (const { path, sha256 } of own.files.filter(({ role }) => role !== "graph")) {
    expect(manifest.files.find((file) => file.path === path)?.sha256).toBe(sha256);
  }
  const golden = goldenSchema.parse(JSON.parse(await readFile(join(dataDir, "models/bard/1/golden.json"), "utf8")));
  expect(golden.vectors).toHaveLength(limits.goldenVectors);

  const reply = await post("/v1/completions", { model: "bard", ...greedy });
  expect(reply).toMatchObject({ model: "bard", usage: { completion_tokens: 24 } });
  expect(reply.choices[0].text.length).toBeGreaterThan(20);
  const full = await post("/v1/completions", { model: "shakespeare", ...greedy });
  // The same weights, but in four bits.
  expect(reply.choices[0].logprobs.token_logprobs).not.toEqual(full.choices[0].logprobs.token_logprobs);
});

it("without a precision the full one is taken, and says what the built-in model of the same files says", {
  timeout: 240_000,
}, async () => {
  const { code, lines } = await add(
    "hf:stage/Bard",
    "--id",
    "twin",
    "--creator",
    "me",
    "--royalty",
    "5",
    "--licence",
    "MIT",
  );
  expect([code, lines.at(-2)]).toEqual([0, expect.stringMatching(/^twin@1 is published: text-generation,.* fp32$/)]);
  expect(await published("twin")).toMatchObject({ creator: "me", royaltyBasisPoints: 500 });
  const [twin, own] = [
    await post("/v1/completions", { model: "twin", ...greedy }),
    await post("/v1/completions", { model: "shakespeare", ...greedy }),
  ];
  expect(twin.choices).toEqual(own.choices);
});

it("a version that there is already is refused before anything is fetched", async () => {
  const { code, lines } = await add("hf:stage/Bard", "--dtype", "q4");
  expect(lines).toEqual([
    "The hub answered 409: bard@1 is published already; a version never changes, give another one",
  ]);
  expect([code, huggingFace.asked]).toEqual([1, []]);
});

it("a file is registered and answers as the built-in model of the same bytes", async () => {
  const { code, lines } = await add(join(digits, "model.onnx"), "--id", "mine", "--creator", "me", "--licence", "MIT");
  expect([code, ...lines]).toEqual([
    0,
    expect.stringMatching(/^mine@1 is published: tensor, 11\.1 MFLOP a row, opset \d+, fp32$/),
    `POST ${hub.url}/v2/models/mine/infer`,
  ]);
  const seven = JSON.parse(await readFile(join(digits, "examples/seven.json"), "utf8"));
  const [mine, own] = [await post("/v2/models/mine/infer", seven), await post("/v2/models/digits/infer", seven)];
  expect(mine.outputs).toEqual(own.outputs);
});

const without = (...paths: string[]) =>
  Object.fromEntries(Object.entries(bard).filter(([path]) => !paths.includes(path)));
const refusals: [string, string[], (script: ScriptedHub["script"]) => void, RegExp][] = [
  [
    "there is no such repository",
    ["hf:stage/Nobody"],
    () => {},
    /^The hub answered 404: the hub has no stage\/Nobody@main$/,
  ],
  ["there is no such revision", ["hf:stage/Bard@v9"], () => {}, /404: the hub has no stage\/Bard@v9$/],
  [
    "it has no such precision",
    ["hf:stage/Bard", "--dtype", "fp16"],
    () => {},
    /422: dtype: the repository has one of fp32, q4, not fp16$/,
  ],
  [
    "it states no licence, and none is given",
    ["hf:stage/Bard"],
    ({ licences }) => delete licences["stage/Bard"],
    /400: licence: expected one that the repository states, or one given, got none$/,
  ],
  [
    "its bytes are not those that it lists",
    ["hf:stage/Bard", "--dtype", "q4"],
    ({ swapped }) => (swapped[graph] = Buffer.from((bard[graph] as Buffer).toReversed())),
    /^onnx\/model_q4\.onnx: expected the SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}$/,
  ],
  [
    "it is larger than a tab's memory",
    ["hf:stage/Bard", "--dtype", "q4"],
    ({ sizes }) => (sizes[graph] = 3 * 1024 ** 3),
    /413: source: expected at most 2147483648 bytes of graph and weights, half of a tab's 4294967296, got 3221225472 bytes$/,
  ],
  [
    "a text model has no tokenizer",
    ["hf:stage/Mute", "--dtype", "q4", "--task", "text-generation"],
    ({ repositories }) => (repositories["stage/Mute"] = without("tokenizer.json", "tokenizer_config.json")),
    /^tokenizer: .*tokenizer\.json/,
  ],
];
it.each(refusals)("refused, and said why, where %s", async (_, args, arrange, reason) => {
  const { sizes, swapped } = huggingFace.script;
  arrange(huggingFace.script);
  const { code, lines } = await add(...args, "--id", "never");
  expect([code, lines.at(-1)]).toEqual([1, expect.stringMatching(reason)]);
  expect((await fetch(`${hub.url}/models/never/1/manifest.json`)).status).toBe(404);
  delete sizes[graph];
  delete swapped[graph];
});

it("nothing went wrong in the hub", () => expect(faults).toEqual([]));
