import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { errorCodes, failure, type TabgridError, TabgridFailure } from "../../../shared/errors.ts";
import type { CustomerId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { BatchEndpoint } from "../../../shared/openai-batch-api.ts";
import { err, ok, type Result } from "../../../shared/result.ts";
import type { Clock } from "../../../shared/time.ts";
import type { BatchRecord, BatchState, BatchStore } from "../../store/batch-store.ts";
import { fault, openAiError } from "../error-reply.ts";
import { type BatchInput, batchInputs, checkBatchInput } from "./batch-input.ts";
import type { Call } from "./context.ts";
import type { FileShelf } from "./file-shelf.ts";

export interface BatchRunnerParts {
  batches: BatchStore;
  shelf: FileShelf;
  clock: Clock;
  log: Pick<Logger, "error">;
  /** Answers one line as its endpoint would. */
  answer(endpoint: BatchEndpoint, call: Call<Record<string, unknown>>): Promise<Result<object, TabgridError>>;
  /** Milliseconds from creation to expiry. */
  windowMs?: number;
}

/** Lines of one batch that are under way at once; the hub gives way to whoever waits. */
const LINES_AT_ONCE = 8;
/** What another try may cure: until the window ends, such a line waits. */
const passing: ReadonlySet<TabgridError["code"]> = new Set([
  "queue-full",
  "no-capable-miner",
  "shutting-down",
  "deadline-missed",
]);
const RETRY_SECONDS = 5;
const FILE_PAGE = 100;

type Why = "closing" | "cancelled" | "expired";

/**
 * Runs batches in the background (states: server/store/batch-store.ts). Each answer is kept as it comes, so a hub that
 * starts again goes on where it was; a line whose answer came but was not kept yet when the hub died runs again.
 */
export class BatchRunner {
  readonly #parts: BatchRunnerParts;
  readonly #running = new Map<string, { ended: Promise<void>; stop: (why: Why) => void }>();

  constructor(parts: BatchRunnerParts) {
    this.#parts = parts;
  }

  /** Goes on with what was open when the hub last ended. */
  async start(): Promise<void> {
    for (const batch of await this.#parts.batches.open()) this.#begin(batch);
  }

  /** Stops; what is open goes on at the next start. */
  async close(): Promise<void> {
    const running = [...this.#running.values()];
    for (const { stop } of running) stop("closing");
    await Promise.all(running.map(({ ended }) => ended));
  }

  async create(
    customer: CustomerId,
    asked: { endpoint: BatchEndpoint; inputFile: string; metadata: Record<string, string> | null },
  ): Promise<Result<BatchRecord, TabgridError>> {
    const { batches, shelf, clock, windowMs = limits.batchWindowMs } = this.#parts;
    const file = await shelf.records.get(asked.inputFile, customer);
    if (!file) {
      const detail = { field: "input_file_id", got: asked.inputFile };
      return err(failure("unknown-file", `unknown file: ${asked.inputFile}`, detail));
    }
    if (file.purpose !== "batch") return fault("invalid-request", "input_file_id", "a file for batches", file.purpose);
    const open = (await batches.open()).filter((batch) => batch.customer === customer).length;
    if (open >= limits.batchesOpen) {
      const expected = `at most ${limits.batchesOpen} open batches`;
      return err(failure("rate-limited", `expected ${expected}`, { expected, got: String(open), retryAfter: 60 }));
    }
    const now = clock.now();
    const batch: BatchRecord = {
      id: `batch_${randomBytes(18).toString("base64url")}`,
      customer,
      ...asked,
      state: "validating",
      createdAt: now,
      expiresAt: now + windowMs,
      enteredAt: {},
      counts: { total: 0, completed: 0, failed: 0 },
      outputFile: null,
      errorFile: null,
      errors: [],
    };
    await batches.put(batch);
    this.#begin(batch);
    return ok(structuredClone(batch));
  }

  /** What is under way ends; what was answered is kept. */
  async cancel(id: string, customer: CustomerId): Promise<Result<BatchRecord, TabgridError>> {
    const batch = await this.#parts.batches.get(id, customer);
    if (!batch) return err(failure("unknown-batch", `unknown batch: ${id}`, { field: "batch_id", got: id }));
    const running = this.#running.get(id);
    if (!running || !(batch.state === "validating" || batch.state === "in_progress")) {
      return fault("wrong-state", "batch_id", "a batch that is validating or in progress", batch.state);
    }
    running.stop("cancelled");
    return ok({
      ...batch,
      state: "cancelling",
      enteredAt: { ...batch.enteredAt, cancelling: this.#parts.clock.now() },
    });
  }

  #begin(batch: BatchRecord): void {
    const stopped = new AbortController();
    const left = Math.max(0, batch.expiresAt - this.#parts.clock.now());
    const timer = setTimeout(() => stopped.abort("expired" satisfies Why), left);
    timer.unref();
    const ended = this.#run(batch, stopped)
      .catch(async (error) => {
        this.#parts.log.error({ err: error, batch: batch.id }, "a batch failed");
        batch.errors = [
          { code: "internal", message: "its files could not be read or written", param: null, line: null },
        ];
        await this.#enter(batch, "failed");
      })
      .catch((error) => this.#parts.log.error({ err: error, batch: batch.id }, "a batch could not be kept"))
      .finally(() => {
        clearTimeout(timer);
        this.#running.delete(batch.id);
      });
    this.#running.set(batch.id, { ended, stop: (why) => stopped.abort(why) });
  }

  async #run(batch: BatchRecord, stopped: AbortController): Promise<void> {
    const { shelf, batches } = this.#parts;
    const why = () => (stopped.signal.aborted ? (stopped.signal.reason as Why) : null);
    if (batch.state === "validating") {
      const { total, faults } = await checkBatchInput(shelf.read(batch.inputFile), batch.endpoint);
      batch.counts.total = total;
      if (faults.length > 0) {
        batch.errors = faults;
        return this.#enter(batch, "failed");
      }
      await this.#enter(batch, "in_progress");
    }
    if (batch.state === "in_progress") {
      const answered = await batches.answered(batch.id);
      const failed = [...answered.values()].filter(Boolean).length;
      batch.counts = { ...batch.counts, completed: answered.size - failed, failed };
      const waiting = batchInputs(shelf.read(batch.inputFile), batch.endpoint);
      const lane = async () => {
        for (let next = await waiting.next(); !next.done && why() === null; next = await waiting.next()) {
          if (!answered.has(next.value.line)) await this.#answer(batch, next.value, stopped.signal);
        }
      };
      await Promise.all(Array.from({ length: LINES_AT_ONCE }, lane));
      await waiting.return(undefined);
      if (why() === "closing") return;
      await this.#enter(batch, why() === "cancelled" ? "cancelling" : "finalizing");
    }
    await this.#finalize(batch);
  }

  async #answer(batch: BatchRecord, input: BatchInput, signal: AbortSignal): Promise<void> {
    const endpoint = batch.endpoint as BatchEndpoint;
    const call = { customer: batch.customer, body: input.body, signal, preemptible: true };
    let answer = await this.#try(endpoint, call);
    while (!answer.ok && passing.has(answer.error.code) && !signal.aborted) {
      const waitMs = (answer.error.retryAfter ?? RETRY_SECONDS) * 1000;
      await sleep(waitMs, undefined, { signal, ref: false }).catch(() => {});
      if (!signal.aborted) answer = await this.#try(endpoint, call);
    }
    // A line that was broken off has no answer: it runs at the next start, or is told as not run.
    if (!answer.ok && signal.aborted) return;
    const status = answer.ok ? 200 : errorCodes[answer.error.code];
    const body = answer.ok ? answer.value : openAiError(answer.error);
    const reply = lineReply(input.customId, { status_code: status, request_id: requestId(), body }, null);
    batch.counts[answer.ok ? "completed" : "failed"]++;
    await this.#parts.batches.addLine(batch, { line: input.line, isError: !answer.ok, reply });
  }

  /** A fault of the hub ends one line, not the batch. */
  async #try(endpoint: BatchEndpoint, call: Call<Record<string, unknown>>): Promise<Result<object, TabgridError>> {
    try {
      return await this.#parts.answer(endpoint, call);
    } catch (error) {
      if (error instanceof TabgridFailure) return err(error.error);
      this.#parts.log.error({ err: error, endpoint }, "a batch's request failed");
      return err(failure("internal", "the hub failed"));
    }
  }

  /** Writes the files. Their ids follow from the batch's, so that doing it again after a crash replaces them. */
  async #finalize(batch: BatchRecord): Promise<void> {
    const { shelf, batches, clock } = this.#parts;
    const isCancelled = batch.state === "cancelling";
    const answered = await batches.answered(batch.id);
    const isOver = answered.size === batch.counts.total;
    const notRun = batch.counts.total - answered.size;
    const reason = isCancelled ? "cancelled" : "expired";
    const name = batch.id.slice("batch_".length);
    const { customer } = batch;
    if (batch.counts.completed > 0) {
      const file = { id: `file-${name}-o`, customer, filename: `${batch.id}_output.jsonl` };
      batch.outputFile = (await shelf.write({ ...file, purpose: "batch_output" }, this.#lines(batch, false))).id;
    }
    if (answered.size > batch.counts.completed || notRun > 0) {
      const file = { id: `file-${name}-e`, customer, filename: `${batch.id}_error.jsonl` };
      const lines = this.#errorLines(batch, answered, reason);
      batch.errorFile = (await shelf.write({ ...file, purpose: "batch_output" }, lines)).id;
    }
    batch.counts.failed = batch.counts.total - batch.counts.completed;
    batch.enteredAt.finalizing ??= clock.now();
    await this.#enter(batch, isCancelled ? "cancelled" : isOver ? "completed" : "expired");
    await batches.removeLines(batch.id);
  }

  async *#lines(batch: BatchRecord, isError: boolean): AsyncGenerator<string> {
    let after = 0;
    for (;;) {
      const page = await this.#parts.batches.lines(batch.id, isError, after, FILE_PAGE);
      for (const { reply } of page) yield `${reply}\n`;
      const last = page.at(-1);
      if (!last) return;
      after = last.line;
    }
  }

  async *#errorLines(
    batch: BatchRecord,
    answered: ReadonlyMap<number, boolean>,
    reason: string,
  ): AsyncGenerator<string> {
    yield* this.#lines(batch, true);
    if (answered.size === batch.counts.total) return;
    const error = {
      code: `batch_${reason}`,
      message: `this request was not run before the batch ${reason === "expired" ? "expired" : "was cancelled"}`,
    };
    for await (const input of batchInputs(this.#parts.shelf.read(batch.inputFile), batch.endpoint)) {
      if (!answered.has(input.line)) yield `${lineReply(input.customId, null, error)}\n`;
    }
  }

  async #enter(batch: BatchRecord, state: BatchState): Promise<void> {
    batch.state = state;
    batch.enteredAt[state] = this.#parts.clock.now();
    await this.#parts.batches.put(batch);
  }
}

const requestId = (): string => `req_${randomBytes(16).toString("base64url")}`;

const lineReply = (
  customId: string,
  response: { status_code: number; request_id: string; body: object } | null,
  error: { code: string; message: string } | null,
): string =>
  JSON.stringify({ id: `batch_req_${randomBytes(18).toString("base64url")}`, custom_id: customId, response, error });
