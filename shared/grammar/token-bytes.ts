import { z } from "zod";

/**
 * What each token adds to a text, as bytes; null where it adds none (special tokens, tokens that stand for the unknown). By
 * id, without holes.
 */
export type TokenBytes = readonly (Uint8Array | null)[];

/** Of a tokenizer.json, what says how tokens become text; the rest is for encoding. */
const tokenizerSchema = z.looseObject({
  added_tokens: z
    .array(z.looseObject({ id: z.int().nonnegative(), content: z.string(), special: z.boolean() }))
    .nullish(),
  decoder: z.unknown(),
  model: z.looseObject({
    vocab: z.union([z.record(z.string(), z.int().nonnegative()), z.array(z.tuple([z.string(), z.number()]))]),
    unk_token: z.string().nullish(),
    unk_id: z.int().nullish(),
  }),
});

/** No tokenizer has more tokens; a hostile one must not make this function fill the memory. */
const TOKENS_MAX = 1 << 20;

/**
 * The whole vocabulary of a `tokenizer.json` of Hugging Face's tokenizers.
 *
 * @throws ZodError where it is no such file, RangeError where it has more than a million tokens, Error where its decoder
 * replaces by a regular expression
 */
export function tokenBytes(tokenizerJson: unknown): TokenBytes {
  const { added_tokens: added, decoder, model } = tokenizerSchema.parse(tokenizerJson);
  const pieces: [string, number][] = Array.isArray(model.vocab)
    ? model.vocab.map(([piece], id) => [piece, id])
    : Object.entries(model.vocab);
  let size = 0;
  for (const [, id] of pieces) size = Math.max(size, id + 1);
  for (const { id } of added ?? []) size = Math.max(size, id + 1);
  if (size > TOKENS_MAX) throw new RangeError(`a tokenizer of ${size} tokens: at most ${TOKENS_MAX} are read`);
  const bytes = new Array<Uint8Array | null>(size).fill(null);
  const bytesOf = pieceBytes(decoder, refuse);
  for (const [piece, id] of pieces) {
    if (piece !== model.unk_token && id !== model.unk_id) bytes[id] = bytesOf(piece);
  }
  for (const { id, content, special } of added ?? []) bytes[id] = special ? null : bytesOf(content);
  return bytes;
}

/** Here nothing could end a match that a hostile file makes endless. */
const refuse: Replace = (_text, expression) => {
  throw new Error(`a decoder that replaces by a regular expression is not read: ${expression.source.slice(0, 60)}`);
};

/** What comes of a text whose matches become `content`, within a bound that its caller sets. */
export type Replace = (text: string, expression: RegExp, content: string) => string;

/**
 * The bytes that one token stands for, read from a tokenizer's `decoder`: a generated text is the bytes of its tokens one
 * after another, so half a character is simply half of its bytes. What decoders do to a whole text alone (cut the space
 * before its first word, tidy around punctuation) is left out: a generated text continues its prompt, and that space belongs
 * to it.
 */
export function pieceBytes(decoder: unknown, replace: Replace): (piece: string) => Uint8Array {
  const steps = flatten(decoderSchema.parse(decoder ?? { type: "Words" }));
  return (piece) => {
    let text = piece;
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
          text =
            "String" in step.pattern
              ? text.replaceAll(step.pattern.String, () => step.content)
              : replace(text, new RegExp(step.pattern.Regex, "gu"), step.content);
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
