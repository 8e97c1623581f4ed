import { limits } from "../../shared/limits.ts";
import type { RunFailure } from "../../shared/miner-state.ts";
import type { WireTensor } from "../../shared/protocol.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { type Tensor, viewOf } from "../../shared/tensor.ts";
import { textTensors, tokensIn } from "../../shared/text-generation.ts";
import type { EngineFault, GeneratedPart, Ran } from "../worker/contract.ts";
import { fromWireTensors } from "./blobs.ts";
import type { UnsealedResult } from "./hub-link.ts";
import type { Pool } from "./pool.ts";
import type { PreparedModel } from "./preparing.ts";
import { commitmentOf, type Seal } from "./seal.ts";
import { TokenStream } from "./token-stream.ts";

export interface FinishedRun {
  done: string[];
  failed: RunFailure[];
  /** Milliseconds of each done item. */
  computeMs: number[];
  /** Outputs of which every element is equal. */
  constant: string[];
}

/**
 * What is at hand: inputs of assignments until they are run, tokens and outputs until nobody can ask for them again.
 */
export class Workbench {
  readonly #inputs = new Map<string, WireTensor[]>();
  readonly #results = new Map<string, UnsealedResult>();
  readonly #streams = new Map<string, TokenStream>();
  /** Of the generations under way, by their runs. */
  readonly #making = new Map<number, TokenStream>();
  readonly #runs = new Set<number>();

  hold(assignment: string, inputs: WireTensor[]): void {
    this.#inputs.set(assignment, inputs);
  }

  result(assignment: string): UnsealedResult {
    return this.#results.get(assignment) as UnsealedResult;
  }

  /** Of a generation that runs or has ended; null of anything else. */
  stream(assignment: string): TokenStream | null {
    return this.#streams.get(assignment) ?? null;
  }

  forget(assignments: readonly string[]): void {
    for (const assignment of assignments) {
      this.#streams.delete(assignment);
      this.#inputs.delete(assignment);
      this.#results.delete(assignment);
    }
  }

  abort(run: number): void {
    this.#runs.delete(run);
  }

  clear(): void {
    this.#inputs.clear();
    this.#results.clear();
    this.#streams.clear();
    this.#making.clear();
    this.#runs.clear();
  }

  /** Computes the assignments and keeps their results; null where the run was aborted meanwhile. */
  async run(
    run: number,
    assignments: readonly string[],
    model: PreparedModel,
    pool: Pool,
    seal: Seal | null,
  ): Promise<FinishedRun | null> {
    this.#runs.add(run);
    const finished: FinishedRun = { done: [], failed: [], computeMs: [], constant: [] };
    const ready: string[] = [];
    const items: Tensor[][] = [];
    for (const assignment of assignments) {
      const inputs = await fromWireTensors(this.#inputs.get(assignment) ?? [], seal);
      if (inputs.ok) {
        ready.push(assignment);
        items.push(inputs.value);
      } else {
        finished.failed.push({ assignment, fault: "invalid-input", message: inputs.error.slice(0, 500) });
      }
    }
    const ran = items.length > 0 ? await pool.run(model.pooled, items, run) : ok([]);
    if (!this.#runs.delete(run)) {
      this.forget(assignments);
      return null;
    }
    for (const [i, assignment] of ready.entries()) {
      const checked = ran.ok
        ? check(assignment, ran.value[i], model)
        : err({ assignment, fault: ran.error.fault, message: ran.error.message });
      if (!checked.ok) {
        finished.failed.push(checked.error);
        continue;
      }
      const { outputs, computeMs, constant } = checked.value;
      this.#results.set(assignment, { assignment, outputs, computeMs, commitment: commitmentOf(outputs) });
      finished.done.push(assignment);
      finished.computeMs.push(computeMs);
      finished.constant.push(...constant);
    }
    return finished;
  }

  /** Tokens as they come; the runs that have some to send. */
  generated(parts: readonly GeneratedPart[]): number[] {
    return parts.flatMap((part) => {
      const run = Number(part.job);
      return this.#making.get(run)?.push(part) ? [run] : [];
    });
  }

  /** Generates or scores for one assignment; `generated` hears that tokens came with its end. */
  async text(
    run: number,
    mode: "generate" | "score",
    assignment: string,
    model: PreparedModel,
    pool: Pool,
    seal: Seal | null,
    generated: () => void,
  ): Promise<FinishedRun | null> {
    this.#runs.add(run);
    const stream = mode === "generate" ? new TokenStream(assignment) : null;
    if (stream) {
      this.#streams.set(assignment, stream);
      this.#making.set(run, stream);
    }
    const inputs = await fromWireTensors(this.#inputs.get(assignment) ?? [], seal);
    const ran = inputs.ok
      ? await pool.text(model.pooled, mode, inputs.value, run)
      : err({ fault: "invalid-input" as const, message: inputs.error });
    this.#making.delete(run);
    if (!this.#runs.has(run)) {
      this.forget([assignment]);
      return null;
    }
    const finished: FinishedRun = { done: [], failed: [], computeMs: [], constant: [] };
    const sick = ran.ok && mode === "generate" ? ran.value.nonFinite : [];
    if (!ran.ok || sick.length > 0) {
      const fault = ran.ok ? "run-failed" : ran.error.fault;
      const message = ran.ok ? `outputs that are not finite: ${sick.join(", ")}` : ran.error.message;
      finished.failed.push({ assignment, fault, message: message.slice(0, 500) });
    } else {
      const { outputs, computeMs } = ran.value;
      const probabilities = outputs.find(({ name }) => name === textTensors.logProbabilities);
      const all = {
        tokens: tokensIn(outputs, textTensors.tokens),
        logProbabilities: (probabilities ? viewOf(probabilities) : new Float32Array(0)) as Float32Array,
      };
      if (stream?.push({ position: 0, ...all })) generated();
      this.#results.set(assignment, { assignment, outputs, computeMs, commitment: commitmentOf(outputs) });
      finished.done.push(assignment);
      finished.computeMs.push(computeMs);
    }
    this.#runs.delete(run);
    return finished;
  }
}

function check(
  assignment: string,
  result: Result<Ran, EngineFault> | undefined,
  { manifest }: PreparedModel,
): Result<Ran, RunFailure> {
  const failed = (message: string) => err({ assignment, fault: "run-failed" as const, message: message.slice(0, 500) });
  if (!result) return failed("the worker gave no answer");
  if (!result.ok) return err({ assignment, fault: result.error.fault, message: result.error.message });
  const { nonFinite, outputs } = result.value;
  if (nonFinite.length > 0 && !manifest.nonFiniteOutputs) {
    return failed(`outputs that are not finite: ${nonFinite.join(", ")}`);
  }
  const large = outputs.find(({ data }) => data.byteLength > limits.blobBytes);
  if (large) return failed(`output ${large.name} is of ${large.data.byteLength} bytes, more than ${limits.blobBytes}`);
  return ok(result.value);
}
