import { Tokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { pieceBytes, type Replace } from "../../shared/grammar/token-bytes.ts";
import { bounded } from "./bounded.ts";

/** What is read of `tokenizer.json` beside what the library reads itself. */
const tokenizerSchema = z.looseObject({
  model: z.looseObject({}),
  added_tokens: z
    .array(
      z.looseObject({
        id: z.int().nonnegative(),
        content: z.string().min(1),
        special: z.boolean().default(false),
        lstrip: z.boolean().default(false),
        rstrip: z.boolean().default(false),
      }),
    )
    .default([]),
  normalizer: z.unknown().default(null),
  pre_tokenizer: z.unknown().default(null),
  post_processor: z.unknown().default(null),
  decoder: z.unknown().default(null),
});
type AddedToken = z.infer<typeof tokenizerSchema>["added_tokens"][number];

export interface TextTokenizer {
  encode(text: string, options: EncodeOptions): number[];
  bytesOf(token: number): Uint8Array;
  isSpecial(token: number): boolean;
  idOf(token: string): number | null;
  /** What special tokens look like in text. */
  special: readonly string[];
  /** UTF-16 units of the longest token. */
  longestToken: number;
}

export interface EncodeOptions {
  /** Whether special tokens in the text are meant; else they are spelled: what comes from outside must not steer a model. */
  special: boolean;
  /** Puts those around the text that the model expects. */
  addSpecial: boolean;
  /** A character that is taken out of the text after it was cut at special tokens, so that it breaks them. */
  breaker?: string;
}

/**
 * @param eos count as special, whatever the file says
 * @throws Error where this is no tokenizer that the library can run
 */
export function readTokenizer(
  json: unknown,
  config: Record<string, unknown>,
  eos: readonly number[] = [],
): TextTokenizer {
  const checked = tokenizerSchema.parse(json);
  // Cleaning up (" ," to ",") changes text that the model has written; texts are the bytes of their tokens here.
  const library = new Tokenizer(checked, { ...config, clean_up_tokenization_spaces: false });
  const added = checked.added_tokens;
  const isSpecial = ({ special, id }: AddedToken) => special || eos.includes(id);
  const specialIds = new Set(added.filter(isSpecial).map(({ id }) => id));
  const special = new Set(added.filter(isSpecial).map(({ content }) => content));
  const atAll = splitter(added);
  const atOrdinary = splitter(added.filter((token) => !isSpecial(token)));
  const holdsSpecial = special.size > 0 ? new RegExp([...special].map(escaped).join("|"), "u") : null;
  // JavaScript lowers a sigma at a word's end to ς; tokenizers lower character by character.
  const lowers = lowercases(checked.normalizer);
  const bytesOfText = pieceBytes(checked.decoder, replaced);
  const bytes = new Map<number, Uint8Array>();
  const empty = new Uint8Array(0);

  /** Tokens of a text without added tokens; a special one that comes out nevertheless (Unigram) is spelled. */
  function tokenize(text: string, section: number): string[] {
    const normal = library.normalizer ? (library.normalizer as unknown as Apply<string>)(text) : text;
    if (normal.length === 0) return [];
    const { pre_tokenizer, model } = library as unknown as { pre_tokenizer: Apply<string[]> | null; model: Model };
    const words = pre_tokenizer ? pre_tokenizer(normal, { section_index: section }) : [normal];
    return model(words).flatMap((token) => (special.has(token) ? model(Array.from(token)) : [token]));
  }

  return {
    encode(given, { special: meant, addSpecial, breaker }) {
      const text = lowers ? given.replaceAll("Σ", "σ") : given;
      const broken = breaker !== undefined && text.includes(breaker);
      if (!broken && (meant || !holdsSpecial?.test(text))) {
        return library.encode(text, { add_special_tokens: addSpecial }).ids;
      }
      const sections = (meant ? atAll : atOrdinary)(text);
      const tokens = sections.flatMap((section, at) =>
        typeof section === "string"
          ? tokenize(broken ? section.replaceAll(breaker, "") : section, at)
          : [section.content],
      );
      const around = library.post_processor as unknown as PostProcessor | null;
      const all = around ? around(tokens, null, addSpecial).tokens : tokens;
      return all.map((token) => library.token_to_id(token) ?? unknownId(library));
    },
    bytesOf(token) {
      const known = bytes.get(token);
      if (known) return known;
      const content = library.id_to_token(token);
      if (content === undefined) return empty;
      const made = specialIds.has(token) ? new TextEncoder().encode(content) : bytesOfText(content);
      bytes.set(token, made);
      return made;
    },
    isSpecial: (token) => specialIds.has(token),
    idOf: (token) => library.token_to_id(token) ?? null,
    special: [...special],
    longestToken: longest(library.get_vocab().keys()),
  };
}

const PATTERN_MS = 250;
const replaced: Replace = (text, expression, content) =>
  bounded(PATTERN_MS, "a pattern of the tokenizer's decoder", () => text.replace(expression, () => content));

/** The library's parts are callable objects, which its types do not say. */
type Apply<T> = (text: string, options?: { section_index: number }) => T;
type Model = (words: string[]) => string[];
type PostProcessor = (tokens: string[], pair: null, addSpecial: boolean) => { tokens: string[] };

const unknownId = (library: Tokenizer): number =>
  (library.model as unknown as { unk_token_id?: number } | null)?.unk_token_id ?? 0;

function longest(tokens: Iterable<string>): number {
  let length = 1;
  for (const token of tokens) length = Math.max(length, token.length);
  return length;
}

function lowercases(normalizer: unknown): boolean {
  const { type, lowercase, normalizers } = (normalizer ?? {}) as Record<string, unknown>;
  if (type === "Sequence") return Array.isArray(normalizers) && normalizers.some(lowercases);
  return type === "Lowercase" || (type === "BertNormalizer" && lowercase === true);
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

/** Cuts a text at added tokens, the longest first where one begins like another, and trims beside them as they ask. */
function splitter(added: readonly AddedToken[]): (text: string) => (string | AddedToken)[] {
  if (added.length === 0) return (text) => [text];
  const longestFirst = added.toSorted((a, b) => b.content.length - a.content.length);
  const pattern = new RegExp(`(${longestFirst.map(({ content }) => escaped(content)).join("|")})`, "gu");
  const byContent = new Map(added.map((token) => [token.content, token]));
  return (text) => {
    const sections = text.split(pattern).map((part) => byContent.get(part) ?? part);
    return sections.flatMap((section, at): (string | AddedToken)[] => {
      if (typeof section !== "string") return [section];
      const [before, after] = [sections[at - 1], sections[at + 1]];
      let trimmed = section;
      if (typeof before === "object" && before.rstrip) trimmed = trimmed.trimStart();
      if (typeof after === "object" && after.lstrip) trimmed = trimmed.trimEnd();
      return trimmed.length > 0 ? [trimmed] : [];
    });
  };
}
