import { overlap } from "./stop-text.ts";
import type { ToolPlan } from "./tool-prompt.ts";

/**
 * Reads function calls out of what a model writes, as it comes. Models mark calls in the ways of the templates they were
 * trained with: `<tool_call>…</tool_call>` (Hermes, Qwen), `[TOOL_CALLS]…` (Mistral), `<|python_tag|>…` or bare JSON
 * (Llama). Text that only looks like a call, or names no given function, stays text.
 */

export type Piece =
  | { kind: "text"; text: string }
  | { kind: "call"; name: string }
  | { kind: "arguments"; text: string };

export interface TextReader {
  /** The caller needs no more: all calls it allows are there. */
  readonly enough: boolean;
  push(text: string): Piece[];
  end(): Piece[];
}

export function textReader(plan: ToolPlan | null): TextReader {
  if (!plan) return plain;
  if (plan.choice === "auto") return new CallFinder(plan);
  return plan.choice === "any" ? new CallFinder({ ...plan, parallel: false }) : new OneCall(plan.choice.name);
}

const textPiece = (text: string): Piece[] => (text === "" ? [] : [{ kind: "text", text }]);
const plain: TextReader = { enough: false, push: textPiece, end: () => [] };

/** All of the text is the arguments of one function. */
class OneCall implements TextReader {
  readonly enough = false;
  #name: string | null;

  constructor(name: string) {
    this.#name = name;
  }

  push(text: string): Piece[] {
    if (text === "") return [];
    const start: Piece[] = this.#name === null ? [] : [{ kind: "call", name: this.#name }];
    this.#name = null;
    return [...start, { kind: "arguments", text }];
  }

  end(): Piece[] {
    return [];
  }
}

/** How a call begins, and how it ends; null: with the text. */
const marks: { open: string; close: string | null }[] = [
  { open: "<tool_call>", close: "</tool_call>" },
  { open: "[TOOL_CALLS]", close: null },
  { open: "<|python_tag|>", close: null },
];

class CallFinder implements TextReader {
  enough = false;
  readonly #plan: ToolPlan;
  #held = "";
  /** The mark that opened what is held; `bare` is JSON without one. */
  #open: (typeof marks)[number] | "bare" | null = null;
  #isStart = true;

  constructor(plan: ToolPlan) {
    this.#plan = plan;
  }

  push(text: string): Piece[] {
    if (this.enough) return [];
    this.#held += text;
    const pieces: Piece[] = [];
    while (!this.enough) {
      const found = this.#open === null ? this.#outside() : this.#inside();
      if (!found) break;
      pieces.push(...found);
    }
    return pieces;
  }

  end(): Piece[] {
    if (this.enough || this.#held === "") return [];
    const body = this.#open === null || this.#open === "bare" ? this.#held : this.#held.slice(this.#open.open.length);
    const calls = this.#open === null ? null : this.#calls(body);
    return calls ?? textPiece(this.#held);
  }

  /** Lets text go up to the next mark; null where more is needed to go on. */
  #outside(): Piece[] | null {
    const visible = this.#held.trimStart();
    if (this.#isStart && visible === "") return null;
    if (this.#isStart && /^[[{]/.test(visible) && !marks.some(({ open }) => open.startsWith(visible.slice(0, 2)))) {
      this.#open = "bare";
      return [];
    }
    const next = marks
      .flatMap((mark) => {
        const at = this.#held.indexOf(mark.open);
        return at < 0 ? [] : [{ mark, at }];
      })
      .sort((a, b) => a.at - b.at)[0];
    if (next) {
      const before = this.#held.slice(0, next.at).trimEnd();
      this.#held = this.#held.slice(next.at);
      this.#open = next.mark;
      return textPiece(before);
    }
    // A mark may have begun, and space before one is none of the answer.
    const begun = Math.max(...marks.map(({ open }) => overlap(this.#held, open)));
    const certain = this.#held.slice(0, this.#held.length - begun).trimEnd();
    if (certain === "") return null;
    this.#isStart = false;
    this.#held = this.#held.slice(certain.length);
    return textPiece(certain);
  }

  #inside(): Piece[] | null {
    if (this.#open === null || this.#open === "bare" || this.#open.close === null) return null;
    const { open, close } = this.#open;
    const at = this.#held.indexOf(close);
    if (at < 0) return null;
    const whole = this.#held.slice(0, at + close.length);
    const calls = this.#calls(whole.slice(open.length, -close.length));
    this.#held = this.#held.slice(whole.length);
    this.#open = null;
    if (calls) this.#isStart = true;
    return calls ?? textPiece(whole);
  }

  /** The calls in a piece of JSON, or one after another; null where it holds anything else. */
  #calls(text: string): Piece[] | null {
    const values = jsonValues(text)?.flat();
    const calls = values?.map((value) => this.#call(value));
    if (!calls || calls.length === 0 || calls.includes(null)) return null;
    const allowed = this.#plan.parallel ? calls : calls.slice(0, 1);
    this.enough = !this.#plan.parallel;
    return (allowed as { name: string; text: string }[]).flatMap(({ name, text }) => [
      { kind: "call", name } as const,
      { kind: "arguments", text } as const,
    ]);
  }

  #call(value: unknown): { name: string; text: string } | null {
    const { name, arguments: given, parameters } = (value ?? {}) as Record<string, unknown>;
    if (typeof name !== "string" || !this.#plan.tools.some((tool) => tool.name === name)) return null;
    const inputs = given ?? parameters ?? {};
    if (typeof inputs === "string") return jsonValues(inputs) ? { name, text: inputs } : null;
    return typeof inputs === "object" ? { name, text: JSON.stringify(inputs) } : null;
  }
}

/** The JSON values that a text holds, apart by white space, `;` or nothing; null where it holds something else. */
function jsonValues(text: string): unknown[] | null {
  const trimmed = text.trim();
  for (const candidate of [trimmed, `[${trimmed.replace(/\}\s*;?\s*\{/g, "},{")}]`]) {
    try {
      const value = JSON.parse(candidate);
      return candidate === trimmed ? [value] : value;
    } catch {
      // the next reading
    }
  }
  return null;
}
