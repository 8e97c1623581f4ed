import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import * as msgpack from "socket.io-msgpack-parser";
import { createReferenceNode } from "../server/reference/node.ts";
import { commitmentOf, WireMiner, type WireMinerOptions } from "../server/sim/wire-miner.ts";
import { limits } from "../shared/limits.ts";
import type { Assign } from "../shared/protocol.ts";
import { assert } from "../shared/result.ts";
import type { Tensor } from "../shared/tensor.ts";

/**
 * The other process of the hub bench: miners that know their answers beforehand, and the peers of a bare echo. The answers
 * are right: they come from the WebAssembly runtime that browsers use too, before the measured time or, for the few inputs
 * that the hub makes up as it goes (canaries), within it.
 */
export type Ask =
  /** Makes identities and learns the answers; the public keys go back. */
  | { kind: "make"; url: string; miners: number; pictures: Tensor[] }
  /** Connects the miners. */
  | { kind: "join" }
  | { kind: "echo"; url: string; parser: Parser; sockets: number }
  /** What happened since the last time. */
  | { kind: "count" };
export type Parser = "msgpack" | "default";

export interface Counts {
  messages: number;
  items: number;
  refusals: number;
  /** Median milliseconds from an assignment's arrival to its result's departure. */
  ownMs: number;
  cpuMs: number;
}

const JOINING_AT_ONCE = 50;
/** A /24 of its own for each, none of them private. */
const addressOf = (index: number): string => `20.${index >> 8}.${index & 255}.1`;

const runtime = createReferenceNode();
const answers = new Map<string, Promise<Tensor[]> | Tensor[]>();
let miners: BenchMiner[] = [];
let messages = 0;
let items = 0;
let own: number[] = [];
let cpu = process.cpuUsage();

function compute(model: string, inputs: Tensor[]): Promise<Tensor[]> | Tensor[] {
  const key = `${model} ${Buffer.from(commitmentOf(inputs)).toString("base64")}`;
  const known = answers.get(key);
  if (known) return known;
  const computed = infer(model, inputs).then((outputs) => {
    answers.set(key, outputs);
    return outputs;
  });
  answers.set(key, computed);
  return computed;
}

async function infer(model: string, inputs: Tensor[]): Promise<Tensor[]> {
  const graph = new URL(`../models/${model.slice(0, model.lastIndexOf("@"))}/model.onnx`, import.meta.url);
  const run = await runtime.run({ key: model, graphPath: fileURLToPath(graph) }, inputs, 10_000);
  assert(run.ok, `${model} runs`);
  return run.value.outputs;
}

class BenchMiner extends WireMiner {
  readonly #arrivedAt = new Map<string, number>();

  constructor(options: WireMinerOptions) {
    super(options);
    this.on("assigned", (message: Assign) => {
      messages++;
      items += message.items.length;
      const now = performance.now();
      for (const { assignment } of message.items) this.#arrivedAt.set(assignment, now);
    });
  }

  override answer(assignment: string, outputs: Tensor[]): void {
    super.answer(assignment, outputs);
    own.push(performance.now() - (this.#arrivedAt.get(assignment) as number));
    this.#arrivedAt.delete(assignment);
  }
}

async function make({ url, miners: many, pictures }: Extract<Ask, { kind: "make" }>): Promise<string[]> {
  for (const picture of pictures) await compute("digits@1", [picture]);
  const chainEveryMs = limits.chainEveryMs;
  miners = Array.from(
    { length: many },
    (_, index) => new BenchMiner({ url, compute, address: addressOf(index), chainEveryMs }),
  );
  return miners.map(({ publicKey }) => publicKey.toString("base64"));
}

async function join(): Promise<void> {
  for (let from = 0; from < miners.length; from += JOINING_AT_ONCE) {
    await Promise.all(miners.slice(from, from + JOINING_AT_ONCE).map((miner) => miner.connect()));
  }
}

/** Answers each message with one of a result's size, and does nothing else. */
async function echo({ url, parser, sockets }: Extract<Ask, { kind: "echo" }>): Promise<void> {
  const outputs = [{ name: "logits", dtype: "float32", shape: [1, 10], data: Buffer.alloc(40, 7) }];
  const mac = Buffer.alloc(32, 9);
  const connect = () => {
    const options = parser === "msgpack" ? { parser: msgpack } : {};
    const socket = io(url, { ...options, transports: ["websocket"], reconnection: false, forceNew: true });
    let seq = 0;
    socket.on("assign", (message: Assign) => {
      const assignment = message.items[0]?.assignment;
      socket.emit("result", { items: [{ assignment, seq: ++seq, outputs, mac, computeMs: 1 }] });
    });
    return new Promise((resolve, reject) => {
      socket.once("connect", () => resolve(null));
      socket.once("connect_error", reject);
    });
  };
  for (let left = sockets; left > 0; left -= JOINING_AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(left, JOINING_AT_ONCE) }, connect));
  }
}

function count(): Counts {
  const spent = process.cpuUsage(cpu);
  const refusals = miners.reduce((sum, miner) => sum + miner.refusals.length, 0);
  const ownMs = own.sort((a, b) => a - b)[own.length >> 1] ?? 0;
  const counts = { messages, items, refusals, ownMs, cpuMs: (spent.user + spent.system) / 1_000 };
  [messages, items, own, cpu] = [0, 0, [], process.cpuUsage()];
  return counts;
}

function answerTo(ask: Ask): Promise<unknown> | unknown {
  if (ask.kind === "make") return make(ask);
  if (ask.kind === "join") return join();
  if (ask.kind === "echo") return echo(ask);
  return count();
}

process.on("message", async (ask: Ask) => {
  try {
    process.send?.({ value: await answerTo(ask) });
  } catch (error) {
    process.send?.({ error: String(error) });
  }
});
process.on("disconnect", async () => {
  await runtime.close();
  process.exit();
});
