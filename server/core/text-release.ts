import type { TabgridError } from "../../shared/errors.ts";
import type { AssignmentId } from "../../shared/ids.ts";
import type { FinishReason } from "../../shared/text-generation.ts";
import type { Standing, VerdictBasis } from "./events.ts";
import { move, type OpenTask, type Step } from "./state.ts";
import { CHECK_PATIENCE_MS, type TextProgress, termsOf, truncate } from "./text.ts";
import { textPrice } from "./text-terms.ts";
import { inGoodStanding } from "./trust.ts";

/** What of a text its caller is given, and when it ends. */

/** A miner was given the text, from its next token on; whom the hub trusts needs no verdict before its caller reads. */
export function startMaking(task: OpenTask, text: TextProgress, assignment: AssignmentId, by: Standing): void {
  const isTrusted = task.spec.level === "fast" && inGoodStanding(by) && text.released === text.tokens.length;
  text.maker = { assignment, from: text.tokens.length, isTrusted };
}

/** Gives the caller the tokens before `upTo`; those whose alternatives it asked for once these are there. */
export function release(step: Step, task: OpenTask, text: TextProgress, upTo: number): void {
  const { topLogProbabilities } = termsOf(task);
  const from = text.released;
  const to = Math.min(upTo, topLogProbabilities > 0 ? text.top.length : text.tokens.length);
  if (to <= from || task.replied || task.origin.kind !== "customer") return;
  text.released = to;
  step.out.push({
    kind: "part",
    task: task.spec.task,
    part: {
      tokens: Int32Array.from(text.tokens.slice(from, to)),
      logProbabilities: Float32Array.from(text.logProbabilities.slice(from, to)),
      top: text.top.slice(from, to),
    },
  });
}

/** No more tokens come: the verdict may be drawn. */
export function finish(step: Step, task: OpenTask, text: TextProgress, reason: FinishReason): void {
  text.finish = reason;
  text.maker = null;
  text.aliveUntil = step.now + CHECK_PATIENCE_MS;
  if (task.state === "queued" || task.state === "assigned") move(step, task, "answered", `${reason}: ${countOf(text)}`);
}

/** The text ends in the middle: what the caller has is all of it, and is what it pays. */
export function cutShort(
  step: Step,
  task: OpenTask,
  text: TextProgress,
  end: { reason: FinishReason; delivered: number; error: TabgridError | null },
): void {
  truncate(task, text, end.delivered);
  text.released = Math.min(text.released, text.tokens.length);
  finish(step, task, text, end.reason);
  if (!end.error || task.replied) return;
  task.replied = true;
  step.out.push({ kind: "reply", outcome: { task: task.spec.task, result: { ok: false, error: end.error } } });
}

/** Answers the caller; what it does not have yet of the text goes first. */
export function replyText(step: Step, task: OpenTask, text: TextProgress, basis: VerdictBasis | "pending"): void {
  if (task.replied) return;
  release(step, task, text, text.tokens.length);
  task.replied = true;
  const { spec, runs } = task;
  step.out.push({
    kind: "reply",
    outcome: {
      task: spec.task,
      result: {
        ok: true,
        outputs: [],
        basis,
        executors: runs.length,
        text: {
          finish: text.finish ?? "length",
          tokens: text.tokens.length,
          price: textPrice(termsOf(task), spec.level, text.tokens.length),
        },
      },
    },
  });
}

const countOf = ({ tokens }: TextProgress): string => `${tokens.length} tokens`;
