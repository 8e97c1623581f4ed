import { existsSync, readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pieceBytes, tokenBytes } from "./token-bytes.ts";

const path = (relative: string) => new URL(relative, import.meta.url);
const shared = path("../../../shared/data/tokenizers/");
const here = existsSync(shared);
const reason = here ? "" : " (skipped: ../shared/data is not here)";
const read = (folder: URL, file: string) => JSON.parse(readFileSync(new URL(file, folder), "utf8"));
const decoder = new TextDecoder("utf-8", { fatal: true });

function spelled(folder: URL) {
  const json = read(folder, "tokenizer.json");
  const library = new Tokenizer(json, read(folder, "tokenizer_config.json"));
  const bytes = tokenBytes(json);
  const spell = (text: string): string => {
    const { ids } = library.encode(text, { add_special_tokens: false });
    return decoder.decode(Uint8Array.from([...ids].flatMap((id) => [...(bytes[id] ?? [])])));
  };
  return { bytes, spell };
}

const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.lorem(),
);

describe("the bytes of tokens", () => {
  it("shakespeare, byte-level BPE: those of a text together are the text", () => {
    const { bytes, spell } = spelled(path("../../models/shakespeare/"));
    expect(bytes).toHaveLength(1024);
    expect(bytes[0]).toBeNull();
    fc.assert(fc.property(text, (one) => void expect(spell(one)).toBe(one)));
  });

  it.runIf(here)(`gpt2, byte-level BPE: those of a text together are the text${reason}`, () => {
    const { bytes, spell } = spelled(new URL("gpt2/", shared));
    expect(bytes).toHaveLength(50_257);
    expect(bytes[50_256]).toBeNull();
    fc.assert(fc.property(text, (one) => void expect(spell(one)).toBe(one)));
  });

  it.runIf(here)(
    `phi-3-mini, BPE with bytes to fall back to: the text and the blank before its first word${reason}`,
    () => {
      const { bytes, spell } = spelled(new URL("phi-3-mini/", shared));
      expect(bytes[1]).toBeNull();
      expect(bytes[3 + 0x41]).toEqual(Uint8Array.of(0x41));
      fc.assert(fc.property(text, (one) => void expect(spell(one)).toBe(one === "" ? "" : ` ${one}`)));
    },
  );

  it.runIf(here)(`bert-base-uncased, WordPiece: words with blanks between${reason}`, () => {
    const { bytes, spell } = spelled(new URL("bert-base-uncased/", shared));
    expect(bytes[0]).toBeNull();
    expect(spell("unaffable words, indeed")).toBe(" una" + "ffa" + "ble words , indeed");
  });

  it("Unigram with a metaspace", () => {
    const bytes = tokenBytes({
      added_tokens: [{ id: 4, content: "<tool>", special: false }],
      model: {
        type: "Unigram",
        unk_id: 0,
        vocab: [
          ["<unk>", 0],
          ["<0xE2>", -1],
          ["▁to", -2],
          ["be▁or", -3],
        ],
      },
      decoder: { type: "Sequence", decoders: [{ type: "ByteFallback" }, { type: "Metaspace", replacement: "▁" }] },
    });
    expect(bytes.map((one) => one && Buffer.from(one).toString("latin1"))).toEqual([
      null,
      "\u00e2",
      " to",
      "be or",
      "<tool>",
    ]);
  });

  const plain = (text: string, expression: RegExp, content: string) => text.replace(expression, () => content);
  const regex = { type: "Replace", pattern: { Regex: "_+" }, content: " " };
  it.each<[string, unknown, string, string]>([
    ["no decoder: tokens are words", null, "word", " word"],
    ["byte level", { type: "ByteLevel" }, "Ġcaf\u00c3\u00a9", " caf\u00c3\u00a9"],
    ["byte level, outside the alphabet: its characters", { type: "ByteLevel" }, "a b", "a b"],
    ["a byte", { type: "ByteFallback" }, "<0xe2>", "\u00e2"],
    ["more than a byte", { type: "ByteFallback" }, "<0xe2>x", "<0xe2>x"],
    ["a string", { type: "Replace", pattern: { String: "▁" }, content: "$&" }, "a▁b", "a$&b"],
    ["a pattern", regex, "a__b", "a b"],
    ["a piece that goes on", { type: "WordPiece" }, "##ing", "ing"],
    ["a word's end", { type: "BPEDecoder" }, "end</w>", "end "],
    ["nested", { type: "Sequence", decoders: [{ type: "Sequence", decoders: [regex] }, { type: "Fuse" }] }, "_a", " a"],
  ])("%s", (_, given, piece, expected) => {
    expect(Buffer.from(pieceBytes(given, plain)(piece)).toString("latin1")).toBe(expected);
  });

  it("a whole vocabulary is not read through a pattern", () => {
    expect(() => tokenBytes({ model: { vocab: { a: 0 } }, decoder: regex })).toThrow("regular expression");
  });

  it.each([[{}], [{ model: { vocab: { a: -1 } } }], [{ model: { vocab: { a: 1e9 } } }], [null]])(
    "%j is refused",
    (json) => {
      expect(() => tokenBytes(json)).toThrow();
    },
  );
});
