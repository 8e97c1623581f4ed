import type { TextJob } from "../../shared/text-job.ts";
import type { Cache, CacheRow, DecoderSession } from "./decoder-session.ts";
import type { PrefixCache } from "./prefix-cache.ts";

/**
 * Runs many texts on one decoder. A text is first `reading` (its prompt, chunk by chunk, alone) and then `writing` (token by
 * token, in a batch with others); it joins and leaves a batch between two steps.
 */
export interface TextBatch {
  /** Resolves when the text is finished, cancelled or cannot go on. */
  add(text: BatchedText): Promise<TextOutcome>;
}

export interface BatchedText {
  job: TextJob;
  /** Asked between two steps. */
  cancelled(): boolean;
}

export type TextOutcome =
  | { kind: "finished" | "cancelled"; computeMs: number }
  /** The text's own fault: `why`. */
  | { kind: "refused"; why: string }
  /** The run failed, for all texts in it. */
  | { kind: "failed"; error: unknown };

export interface BatchLimits {
  /** Most texts in one step. */
  rows: number;
  /** Whether texts of unlike lengths may share a step. */
  padded: boolean;
  /** Most tokens of a prompt in one run. */
  chunk: number;
}

interface Live extends BatchedText {
  resolve(outcome: TextOutcome): void;
  computeMs: number;
  /** Tokens of the text that its cache holds. */
  cached: number;
  /** Its own cache while it is reading; afterwards it is a row of its group's. */
  cache: Cache | null;
}

interface Group {
  cache: Cache;
  texts: Live[];
}

/** A message that comes in must not wait longer: a cancellation, or the next text. */
const PAUSE_MS = 10;
/**
 * What is made in so short a while is shown together, of all texts: a message per token costs more than the token, and
 * nobody reads faster for it.
 */
const TOGETHER_MS = 50;
/** Tokens of prompts that are read between two steps of those who write. */
const READ_AHEAD = 256;

/**
 * @param stepper runs the steps, on the caches of the session that reads
 * @param show hears of texts that have come further: of each when its first token is there, of all every 50 ms, and of
 * those that end
 */
