import { limits } from "../../shared/limits.ts";
import type { Passage } from "../store/agent-store.ts";
import type { ModelText } from "../text/model-text.ts";

/** Cuts texts into passages that an embedding model can take, and finds those nearest to a question. */

export interface CutPassage {
  title: string | null;
  text: string;
}

/** Longer passages say more than one thing, and their vectors nothing in particular. */
const PASSAGE_TOKENS = 128;

/**
 * At ends of paragraphs, else of sentences, else of words; a word that is too long by itself is cut anywhere. No passage
 * has more tokens than `text.contextLength`, special ones included.
 */
export function cutPassages(
  texts: readonly { title?: string | null | undefined; text: string }[],
  text: ModelText,
  contextLength: number,
): CutPassage[] {
  const most = Math.min(PASSAGE_TOKENS, contextLength);
  const fits = (piece: string) => text.encode(piece, { addSpecial: true }).length <= most;
  return texts.flatMap(({ title, text: whole }) =>
    pieces(whole, fits, [/\n\s*\n/, /(?<=[.!?…。！？])\s+/, /\s+/]).map((piece) => ({
      title: title ?? null,
      text: piece,
    })),
  );
}

function pieces(whole: string, fits: (piece: string) => boolean, borders: readonly RegExp[]): string[] {
  const text = whole.trim();
  if (text === "") return [];
  if (fits(text)) return [text];
  const [border, ...finer] = borders;
  if (!border) {
    const letters = [...text];
    const half = Math.ceil(letters.length / 2);
    if (letters.length === 1) return [text]; // one letter is more than the model takes
    return [letters.slice(0, half), letters.slice(half)].flatMap((part) => pieces(part.join(""), fits, []));
  }
  const made: string[] = [];
  for (const part of text.split(border).flatMap((one) => pieces(one, fits, finer))) {
    const joined = made.length > 0 ? `${made.at(-1)} ${part}` : part;
    if (made.length > 0 && fits(joined)) made[made.length - 1] = joined;
    else made.push(part);
  }
  return made;
}

/** How many passages are told with a question at most. */
const PASSAGES_TOLD = 4;

/** Nearest first, by cosine: all vectors have length one. */
export function nearest(passages: readonly Passage[], question: Float32Array): Passage[] {
  const scored = passages.map((passage) => ({ passage, score: dot(passage.vector, question) }));
  return scored
    .sort((a, b) => b.score - a.score)
    .slice(0, PASSAGES_TOLD)
    .map(({ passage }) => passage);
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += (a[at] as number) * (b[at] ?? 0);
  return sum;
}

/** As much of them as a third of the model's context holds, and the question's own place is left alone. */
export function tellPassages(passages: readonly Passage[], text: ModelText): string {
  const room = Math.floor(text.contextLength / 3);
  let told = "";
  for (const [index, { title, text: body }] of passages.entries()) {
    const next = `${told}\n[${index + 1}]${title ? ` ${title}:` : ""} ${body}`;
    if (text.encode(next).length > room) break;
    told = next;
  }
  return told === "" ? "" : `What is known that may help:${told}`;
}

/** Enough to tell what is asked, and never more than a passage. */
export const questionOf = (messages: readonly { role: string; content: string }[]): string =>
  (messages.findLast(({ role }) => role === "user")?.content ?? "").slice(-limits.agentInstructionsChars);
