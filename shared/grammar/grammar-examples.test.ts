import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { nextInt, seededRng } from "../random.ts";
import { assert } from "../result.ts";
import { createGrammar } from "./grammar.ts";
import { schemaLimits } from "./json-schema.ts";
import { accepts, ofSchema, open, vocabulary } from "./test-vocabulary.ts";
import { tokenBytes } from "./token-bytes.ts";

type Schema = Record<string, unknown>;
const decoder = new TextDecoder("utf-8", { fatal: true });

describe("a grammar, by examples", () => {
  it.each([
    "{",
    '{"a":1',
    "[1,]",
    '{"a":1,}',
    '"a',
    "01",
    "1.",
    "1e",
    "+1",
    ".5",
    "nul",
    '{"a" 1}',
    "'a'",
    '"\t"',
    "1 2",
    "",
    '"\\x"',
    '"\\ud800"',
    "1e999",
    `1${"0".repeat(30)}`,
  ])("does not take %s for JSON", (text) => {
    expect(accepts(open({ kind: "json" }), text)).toBe(false);
  });

  it.each([
    [
      { type: "number", exclusiveMinimum: 0, maximum: 1 },
      ["0.001", "1", "0.5", "1.0"],
      ["0", "-1", "1.01", "0.0", "-0"],
    ],
    [{ type: "number", minimum: 0.1 }, ["0.1", "0.25", "12"], ["0.09999", "0.0", "-5"]],
    [{ type: "number", exclusiveMaximum: -1.5 }, ["-1.6", "-20"], ["-1.5", "-1", "0"]],
    [{ type: "integer", minimum: 5, maximum: 120 }, ["5", "42", "120"], ["4", "121", "-5", "5.0", "05"]],
    [{ type: "integer", exclusiveMinimum: -3, exclusiveMaximum: 2.5 }, ["-2", "0", "2"], ["-3", "3", "-0"]],
    [
      { type: "string", minLength: 2, maxLength: 3 },
      ['"ab"', '"🙂🙂🙂"', '"\\ud83d\\ude42a"'],
      ['"a"', '"abcd"', '"🙂"'],
    ],
    [
      { type: "array", items: { type: "null" }, minItems: 1, maxItems: 2 },
      ["[null]", "[null,null]"],
      ["[]", "[null,null,null]"],
    ],
    [{ enum: [1, 12, "a", { b: [null] }] }, ["1", "12", '"a"', '{"b":[null]}'], ["2", "121", '"b"']],
    [{ type: "string", enum: ["a", 1] }, ['"a"'], ["1"]],
  ] as [Schema, string[], string[]][])("%j", (schema, yes, no) => {
    const grammar = ofSchema(schema);
    expect(yes.filter((text) => !accepts(grammar, text))).toEqual([]);
    expect(no.filter((text) => accepts(grammar, text))).toEqual([]);
  });

  it("keeps declared properties to their schema, however their names are escaped", () => {
    const grammar = ofSchema({ type: "object", properties: { a: { type: "null" } } });
    expect(accepts(grammar, '{"a":null,"b":1,"ab":[]}')).toBe(true);
    for (const text of ['{"b":1,"a":1}', '{"a":1}', '{"\\u0061":1}', '{"b":1,"\\u0061":1}']) {
      expect(accepts(grammar, text), text).toBe(false);
    }
  });

  it("writes properties in the order of the schema, leaving out what may be left out", () => {
    const text = { type: "string" };
    const properties = { first: text, second: text, third: text };
    const grammar = ofSchema({ type: "object", properties, required: ["second"], additionalProperties: false });
    expect(accepts(grammar, '{"second":""}')).toBe(true);
    expect(accepts(grammar, '{"first":"","second":"","third":""}')).toBe(true);
    expect(accepts(grammar, '{"second":"","first":""}')).toBe(false);
    expect(accepts(grammar, '{"first":""}')).toBe(false);
    expect(accepts(grammar, '{"first":"","third":""}')).toBe(false);
  });

  it("follows references, also round and round", () => {
    const schema = {
      $ref: "#/$defs/node",
      $defs: {
        node: {
          type: "object",
          properties: { value: { type: "integer" }, next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } },
          required: ["value", "next"],
          additionalProperties: false,
        },
      },
    };
    const grammar = ofSchema(schema);
    const nested = (levels: number): string =>
      levels === 0 ? "null" : `{"value":${levels},"next":${nested(levels - 1)}}`;
    expect(accepts(grammar, nested(schemaLimits.depth))).toBe(true);
    expect(accepts(grammar, nested(schemaLimits.depth + 1))).toBe(false);
    const tree = { type: "object", properties: { kids: { type: "array", items: { $ref: "#" } } }, required: ["kids"] };
    expect(accepts(ofSchema(tree), '{"kids":[{"kids":[]},{"kids":[{"kids":[]}]}]}')).toBe(true);
    // An alternative that only stands for itself adds nothing.
    const loop = { anyOf: [{ $ref: "#" }, { type: "null" }] };
    expect(accepts(ofSchema(loop), "null")).toBe(true);
  });

  it("leaves out what has no finite text", () => {
    const endless = { type: "object", properties: { again: { $ref: "#/$defs/endless" } }, required: ["again"] };
    const schema = {
      anyOf: [{ $ref: "#/$defs/endless" }, { type: "array", items: { $ref: "#/$defs/endless" } }],
      $defs: { endless },
    };
    const grammar = ofSchema(schema);
    expect(accepts(grammar, "[]")).toBe(true);
    expect(grammar.start().allows("{".charCodeAt(0))).toBe(false);
  });
});

describe("with the tokenizer of a model", () => {
  it("refuses one that cannot write JSON", () => {
    const created = createGrammar(
      { kind: "json" },
      vocabulary.map((bytes, id) => (id === 0x7b ? null : bytes)),
    );
    assert(!created.ok, "refused");
    expect(created.error).toMatchObject({ code: "unsupported-parameter", got: "none for {" });
  });

  const shakespeare = tokenBytes(
    JSON.parse(readFileSync(new URL("../../models/shakespeare/tokenizer.json", import.meta.url), "utf8")),
  );

  it("allows what its tokens spell, and its stop token only at the end", () => {
    const grammar = open(
      { kind: "json-schema", schema: { type: "object", properties: { a: { type: "boolean" } }, required: ["a"] } },
      shakespeare,
      [0],
    );
    let state = grammar.start();
    const bytes: number[] = [];
    const rng = seededRng(3);
    for (let steps = 0; !state.isComplete && steps < 5_000; steps++) {
      expect(state.allows(0)).toBe(false);
      const choices = [...shakespeare.keys()].filter((token) => state.allows(token));
      const token = choices[nextInt(rng, choices.length)] as number;
      bytes.push(...(shakespeare[token] as Uint8Array));
      state = state.push(token);
    }
    expect(state.isComplete).toBe(true);
    expect(state.allows(0)).toBe(true);
    expect(typeof (JSON.parse(decoder.decode(Uint8Array.from(bytes))) as { a: unknown }).a).toBe("boolean");
  });
});
