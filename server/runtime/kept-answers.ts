import type { TaskId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import { type Tensor, tensorOf, toNumbers } from "../../shared/tensor.ts";
import { textTensors, tokensIn } from "../../shared/text-generation.ts";
import type { Clock, Millis } from "../../shared/time.ts";
import type { TaskOutcome } from "../core/events.ts";
import type { Exchange, ShownTensor } from "../store/case-records.ts";
import type { ModelText } from "../text/model-text.ts";
import type { LiveTask, TextPart } from "./live-task.ts";

/**
 * What was asked and answered, for as long as a customer is likely to report it (docs/operating.md): in memory alone, for a
 * day at most, the oldest given up first where the bytes run out. Of a report it goes into the case, and nowhere else.
 */
interface Kept {
  at: Millis;
  inputs: readonly Tensor[];
  outputs: readonly Tensor[];
  isText: boolean;
  bytes: number;
}

/** Numbers of one tensor that a reviewer is shown. */
const VALUES_SHOWN = 1_024;
const CHARACTERS_SHOWN = 65_536;

export class KeptAnswers {
  readonly #clock: Clock;
  /** Oldest first. */
  readonly #kept = new Map<TaskId, Kept>();
  readonly #parts = new Map<TaskId, Int32Array[]>();
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A piece of a text that its caller was given. */
  part(task: TaskId, { tokens }: TextPart): void {
    const parts = this.#parts.get(task);
    if (parts) parts.push(tokens);
    else this.#parts.set(task, [tokens]);
  }

  /** Passes an answer on to its caller, and keeps it. */
  reply({ result }: TaskOutcome, task: LiveTask | undefined): void {
    if (task && result.ok) this.delivered(task, result.outputs);
    task?.reply(result);
  }

  /** The caller has all of the answer; `outputs` are none for a text. */
  delivered({ spec }: LiveTask, outputs: readonly Tensor[]): void {
    const isText = spec.text !== undefined;
    this.#keep(spec.task, spec.inputs, isText ? [this.#textOf(spec.task)] : outputs, isText);
  }

  /** What a text had come to when its caller went away. */
  committed({ tasks }: { tasks: ReadonlySet<LiveTask> }): void {
    for (const { spec, endedAt } of tasks) {
      if (endedAt === null || !this.#parts.has(spec.task)) continue;
      this.#keep(spec.task, spec.inputs, [this.#textOf(spec.task)], true);
    }
  }

  of(task: TaskId): Pick<Kept, "inputs" | "outputs" | "isText"> | null {
    this.#forget();
    return this.#kept.get(task) ?? null;
  }

  #textOf(task: TaskId): Tensor {
    const tokens = (this.#parts.get(task) ?? []).flatMap((part) => [...part]);
    this.#parts.delete(task);
    return tensorOf(textTensors.tokens, "int32", [tokens.length], Int32Array.from(tokens));
  }

  #keep(task: TaskId, inputs: readonly Tensor[], outputs: readonly Tensor[], isText: boolean): void {
    const bytes = [...inputs, ...outputs].reduce((sum, { data }) => sum + data.byteLength, 0);
    if (bytes > limits.keptAnswerBytes) return;
    this.#kept.set(task, { at: this.#clock.now(), inputs, outputs, isText, bytes });
    this.#bytes += bytes;
    this.#forget();
  }

  #forget(): void {
    const since = this.#clock.now() - limits.keptAnswersMs;
    for (const [task, { at, bytes }] of this.#kept) {
      const isOver = this.#bytes > limits.keptAnswersBytes || this.#kept.size > limits.keptAnswers;
      if (at > since && !isOver) break;
      this.#kept.delete(task);
      this.#bytes -= bytes;
    }
  }
}

/** As a reviewer reads it: a text as text where its model can spell it, else numbers. */
export function exchangeOf(
  { inputs, outputs, isText }: NonNullable<ReturnType<KeptAnswers["of"]>>,
  text: ModelText | null,
): Exchange {
  if (!isText || !text) return { kind: "tensors", inputs: inputs.map(shown), outputs: outputs.map(shown) };
  const spell = (tokens: Int32Array): string => {
    const decoder = text.decoder();
    return (decoder.push(tokens) + decoder.end()).slice(0, CHARACTERS_SHOWN);
  };
  const [prompt, output] = [tokensIn(inputs, textTensors.prompt), tokensIn(outputs, textTensors.tokens)];
  return { kind: "text", prompt: spell(prompt), output: spell(output), tokens: output.length };
}

function shown(tensor: Tensor): ShownTensor {
  const { name, dtype, shape } = tensor;
  const numbers = toNumbers(tensor);
  const values = [...numbers.slice(0, VALUES_SHOWN)].map((value) => (Number.isFinite(value) ? value : String(value)));
  return { name, dtype, shape: [...shape], elements: numbers.length, values };
}
