import { z } from "zod";

/**
 * What each token adds to a text, as bytes; null where it adds none (special tokens, tokens that stand for the unknown). By
 * id, without holes.
 */
export type TokenBytes = readonly (Uint8Array | null)[];

const decoderSchema = z.looseObject({
  type: z.string(),
  decoders: z.array(z.looseObject({ type: z.string() })).optional(),
});

/** Of a tokenizer.json, what says how tokens become text; the rest is for encoding. */
const tokenizerSchema = z.looseObject({
  added_tokens: z
    .array(z.looseObject({ id: z.int().nonnegative(), content: z.string(), special: z.boolean() }))
    .nullish(),
  decoder: decoderSchema.nullish(),
  model: z.looseObject({
    type: z.string().optional(),
    vocab: z.union([z.record(z.string(), z.int().nonnegative()), z.array(z.tuple([z.string(), z.number()]))]),
    unk_token: z.string().nullish(),
    unk_id: z.int().nullish(),
    continuing_subword_prefix: z.string().nullish(),
  }),
});

/** No tokenizer has more tokens; a hostile one must not make this function fill the memory. */
const TOKENS_MAX = 1 << 20;

const encoder = new TextEncoder();

/**
 * Reads the `tokenizer.json` of Hugging Face's tokenizers: byte-level BPE, SentencePiece-like BPE and Unigram (a word
 * begins with ▁, unknown bytes are `<0xNN>`) and WordPiece (a word's later pieces begin with ##, so the others bring a
 * blank; what its decoder tidies around punctuation is not in the bytes).
 *
 * @throws ZodError where it is no such file, RangeError where it has more than a million tokens
 */
export function tokenBytes(tokenizerJson: unknown): TokenBytes {
  const { added_tokens: added, decoder, model } = tokenizerSchema.parse(tokenizerJson);
  const pieces: [string, number][] = Array.isArray(model.vocab)
    ? model.vocab.map(([piece], id) => [piece, id])
    : Object.entries(model.vocab);
  const size =
    Math.max(-1, ...chunkMax(pieces.map(([, id]) => id)), ...chunkMax((added ?? []).map(({ id }) => id))) + 1;
  if (size > TOKENS_MAX) throw new RangeError(`a tokenizer of ${size} tokens: at most ${TOKENS_MAX} are read`);
  const bytes = new Array<Uint8Array | null>(size).fill(null);
  const toBytes = reader(
    decoder ?? null,
    model.type === "WordPiece" ? (model.continuing_subword_prefix ?? "##") : null,
  );
  for (const [piece, id] of pieces) {
    if (piece !== model.unk_token && id !== model.unk_id) bytes[id] = toBytes(piece);
  }
  for (const { id, content, special } of added ?? []) bytes[id] = special ? null : encoder.encode(content);
  return bytes;
}

/** Spreading a whole vocabulary into one call would overflow the stack. */
function chunkMax(values: readonly number[]): number[] {
  let most = -1;
  for (const value of values) if (value > most) most = value;
  return [most];
}

function reader(
  decoder: z.infer<typeof decoderSchema> | null,
  continuing: string | null,
): (piece: string) => Uint8Array {
  const steps = decoder?.decoders ?? (decoder ? [decoder] : []);
  const types = new Set(steps.map(({ type }) => type));
  if (continuing !== null) {
    return (piece) => encoder.encode(piece.startsWith(continuing) ? piece.slice(continuing.length) : ` ${piece}`);
  }
  if (types.has("ByteLevel")) {
    const bytes = byteLevelAlphabet();
    // A character outside the alphabet is of a token that was added by hand.
    return (piece) => Uint8Array.from([...piece].flatMap((char) => bytes.get(char) ?? [...encoder.encode(char)]));
  }
  const blanks = blanksOf(steps);
  return (piece) => {
    const byte = /^<0x([0-9A-F]{2})>$/.exec(piece)?.[1];
    if (byte !== undefined && types.has("ByteFallback")) return Uint8Array.of(Number.parseInt(byte, 16));
    return encoder.encode(blanks.reduce((text, [from, to]) => text.replaceAll(from, to), piece));
  };
}

/** What the decoder replaces, almost always ▁ by a blank. */
function blanksOf(steps: readonly Record<string, unknown>[]): [string, string][] {
  return steps.flatMap((step): [string, string][] => {
    const pattern = step.pattern as { String?: unknown } | undefined;
    if (step.type === "Replace" && typeof pattern?.String === "string" && pattern.String !== "") {
      return [[pattern.String, String(step.content ?? "")]];
    }
    if (step.type === "BPEDecoder") return [[typeof step.suffix === "string" ? step.suffix : "</w>", " "]];
    return step.type === "Metaspace" ? [[typeof step.replacement === "string" ? step.replacement : "▁", " "]] : [];
  });
}

/**
 * GPT-2's alphabet: each byte as one printable character, itself where it is one, else from U+0100 on in order.
 */
function byteLevelAlphabet(): Map<string, number> {
  const alphabet = new Map<string, number>();
  let others = 0;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    alphabet.set(String.fromCharCode(printable ? byte : 0x100 + others), byte);
    if (!printable) others++;
  }
  return alphabet;
}
