import { describe, expect, it } from "vitest";
import type { TabgridError } from "../errors.ts";
import { assert } from "../result.ts";
import { compileGrammar } from "./json-schema.ts";

type Schema = Record<string, unknown>;

describe("what a text cannot be held to is refused", () => {
  const refusalOf = (schema: Schema): TabgridError => {
    const compiled = compileGrammar({ kind: "json-schema", schema });
    assert(!compiled.ok, "refused");
    expect(compiled.error.code).toBe("unsupported-parameter");
    return compiled.error;
  };
  const inside = (schema: unknown): Schema => ({ type: "object", properties: { a: schema } });
  const wide = (levels: number): Schema => ({
    anyOf: Array.from({ length: 8 }, (_, i) =>
      levels ? wide(levels - 1) : { type: "object", properties: { [i]: {} } },
    ),
  });

  it.each([
    [{ type: "string", pattern: "a+" }, "schema.properties.a.pattern"],
    [{ type: "string", format: "date" }, "schema.properties.a.format"],
    [{ type: "number", multipleOf: 3 }, "schema.properties.a.multipleOf"],
    [{ type: "array", uniqueItems: true }, "schema.properties.a.uniqueItems"],
    [{ type: "array", prefixItems: [] }, "schema.properties.a.prefixItems"],
    [{ oneOf: [{ type: "null" }] }, "schema.properties.a.oneOf"],
    [{ allOf: [] }, "schema.properties.a.allOf"],
    [{ not: {} }, "schema.properties.a.not"],
    [{ type: "object", patternProperties: {} }, "schema.properties.a.patternProperties"],
    [{ type: "text" }, "schema.properties.a.type"],
    [{ type: "toString" }, "schema.properties.a.type"],
    [{ type: [] }, "schema.properties.a.type"],
    [{ minimum: 3 }, "schema.properties.a.type"],
    [{ type: "string", minLength: -1 }, "schema.properties.a.minLength"],
    [{ type: "array", minItems: 3, maxItems: 2 }, "schema.properties.a.maxItems"],
    [{ type: "number", maximum: "3" }, "schema.properties.a.maximum"],
    [{ anyOf: [] }, "schema.properties.a.anyOf"],
    [{ anyOf: [{ type: "null" }, { type: "string", pattern: "" }] }, "schema.properties.a.anyOf[1].pattern"],
    [{ anyOf: [{ type: "null" }], type: "null" }, "schema.properties.a.type"],
    [{ enum: [] }, "schema.properties.a.enum"],
    [{ const: "a", minLength: 1 }, "schema.properties.a.minLength"],
    [{ $ref: "https://example.org/schema" }, "schema.properties.a.$ref"],
    [{ $ref: "#/$defs/absent" }, "schema.properties.a.$ref"],
    [{ $ref: 3 }, "schema.properties.a.$ref"],
    ["string", "schema.properties.a"],
    [false, "schema.properties.a"],
    [{ type: "object", required: ["b"], additionalProperties: false }, "schema.properties.a.required"],
    [{ type: "object", properties: [] }, "schema.properties.a.properties"],
    [wide(2), "schema"],
  ])("%j", (schema, field) => {
    expect(refusalOf(inside(schema)).field).toBe(field);
  });

  it("a schema that nothing satisfies", () => {
    const endless = { type: "object", properties: { again: { $ref: "#" } }, required: ["again"] };
    expect(refusalOf(endless).message).toContain("finite");
    expect(refusalOf({ type: "integer", minimum: 2, maximum: 1 }).field).toBe("schema");
    expect(refusalOf({ type: "string", enum: [1] }).field).toBe("schema");
  });

  it("hostile sizes", () => {
    let deep: Schema = { type: "null" };
    for (let level = 0; level < 10_000; level++) deep = { type: "array", items: deep };
    expect(refusalOf(deep).expected).toContain("levels");
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`p${i}`, { type: "null" }]));
    expect(refusalOf({ type: "object", properties: many }).expected).toContain("schemas");
    expect(refusalOf({ enum: ["x".repeat(200_000)] }).expected).toContain("characters");
    const chain = Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`d${i}`, { $ref: `#/$defs/d${i + 1}` }]));
    expect(refusalOf({ $ref: "#/$defs/d0", $defs: chain }).expected).toContain("references");
  });
});
