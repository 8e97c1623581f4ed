/**
 * `npm run demo [-- --hub URL --count 200 --rate 5 --images FILE --key KEY]`: bounded traffic of handwritten digits, so
 * that the first tab of a new hub sees work. Images are MNIST's where that lies beside the project, else drawn here.
 */
import { randomInt } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { cac } from "cac";
import { z } from "zod";
import { drawDigit } from "../../models/digits/draw.ts";
import { seededRng } from "../../shared/random.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { type Config, loadConfig } from "../config.ts";
import { type DigitImage, readDigitImages } from "./idx.ts";

const mnistImages = join(import.meta.dirname, "../../../shared/data/sets/mnist/t10k-images-idx3-ubyte.gz");
const inFlightMax = 64;
const answerWithinMs = 60_000;

/** What the hub calls the basis of an answer, in words. */
const bases: Record<string, string> = {
  checked: "another tab",
  reference: "the reference node",
  unchecked: "nobody (drawn for no check)",
  pending: "nobody yet (fast)",
};

const optionsSchema = z.object({
  hub: z.url({ protocol: /^https?$/, error: "--hub: expected an address that starts with http:// or https://." }),
  count: z.int({ error: "--count: expected a whole number from 1 to 100000." }).min(1).max(100_000),
  rate: z.number({ error: "--rate: expected requests per second, above 0 and up to 1000." }).positive().max(1000),
  images: z.string().optional(),
  key: z.string({ error: "--key: expected an API key." }),
});
type Options = z.infer<typeof optionsSchema>;

const answerSchema = z.object({
  outputs: z.tuple([z.object({ data: z.array(z.number()).length(10) })]),
  parameters: z.object({ basis: z.string() }),
});
const errorSchema = z.object({ error: z.string() });

/** One answered request, or why there is no answer; `fatal` when every further request would end the same way. */
type Outcome = Result<{ digit: number; basis: string; latencyMs: number }, { message: string; fatal: boolean }>;

interface Tally {
  sent: number;
  answered: number;
  /** Of those answers whose image has a known digit. */
  labelled: number;
  right: number;
  failed: number;
  lastFailure: string;
  latenciesMs: number[];
  byBasis: Map<string, number>;
}

async function main(): Promise<void> {
  const config = loadConfig(process.env);
  if (!config.ok) return stop(config.error.join("\n"));
  const options = readOptions(config.value);
  if (!options.ok) return stop(options.error);
  const images = readImages(options.value.images);
  if (!images.ok) return stop(images.error);

  const ending = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => ending.abort());
  const { hub, count, rate } = options.value;
  console.log(`Sending ${count} digits to ${hub}, ${rate} a second, ${images.value.source}. Ctrl-C stops.`);
  const fatal = await sendAll(options.value, images.value.next, ending);
  if (fatal) stop(fatal);
}

function stop(sentence: string): void {
  console.error(sentence);
  process.exitCode = 1;
}

function readOptions(config: Config): Result<Options, string> {
  const anyHost = ["0.0.0.0", "::"].includes(config.host);
  const host = anyHost ? "127.0.0.1" : config.host.includes(":") ? `[${config.host}]` : config.host;
  const hub = `${config.tls ? "https" : "http"}://${host}:${config.port}`;
  const keyFile = join(config.dataDir, "api-key");
  const program = cac("npm run demo --");
  program.option("--hub <url>", "Where the hub is", { default: hub });
  program.option("--count <n>", "How many requests", { default: 200 });
  program.option("--rate <n>", "Requests per second", { default: 5 });
  program.option("--images <file>", "MNIST images (IDX, may be gzipped) instead of the usual ones");
  program.option("--key <key>", `API key; by default TABGRID_API_KEY, else the text of ${keyFile}`);
  program.usage("[options]");
  program.help();
  const { options } = program.parse();
  if (options.help) process.exit(0);
  const key = options.key ?? config.apiKey ?? (existsSync(keyFile) ? readFileSync(keyFile, "utf8").trim() : null);
  if (key === null) {
    return err(
      `There is no API key: ${keyFile} is written when the hub first starts (npm start), or give one by --key.`,
    );
  }
  const parsed = optionsSchema.safeParse({ ...options, key: String(key) });
  return parsed.success
    ? ok(parsed.data)
    : err([...new Set(parsed.error.issues.map(({ message }) => message))].join("\n"));
}

/** An endless row of images, in a different order each run. */
function readImages(path: string | undefined): Result<{ source: string; next: () => DigitImage }, string> {
  const file = path ?? (existsSync(mnistImages) ? mnistImages : null);
  const rng = seededRng(randomInt(2 ** 31));
  if (file === null) {
    const next = (): DigitImage => {
      const label = Math.floor(rng.next() * 10);
      return { pixels: drawDigit(label, rng.next), label };
    };
    return ok({ source: "drawn here", next });
  }
  const read = readDigitImages(file);
  if (!read.ok) return read;
  const images = read.value;
  if (images.length === 0) return err(`${file} holds no images.`);
  const next = () => images[Math.floor(rng.next() * images.length)] as DigitImage;
  return ok({ source: `from ${relative(process.cwd(), file)}`, next });
}

