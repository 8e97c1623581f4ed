import { type ChildProcess, fork } from "node:child_process";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Kernel } from "../../models/work.ts";
import { MIB } from "../../shared/limits.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { ChildReply, ChildRequest, ModelFiles } from "./messages.ts";

/**
 * The hub's side of the reference node: one capped child process, one request at a time. Whatever a model does there (hang,
 * trap, eat memory) ends that process and fails that request; the next request starts a new one.
 */
export interface ReferenceNode {
  /** Outputs exactly as ONNX Runtime gives them, in the graph's order. */
  run(model: ModelFiles, inputs: readonly Tensor[], timeoutMs: number): Promise<ReferenceResult<ReferenceRun>>;
  /** One piece of a text, outputs as shared/text-generation.ts says; of `generate` at most `most` tokens. */
  text(
    mode: "generate" | "score",
    model: ModelFiles,
    inputs: readonly Tensor[],
    most: number,
    timeoutMs: number,
  ): Promise<ReferenceResult<ReferenceRun>>;
  /** Every kernel of one run after constant folding, for `countWork`. */
  trace(model: ModelFiles, inputs: readonly Tensor[], timeoutMs: number): Promise<ReferenceResult<Kernel[]>>;
  /** Bytes that loading and one run of the model add to the heap of a fresh process. */
  footprint(model: ModelFiles, inputs: readonly Tensor[], timeoutMs: number): Promise<ReferenceResult<number>>;
  /** What computes here, for golden files. */
  readonly runtime: string;
  /** Resident bytes of the child after its last request; 0 while none runs. */
  readonly memoryBytes: number;
  /** Requests waiting or running. */
  readonly queueLength: number;
  /** Ends the child; whatever waits or runs fails as `crashed`. */
  close(): Promise<void>;
}

export interface ReferenceRun {
  outputs: Tensor[];
  runMs: number;
}

export interface ReferenceFault {
  code: "timeout" | "crashed" | "failed";
  message: string;
}
export type ReferenceResult<T> = Result<T, ReferenceFault>;

export interface ReferenceOptions {
  /** Resident memory at which the child is ended. */
  memoryLimitBytes?: number;
  /** Models kept loaded. */
  sessions?: number;
  /** For reading and preparing a model; a run has its own limit. */
  loadTimeoutMs?: number;
  /** 0–19, the higher the more it yields to others. */
  niceness?: number;
}

type Done = Extract<ChildReply, { kind: "done" }>;