export function createTextBatch(
  session: DecoderSession,
  stepper: DecoderSession,
  limits: BatchLimits,
  kept: PrefixCache,
  show: (jobs: TextJob[]) => void,
): TextBatch {
  const { aligned } = stepper.graph;
  let reading: Live[] = [];
  /** Have read all, and join a group before the next step. */
  let joining: Live[] = [];
  let groups: Group[] = [];
  let running = false;
  let pausedAt = 0;
  let shownAt = 0;

  const startOf = (width: number, length: number) => (aligned === "start" ? 0 : width - length);

  /** The group's caches of these texts in one, as wide as the longest. */
  function gather(parts: { text: Live; cache: Cache; row: number }[]): Cache {
    const width = Math.max(...parts.map(({ text }) => text.cached));
    return session.arrange(
      parts.map(({ text, cache, row }): CacheRow => {
        const length = text.cached;
        return { cache, row, from: startOf(cache.width, length), length, at: startOf(width, length) };
      }),
      width,
    );
  }

  async function read(text: Live): Promise<"reading" | "writing" | "over"> {
    if (text.cancelled()) return end(text, { kind: "cancelled", computeMs: text.computeMs });
    const ask = text.job.next(text.cached, limits.chunk);
    if (!ask) return end(text, { kind: "finished", computeMs: text.computeMs });
    if (ask.tokens.length === 1 && text.cached > 0 && text.cache) return "writing";
    const columns = ask.tokens.length;
    const startedAt = performance.now();
    const past = text.cache;
    const stepped = await session.run({
      rows: 1,
      columns,
      ids: ask.tokens,
      mask: new Int32Array(text.cached + columns).fill(1),
      positions: Int32Array.from({ length: columns }, (_, at) => text.cached + at),
      past,
      keep: Math.max(1, ask.wanted),
    });
    if (past) session.release(past);
    text.cache = stepped.present;
    text.cached += columns;
    const skipped = stepped.kept - ask.wanted;
    const vocabulary = stepped.logits.length / stepped.kept;
    const fault = text.job.accept(stepped.logits.subarray(skipped * vocabulary), stepped.sums?.subarray(skipped));
    text.computeMs += performance.now() - startedAt;
    if (fault !== null) return end(text, { kind: "refused", why: fault });
    return "reading";
  }

  /** Ends a text that is reading. */
  function end(text: Live, outcome: TextOutcome): "over" {
    if (text.cache && outcome.kind === "finished") kept.put(text.job.text.slice(0, text.cached), text.cache);
    else if (text.cache) session.release(text.cache);
    text.cache = null;
    show([text.job]);
    text.resolve(outcome);
    return "over";
  }

  async function readSome(): Promise<void> {
    for (let budget = READ_AHEAD; budget > 0 && reading.length > 0; ) {
      const text = reading[0] as Live;
      const before = text.cached;
      const state = await read(text);
      budget -= Math.max(1, text.cached - before);
      if (state === "reading") continue;
      reading.shift();
      if (state !== "writing") continue;
      joining.push(text);
      show([text.job]);
    }
    while (joining.length > 0) join();
  }

  /** The first that waits and all that may share its step, into a group that has room or into a new one. */
  function join(): void {
    const { cached } = joining[0] as Live;
    const alike = (text: Live | undefined) => limits.padded || text?.cached === cached;
    const group = groups.find(({ texts }) => texts.length < limits.rows && alike(texts[0]));
    const fresh = joining.filter(alike).slice(0, limits.rows - (group?.texts.length ?? 0));
    joining = joining.filter((text) => !fresh.includes(text));
    const parts = [
      ...(group?.texts ?? []).map((text, row) => ({ text, cache: (group as Group).cache, row })),
      ...fresh.map((text) => ({ text, cache: text.cache as Cache, row: 0 })),
    ];
    const cache = parts.length === 1 ? (fresh[0]?.cache as Cache) : gather(parts);
    const texts = parts.map(({ text }) => text);
    if (parts.length > 1)
      for (const { cache: old } of [...(group ? [group] : []), ...fresh]) session.release(old as Cache);
    for (const text of fresh) text.cache = null;
    if (group) Object.assign(group, { cache, texts });
    else groups.push({ cache, texts });
  }

  async function step(group: Group): Promise<void> {
    const { cache, texts } = group;
    const startedAt = performance.now();
    const rows = texts.length;
    const width = cache.width + 1;
    const ids = new Int32Array(rows);
    const positions = new Int32Array(rows);
    const mask = new Int32Array(rows * width);
    for (const [row, text] of texts.entries()) {
      ids[row] = text.job.next(text.cached, 1)?.tokens[0] as number;
      positions[row] = text.cached;
      const start = row * width + startOf(width, text.cached + 1);
      mask.fill(1, start, start + text.cached + 1);
    }
    const stepped = await stepper.run({ rows, columns: 1, ids, mask, positions, past: cache, keep: 1 });
    session.release(cache);
    group.cache = stepped.present;
    const vocabulary = stepped.logits.length / rows;
    const outcomes = texts.map((text, row): TextOutcome | null => {
      text.cached += 1;
      const logits = stepped.logits.subarray(row * vocabulary, (row + 1) * vocabulary);
      const fault = text.job.accept(logits, stepped.sums?.subarray(row, row + 1));
      if (fault !== null) return { kind: "refused", why: fault };
      if (!text.job.next(text.cached, 1)) return { kind: "finished", computeMs: 0 };
      return text.cancelled() ? { kind: "cancelled", computeMs: 0 } : null;
    });
    const ms = (performance.now() - startedAt) / rows;
    for (const text of texts) text.computeMs += ms;
    if (outcomes.some((outcome) => outcome)) leave(group, outcomes);
  }

  function leave(group: Group, outcomes: readonly (TextOutcome | null)[]): void {
    const { cache, texts } = group;
    const parts = texts.map((text, row) => ({ text, cache, row }));
    const staying = parts.filter((_, row) => !outcomes[row]);
    show(texts.filter((_, row) => outcomes[row]).map(({ job }) => job));
    for (const { text, row } of parts) {
      const outcome = outcomes[row];
      if (!outcome) continue;
      if (outcome.kind === "finished") kept.put(text.job.text.slice(0, text.cached), gather([{ text, cache, row }]));
      text.resolve("computeMs" in outcome ? { ...outcome, computeMs: text.computeMs } : outcome);
    }
    group.texts = staying.map(({ text }) => text);
    if (staying.length > 0) group.cache = gather(staying);
    session.release(cache);
  }

  function fail(error: unknown): void {
    const all = [...reading, ...joining, ...groups.flatMap(({ texts }) => texts)];
    [reading, joining, groups] = [[], [], []];
    for (const text of all) text.resolve({ kind: "failed", error });
  }

  async function run(): Promise<void> {
    running = true;
    pausedAt = performance.now();
    try {
      while (reading.length > 0 || groups.length > 0) {
        await readSome();
        for (const group of groups) await step(group);
        groups = groups.filter(({ texts }) => texts.length > 0);
        if (performance.now() - pausedAt < PAUSE_MS) continue;
        if (performance.now() - shownAt >= TOGETHER_MS) {
          shownAt = performance.now();
          show(groups.flatMap(({ texts }) => texts.map(({ job }) => job)));
        }
        await macrotask();
        pausedAt = performance.now();
      }
    } catch (error) {
      fail(error);
    } finally {
      running = false;
    }
  }

  return {
    add(text) {
      return new Promise((resolve) => {
        const found = kept.take(text.job.text, text.job.reusable);
        reading.push({ ...text, resolve, computeMs: 0, cached: found?.length ?? 0, cache: found?.cache ?? null });
        if (!running) void run();
      });
    },
  };
}

const channel = new MessageChannel();
let wake = () => {};
channel.port1.onmessage = () => wake();

/** A turn of the event loop, so that messages come in; timers would wait 4 ms. */
const macrotask = (): Promise<void> =>
  new Promise((resolve) => {
    wake = resolve;
    channel.port2.postMessage(null);
  });