/** Sends at the given rate whatever the answers take, up to a bound; returns the sentence of a fatal failure, if any. */
async function sendAll(options: Options, next: () => DigitImage, ending: AbortController): Promise<string | null> {
  const tally: Tally = {
    sent: 0,
    answered: 0,
    labelled: 0,
    right: 0,
    failed: 0,
    lastFailure: "",
    latenciesMs: [],
    byBasis: new Map(),
  };
  const { signal } = ending;
  const inFlight = new Set<Promise<void>>();
  const started = Date.now();
  const ticker = setInterval(() => console.log(line(tally, started)), 1000);
  let fatal: string | null = null;

  const sendOne = async (): Promise<void> => {
    const image = next();
    tally.sent++;
    const outcome = await infer(options, image, signal);
    if (signal.aborted) return;
    note(tally, image, outcome);
    if (!outcome.ok && outcome.error.fatal) {
      fatal = outcome.error.message;
      ending.abort();
    }
  };
  while (tally.sent < options.count && !signal.aborted) {
    const due = started + (tally.sent * 1000) / options.rate;
    await sleep(Math.max(0, due - Date.now()), null, { signal }).catch(() => {});
    if (inFlight.size >= inFlightMax) await Promise.race(inFlight);
    if (signal.aborted) break;
    const sending = sendOne().finally(() => inFlight.delete(sending));
    inFlight.add(sending);
  }
  await Promise.all(inFlight);
  clearInterval(ticker);
  if (tally.answered > 0 || fatal === null) console.log(summary(tally, started));
  return fatal;
}

async function infer(options: Options, image: DigitImage, signal: AbortSignal): Promise<Outcome> {
  const started = performance.now();
  try {
    const response = await fetch(new URL("/v2/models/digits/infer", options.hub), {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${options.key}` },
      body: JSON.stringify({
        inputs: [{ name: "image", shape: [1, 1, 28, 28], datatype: "FP32", data: [...image.pixels] }],
      }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerWithinMs)]),
    });
    const body: unknown = await response.json();
    if (!response.ok) return refused(options, response.status, errorSchema.safeParse(body).data?.error);
    const answer = answerSchema.safeParse(body);
    if (!answer.success)
      return err({ message: `${options.hub} is not a Tabgrid hub: ${answer.error.message}`, fatal: true });
    const [{ data }] = answer.data.outputs;
    const digit = data.indexOf(Math.max(...data));
    return ok({ digit, basis: answer.data.parameters.basis, latencyMs: performance.now() - started });
  } catch (error) {
    return unreachable(options, error);
  }
}

function refused(options: Options, status: number, said = ""): Outcome {
  if (status === 401)
    return err({ message: `The hub at ${options.hub} does not accept this API key: ${said}`, fatal: true });
  const fatal = status >= 400 && status < 500 && status !== 429;
  return err({ message: `The hub answered ${status}: ${said}`, fatal });
}

function unreachable(options: Options, error: unknown): Outcome {
  if (!(error instanceof Error)) throw error;
  if (error instanceof SyntaxError) return err({ message: `${options.hub} is not a Tabgrid hub.`, fatal: true });
  const cause = error.cause instanceof Error ? error.cause : error;
  const code = "code" in cause && cause.code ? String(cause.code) : cause.message;
  const isBroken = ["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"].includes(code) || error.name === "TimeoutError";
  if (isBroken) return err({ message: `The connection broke before the answer came (${code}).`, fatal: false });
  const advice = "start one with `npm start`, or name another with --hub";
  return err({ message: `No hub answers at ${options.hub} (${code}): ${advice}.`, fatal: true });
}

function note(tally: Tally, image: DigitImage, outcome: Outcome): void {
  if (!outcome.ok) {
    tally.failed++;
    tally.lastFailure = outcome.error.message;
    return;
  }
  const { digit, basis, latencyMs } = outcome.value;
  tally.answered++;
  tally.latenciesMs.push(latencyMs);
  tally.byBasis.set(basis, (tally.byBasis.get(basis) ?? 0) + 1);
  if (image.label !== null) {
    tally.labelled++;
    if (digit === image.label) tally.right++;
  }
}

function line(tally: Tally, started: number): string {
  const seconds = `${Math.round((Date.now() - started) / 1000)} s`.padStart(6);
  return `${seconds}  ${counts(tally)}  ${median(tally)}  ${whoConfirmed(tally)}`;
}

function summary(tally: Tally, started: number): string {
  const seconds = (Date.now() - started) / 1000;
  const share = tally.labelled > 0 ? ` (${((100 * tally.right) / tally.labelled).toFixed(1)} % right)` : "";
  const failures = tally.failed > 0 ? `\n${tally.failed} failed; the last one: ${tally.lastFailure}` : "";
  return `In ${seconds.toFixed(1)} s: ${counts(tally)}${share}, ${median(tally)}. Confirmed by: ${whoConfirmed(tally)}.${failures}`;
}

const counts = ({ sent, answered, right, labelled }: Tally): string =>
  `sent ${sent}, answered ${answered}${labelled > 0 ? `, right ${right}` : ""}`;

function median({ latenciesMs }: Tally): string {
  const middle = latenciesMs.toSorted((a, b) => a - b)[Math.floor(latenciesMs.length / 2)];
  return middle === undefined ? "no answer yet" : `median ${middle.toFixed(middle < 10 ? 1 : 0)} ms`;
}

const whoConfirmed = ({ byBasis }: Tally): string =>
  [...byBasis].map(([basis, count]) => `${bases[basis] ?? basis} ${count}`).join(", ") || "nobody";

await main();