const HEAP_MIB = 512;
const STDERR_CHARS = 2000;
const runtimeFolder = dirname(
  dirname(fileURLToPath(import.meta.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm"))),
);
const { version } = JSON.parse(readFileSync(join(runtimeFolder, "package.json"), "utf8")) as { version: string };

export function createReferenceNode(options: ReferenceOptions = {}): ReferenceNode {
  const { memoryLimitBytes = 3072 * MIB, sessions = 8, loadTimeoutMs = 60_000, niceness = 10 } = options;
  let child: ChildProcess | null = null;
  let memoryBytes = 0;
  let queueLength = 0;
  let closed = false;
  let last: Promise<unknown> = Promise.resolve();

  function start(): ChildProcess {
    const started = fork(
      fileURLToPath(new URL("child.ts", import.meta.url)),
      [JSON.stringify({ memoryLimitBytes, sessions, niceness })],
      {
        execArgv: [`--max-old-space-size=${HEAP_MIB}`, "--disable-warning=ExperimentalWarning"],
        serialization: "advanced",
        stdio: ["ignore", "ignore", "pipe", "ipc"],
      },
    );
    started.once("exit", () => {
      if (child !== started) return;
      child = null;
      memoryBytes = 0;
    });
    // A request in flight listens itself; whatever goes wrong between requests shows in the next one.
    started.on("error", () => undefined);
    // An idle child keeps nobody's process alive.
    started.unref();
    (started.stderr as Socket).unref();
    (started.channel as { unref?(): void } | null)?.unref?.();
    return started;
  }

  async function stop(): Promise<void> {
    const stopping = child;
    child = null;
    memoryBytes = 0;
    if (!stopping || stopping.exitCode !== null || stopping.signalCode !== null) return;
    await new Promise((resolve) => {
      stopping.once("exit", resolve);
      stopping.ref();
      stopping.kill("SIGKILL");
    });
  }

  /** One request to the child, which is started where needed and ended where it hangs. */
  async function ask(request: ChildRequest, timeoutMs: number): Promise<ReferenceResult<Done>> {
    if (closed) return err({ code: "crashed", message: "the reference node is closed" });
    child ??= start();
    const asked = child;
    asked.ref();
    return new Promise((resolve) => {
      let stderr = "";
      let timer: NodeJS.Timeout;
      const settle = (result: ReferenceResult<Done>) => {
        clearTimeout(timer);
        asked.off("message", onMessage);
        asked.off("close", onClose);
        asked.off("error", onError);
        asked.stderr?.off("data", onStderr);
        asked.unref();
        resolve(result);
      };
      const limit = (ms: number, what: string) => {
        clearTimeout(timer);
        timer = setTimeout(() => {
          void stop();
          settle(err({ code: "timeout", message: `${what} took longer than ${ms} ms` }));
        }, ms);
      };
      const onStderr = (chunk: Buffer) => {
        stderr = (stderr + chunk).slice(-STDERR_CHARS);
      };
      const onMessage = (reply: ChildReply) => {
        if (reply.kind === "started") return limit(timeoutMs, "the run");
        if (reply.kind === "failed") return settle(err({ code: "failed", message: reply.message }));
        memoryBytes = reply.rssBytes;
        settle(ok(reply));
      };
      const crash = (message: string) => settle(err({ code: "crashed", message }));
      const onClose = (code: number | null, signal: string | null) =>
        crash(`the process ended (${signal ?? `code ${code}`}) ${stderr.trim()}`.trim());
      const onError = (error: Error) => crash(error.message);
      asked.on("message", onMessage);
      asked.on("close", onClose);
      asked.on("error", onError);
      asked.stderr?.on("data", onStderr);
      limit(loadTimeoutMs, "loading the model");
      asked.send(request, (error) => {
        if (error) crash(error.message);
      });
    });
  }

  /** Serial: WebAssembly on one thread gains nothing from two requests at once. */
  function queued<T>(action: () => Promise<T>): Promise<T> {
    queueLength++;
    const result = last.then(action).finally(() => queueLength--);
    last = result.catch(() => undefined);
    return result;
  }

  const request = (kind: ChildRequest["kind"], model: ModelFiles, inputs: readonly Tensor[]): ChildRequest => ({
    kind,
    model,
    inputs: [...inputs],
  });

  return {
    run: (model, inputs, timeoutMs) =>
      queued(async () => {
        const reply = await ask(request("run", model, inputs), timeoutMs);
        return reply.ok ? ok({ outputs: reply.value.outputs, runMs: reply.value.runMs }) : reply;
      }),
    text: (mode, model, inputs, most, timeoutMs) =>
      queued(async () => {
        const reply = await ask({ kind: mode, model, inputs: [...inputs], most }, timeoutMs);
        return reply.ok ? ok({ outputs: reply.value.outputs, runMs: reply.value.runMs }) : reply;
      }),
    trace: (model, inputs, timeoutMs) =>
      queued(async () => {
        const reply = await ask(request("trace", model, inputs), timeoutMs);
        return reply.ok ? ok(reply.value.kernels) : reply;
      }),
    footprint: (model, inputs, timeoutMs) =>
      queued(async () => {
        await stop();
        const reply = await ask(request("run", model, inputs), timeoutMs);
        return reply.ok ? ok(reply.value.heapBytes - reply.value.heapBytesAtStart) : reply;
      }),
    runtime: `onnxruntime-web ${version} wasm, 1 thread`,
    get memoryBytes() {
      return memoryBytes;
    },
    get queueLength() {
      return queueLength;
    },
    async close() {
      closed = true;
      await stop();
    },
  };
}
