import { assert } from "../result.ts";
import type { TextGrammar } from "../text-generation.ts";
import { createGrammar, type Grammar } from "./grammar.ts";
import type { TokenBytes } from "./token-bytes.ts";

type Schema = Record<string, unknown>;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Every byte, then some pieces as vocabularies have them; the last token is special. */
export const pieces = [
  '{"',
  '":',
  '": "',
  '", "',
  '"}',
  "}}",
  "[1",
  "], ",
  "true",
  "null",
  "12",
  "0.",
  "e-",
  "é",
  "🙂",
  "\\u00",
  "\n  ",
  "ab",
  "an",
];
export const vocabulary: TokenBytes = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...pieces.map((piece) => encoder.encode(piece)),
  null,
];
export const STOP = vocabulary.length - 1;
export const everyToken = [...vocabulary.keys()];

export const spell = (token: number): string => decoder.decode(vocabulary[token] as Uint8Array);

export function open(grammar: TextGrammar, tokens = vocabulary, stops = [STOP]): Grammar {
  const created = createGrammar(grammar, tokens, stops);
  assert(created.ok, created.ok ? "" : created.error.message);
  return created.value;
}
export const ofSchema = (schema: Schema, tokens?: TokenBytes) => open({ kind: "json-schema", schema }, tokens);

/** Whether the text may be written, byte by byte, and end. */
export function accepts(grammar: Grammar, text: string): boolean {
  let state = grammar.start();
  for (const byte of encoder.encode(text)) {
    if (!state.allows(byte)) return false;
    state = state.push(byte);
  }
  return state.isComplete;
}
