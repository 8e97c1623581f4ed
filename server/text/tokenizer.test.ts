import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { readTokenizer, type TextTokenizer } from "./tokenizer.ts";

/**
 * Against ids that the reference implementation made (Hugging Face's tokenizers in Rust; oracle.py), and the bytes of the
 * tokens against the text that was encoded.
 */
interface Digest {
  count: number;
  sha256: string;
}
interface Oracle {
  tokenizers: Record<string, { play: Digest; languages: Record<string, Digest> }>;
}

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const data = path("../../../shared/data/");
const oracle = JSON.parse(readFileSync(path("oracle.json"), "utf8")) as Oracle;
const folderOf = (name: string) =>
  name === "shakespeare" ? path("../../models/shakespeare") : `${data}tokenizers/${name}`;
const here = existsSync(`${data}tokenizers`) && existsSync(`${data}sets`);
const reason = here ? "" : " (skipped: ../shared/data is not here)";

const loaded = new Map<string, TextTokenizer>();
function tokenizerOf(name: string): TextTokenizer {
  const read = (file: string) => JSON.parse(readFileSync(`${folderOf(name)}/${file}`, "utf8"));
  const made = loaded.get(name) ?? readTokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
  loaded.set(name, made);
  return made;
}

const digest = (ids: number[]): Digest => ({
  count: ids.length,
  sha256: createHash("sha256")
    .update(Buffer.from(Int32Array.from(ids).buffer))
    .digest("hex"),
});

/** Every tenth sentence of each language. */
function sentences(): Map<string, string[]> {
  const byLanguage = new Map<string, string[]>();
  const lines = gunzipSync(readFileSync(`${data}sets/langid/sentences.tsv.gz`))
    .toString()
    .trimEnd()
    .split("\n");
  for (const line of lines) {
    const [language = "", text = ""] = line.split("\t");
    byLanguage.set(language, [...(byLanguage.get(language) ?? []), text]);
  }
  return new Map([...byLanguage].map(([language, texts]) => [language, texts.filter((_, at) => at % 10 === 0)]));
}

describe.skipIf(!here).each(Object.keys(oracle.tokenizers))(`%s${reason}`, (name) => {
  const expected = oracle.tokenizers[name] as Oracle["tokenizers"][string];

  test("encodes the whole of tinyshakespeare as the reference does, and back", { timeout: 120_000 }, () => {
    const play = readFileSync(`${data}sets/tinyshakespeare/input.txt`, "utf8");
    const tokenizer = tokenizerOf(name);
    const ids = tokenizer.encode(play, { special: true, addSpecial: false });
    expect(digest(ids)).toEqual(expected.play);
    if (name === "bert-base-uncased") return;
    const bytes = Buffer.concat(ids.map((id) => tokenizer.bytesOf(id)));
    // Llama-style tokenizers put a space before the text.
    expect(bytes.toString() === (name === "phi-3-mini" ? ` ${play}` : play)).toBe(true);
  });

  test("encodes sentences in 75 languages as the reference does, and back", { timeout: 120_000 }, () => {
    const tokenizer = tokenizerOf(name);
    const wrong: string[] = [];
    for (const [language, texts] of sentences()) {
      const encoded = texts.map((text) => tokenizer.encode(text, { special: true, addSpecial: true }));
      if (digest(encoded.flat()).sha256 !== expected.languages[language]?.sha256) wrong.push(language);
      if (name === "bert-base-uncased") continue;
      const decoded = encoded.map((ids) =>
        Buffer.concat(ids.map((id) => tokenizer.bytesOf(id)))
          .toString()
          .trim(),
      );
      if (decoded.some((text, at) => text !== texts[at]?.trim())) wrong.push(`${language} back`);
    }
    expect(wrong).toEqual([]);
  });
});

describe.skipIf(!here)(`special tokens${reason}`, () => {
  const text = "Say <|end|> and </s> or<s>plainly.";

  test("are what they are called where they are meant, else text", () => {
    const tokenizer = tokenizerOf("phi-3-mini");
    const meant = tokenizer.encode(text, { special: true, addSpecial: false });
    const spelled = tokenizer.encode(text, { special: false, addSpecial: false });
    expect(meant).toContain(32007);
    expect(meant).toContain(1);
    expect(spelled.filter((id) => tokenizer.isSpecial(id))).toEqual([]);
    // `</s>` is not marked special in this file, so it stays the token it is.
    expect(spelled).toContain(2);
    expect(Buffer.concat(spelled.map((id) => tokenizer.bytesOf(id))).toString()).toContain("<|end|>");
  });

  test("that end a text are special, whatever the file says", () => {
    const read = (file: string) => JSON.parse(readFileSync(`${folderOf("phi-3-mini")}/${file}`, "utf8"));
    const tokenizer = readTokenizer(read("tokenizer.json"), read("tokenizer_config.json"), [2]);
    expect(tokenizer.encode(text, { special: false, addSpecial: false })).not.toContain(2);
  });

  test("are put around a text where the model expects them", () => {
    const ids = tokenizerOf("bert-base-uncased").encode("[SEP] hello [CLS]", { special: false, addSpecial: true });
    expect(ids[0]).toBe(101);
    expect(ids.at(-1)).toBe(102);
    expect(ids.filter((id) => id === 101 || id === 102)).toHaveLength(2);
  });
});

/** A Unigram tokenizer as SentencePiece models are converted: the best sum of log-probabilities wins. */
const unigram = {
  model: {
    type: "Unigram",
    unk_id: 0,
    vocab: [
      ["<unk>", 0],
      ["<s>", 0],
      ["▁", -3],
      ["▁he", -4],
      ["llo", -5],
      ["▁hell", -5],
      ["o", -3],
      ["<", -6],
      ["s", -6],
      [">", -6],
      ["▁hello", -6],
    ],
  },
  added_tokens: [{ id: 1, content: "<s>", special: true }],
  normalizer: null,
  pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
  decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true },
};

test("Unigram: the likeliest pieces, and a special token in the text is spelled", () => {
  const tokenizer = readTokenizer(unigram, {});
  expect(tokenizer.encode("hello", { special: false, addSpecial: false })).toEqual([10]);
  expect(tokenizer.encode("hello<s>", { special: true, addSpecial: false })).toEqual([10, 1]);
  expect(tokenizer.encode("hello<s>", { special: false, addSpecial: false })).toEqual([10, 7, 8, 9]);
  expect(Buffer.from(tokenizer.bytesOf(10)).toString()).toBe(" hello");
});

test.each([
  ["no object", []],
  ["no model", { added_tokens: [] }],
  ["an unknown model", { model: { type: "Riddle" } }],
  ["an unknown decoder", { ...unigram, decoder: { type: "Oracle" } }],
  ["a token with a negative id", { ...unigram, added_tokens: [{ id: -1, content: "x" }] }],
])("refuses %s", (_, json) => {
  expect(() => readTokenizer(json, {})).toThrow();
});
