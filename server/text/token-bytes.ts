import { z } from "zod";
import { bounded } from "./bounded.ts";

/**
 * The bytes that one token stands for, read from a tokenizer's `decoder`: a generated text is the bytes of its tokens one
 * after another, so half a character is simply half of its bytes. What decoders do to a whole text alone (cut the space
 * before its first word) is left out: a generated text continues its prompt, and that space belongs to it.
 */
export function tokenBytes(decoder: unknown): (token: string) => Uint8Array {
  const steps = flatten(decoderSchema.parse(decoder ?? { type: "Words" }));
  return (token) => {
    let text = token;
    for (const step of steps) {
      switch (step.type) {
        case "ByteLevel":
          return levelBytes(text);
        case "ByteFallback": {
          const [, hex] = /^<0x([0-9A-Fa-f]{2})>$/.exec(text) ?? [];
          if (hex !== undefined) return Uint8Array.of(Number.parseInt(hex, 16));
          break;
        }
        case "Replace":
          text = replaced(text, step.pattern, step.content);
          break;
        case "Metaspace":
          text = text.replaceAll(step.replacement, () => " ");
          break;
        case "WordPiece":
          text = text.startsWith(step.prefix) ? text.slice(step.prefix.length) : ` ${text}`;
          break;
        case "BPEDecoder":
          text = text.replaceAll(step.suffix, () => " ");
          break;
        case "Words":
          text = ` ${text}`;
          break;
      }
    }
    return encoder.encode(text);
  };
}

const PATTERN_MS = 250;
const patternSchema = z.union([z.object({ String: z.string() }), z.object({ Regex: z.string() })]);
const stepSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ByteLevel") }),
  z.object({ type: z.literal("ByteFallback") }),
  z.object({ type: z.literal("Fuse") }),
  z.object({ type: z.literal("Strip") }),
  z.object({ type: z.literal("Replace"), pattern: patternSchema, content: z.string() }),
  z.object({ type: z.literal("Metaspace"), replacement: z.string().default("▁") }),
  z.object({ type: z.literal("WordPiece"), prefix: z.string().default("##") }),
  z.object({ type: z.literal("BPEDecoder"), suffix: z.string().default("</w>") }),
  /** No decoder at all: tokens are words. */
  z.object({ type: z.literal("Words") }),
]);
type Step = z.infer<typeof stepSchema>;
type Decoder = Step | { type: "Sequence"; decoders: Decoder[] };
const decoderSchema: z.ZodType<Decoder> = z.union([
  z.object({
    type: z.literal("Sequence"),
    get decoders() {
      return z.array(decoderSchema).max(16);
    },
  }),
  stepSchema,
]);

const flatten = (decoder: Decoder): Step[] =>
  decoder.type === "Sequence" ? decoder.decoders.flatMap(flatten) : [decoder];

function replaced(text: string, pattern: z.infer<typeof patternSchema>, content: string): string {
  if ("String" in pattern) return text.replaceAll(pattern.String, () => content);
  const expression = new RegExp(pattern.Regex, "gu");
  return bounded(PATTERN_MS, "a pattern of the tokenizer's decoder", () => text.replace(expression, () => content));
}

const encoder = new TextEncoder();

/** GPT-2's alphabet: printable bytes stand for themselves, the others for the characters from 256 on. */
const levelAlphabet: ReadonlyMap<string, number> = (() => {
  const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173 && byte < 256);
  const alphabet = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) alphabet.set(String.fromCharCode(printable(byte) ? byte : next++), byte);
  return alphabet;
})();

/** A token outside the alphabet is an added one: its characters are meant. */
function levelBytes(token: string): Uint8Array {
  const bytes = Array.from(token, (character) => levelAlphabet.get(character));
  return bytes.every((byte) => byte !== undefined) ? Uint8Array.from(bytes as number[]) : encoder.encode(token);
}
