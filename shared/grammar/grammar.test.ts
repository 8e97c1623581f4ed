import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { nextInt, type Rng, seededRng } from "../random.ts";
import { assert } from "../result.ts";
import type { Grammar } from "./grammar.ts";
import { accepts, everyToken, ofSchema, open, pieces, STOP, spell, vocabulary } from "./test-vocabulary.ts";

type Schema = Record<string, unknown>;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Tokens drawn among those that are allowed, until the stop token is; null where the text grew too long. */
function walk(grammar: Grammar, rng: Rng, most = 400): string | null {
  const bytes: number[] = [];
  let state = grammar.start();
  for (let steps = 0; steps < most; steps++) {
    const choices = everyToken.filter((token) => state.allows(token));
    // Whatever may follow, something must: a dead end would leave the model without a word.
    expect(choices.length, String.fromCharCode(...bytes)).toBeGreaterThan(0);
    expect(state.isComplete).toBe(choices.includes(STOP));
    // Ending is as likely as everything else together, else hardly any text would be short.
    const token = choices.includes(STOP) && rng.next() < 0.5 ? STOP : (choices[nextInt(rng, choices.length)] as number);
    state = state.push(token);
    if (token === STOP) {
      expect(state.isComplete).toBe(true);
      expect(everyToken.some((any) => state.allows(any))).toBe(false);
      return decoder.decode(Uint8Array.from(bytes));
    }
    bytes.push(...(vocabulary[token] as Uint8Array));
  }
  return null;
}

/** JSON Schema by its text, for the keywords that are served: what the automaton is measured against. */
function isValid(schema: unknown, value: unknown, root: unknown): boolean {
  if (schema === true) return true;
  const s = schema as Schema;
  const check = (inner: unknown, part: unknown) => isValid(inner, part, root);
  if (typeof s.$ref === "string") {
    const steps = s.$ref.split("/").slice(1);
    return check(
      steps.reduce((at, step) => (at as Schema)[step], root),
      value,
    );
  }
  if (Array.isArray(s.anyOf) && !s.anyOf.some((one) => check(one, value))) return false;
  if (Array.isArray(s.enum) && !s.enum.some((one) => JSON.stringify(one) === JSON.stringify(value))) return false;
  if ("const" in s && JSON.stringify(s.const) !== JSON.stringify(value)) return false;
  const kind = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  const types = s.type === undefined ? null : [s.type].flat();
  const fits = types?.some((type) => type === kind || (type === "integer" && Number.isInteger(value)));
  if (fits === false) return false;
  const {
    minimum = -Infinity,
    maximum = Infinity,
    exclusiveMinimum = -Infinity,
    exclusiveMaximum = Infinity,
  } = s as Record<string, number>;
  if (typeof value === "number") {
    return value >= minimum && value <= maximum && value > exclusiveMinimum && value < exclusiveMaximum;
  }
  const { minLength = 0, maxLength = Infinity, minItems = 0, maxItems = Infinity } = s as Record<string, number>;
  if (typeof value === "string") return [...value].length >= minLength && [...value].length <= maxLength;
  if (Array.isArray(value)) {
    const { items = true } = s;
    return value.length >= minItems && value.length <= maxItems && value.every((one) => check(items, one));
  }
  if (kind !== "object") return true;
  const { properties = {}, required = [], additionalProperties = true } = s as Record<string, object | boolean>;
  const declared = new Map(Object.entries(properties));
  return (
    (required as string[]).every((name) => Object.hasOwn(value as object, name)) &&
    Object.entries(value as object).every(([name, part]) =>
      declared.has(name)
        ? check(declared.get(name), part)
        : additionalProperties !== false && check(additionalProperties, part),
    )
  );
}

const nameArb = fc.constantFrom("a", "ab", "abc", "b", 'q"', "é", "line\n", "\u0001", "__proto__");
const textArb = fc.string({ unit: "grapheme", maxLength: 6 });
/** Of numbers below 1e308: the last that are finite have no text that could not also become an infinite one. */
const jsonArb = fc
  .jsonValue({ maxDepth: 2, stringUnit: "grapheme" })
  .filter((value) => !/e\+308/.test(JSON.stringify(value)));
const plainNumber = fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e300, max: 1e300 });
/** Of so many decimal places that none is written with an exponent. */
const decimal = fc.integer({ min: -2_000_000, max: 2_000_000 }).map((units) => units / 1000);

interface Case {
  schema: Schema;
  /** Values that satisfy it, properties in its order. */
  value: fc.Arbitrary<unknown>;
}

const bounded = (make: (low: number, high: number) => Case) =>
  fc.tuple(decimal, decimal).map(([a, b]) => make(Math.min(a, b), Math.max(a, b)));

const leaf: fc.Arbitrary<Case> = fc.oneof(
  fc.constant({ schema: { type: "null" }, value: fc.constant(null) }),
  fc.constant({ schema: { type: "boolean" }, value: fc.boolean() }),
  fc.constant({ schema: { type: ["string", "null"] }, value: fc.option(textArb) }),
  fc.constant({ schema: { type: "number" }, value: plainNumber }),
  fc.constant({ schema: { type: "integer" }, value: fc.maxSafeInteger() }),
  bounded((minimum, maximum) => ({
    schema: { type: "number", minimum, maximum },
    value: decimal.map((one) => Math.min(maximum, Math.max(minimum, one))),
  })),
  fc.integer({ min: -300, max: 300 }).chain((low) =>
    fc.nat(300).map((more) => ({
      schema: { type: "integer", minimum: low, exclusiveMaximum: low + more + 1 },
      value: fc.integer({ min: low, max: low + more }),
    })),
  ),
  fc.tuple(fc.nat(3), fc.nat(4)).map(([minLength, more]) => ({
    schema: { type: "string", minLength, maxLength: minLength + more },
    value: fc
      .array(fc.string({ unit: "binary", minLength: 1, maxLength: 1 }), { minLength, maxLength: minLength + more })
      .map((chars) => chars.join("")),
  })),
  fc
    .uniqueArray(jsonArb, {
      minLength: 1,
      maxLength: 5,
      selector: (value) => JSON.stringify(value),
    })
    .map((values) => ({
      schema: { enum: values },
      value: fc.constantFrom(...values),
    })),
  textArb.map((text) => ({ schema: { type: "string", const: text }, value: fc.constant(text) })),
  fc.constant({ schema: {}, value: jsonArb }),
);

const { schemas } = fc.letrec<{ schemas: Case }>((tie) => ({
  schemas: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.tuple(tie("schemas"), fc.nat(2), fc.nat(2)).map(([{ schema, value }, minItems, more]) => ({
      schema: { type: "array", items: schema, minItems, maxItems: minItems + more },
      value: fc.array(value, { minLength: minItems, maxLength: minItems + more }),
    })),
    fc.array(tie("schemas"), { minLength: 1, maxLength: 3 }).map((cases) => ({
      schema: { anyOf: cases.map(({ schema }) => schema) },
      value: fc.oneof(...cases.map(({ value }) => value)),
    })),
    fc
      .record({
        properties: fc.uniqueArray(fc.tuple(nameArb, tie("schemas"), fc.boolean()), {
          maxLength: 4,
          selector: ([name]) => name,
        }),
        others: fc.option(tie("schemas")),
      })
      .map(({ properties, others }) => ({
        schema: {
          type: "object",
          properties: Object.fromEntries(properties.map(([name, { schema }]) => [name, schema])),
          required: properties.filter(([, , required]) => required).map(([name]) => name),
          additionalProperties: others ? others.schema : false,
        },
        value: fc
          .tuple(
            fc.tuple(
              ...properties.map(([, { value }, required]) => (required ? value : fc.option(value, { nil: undefined }))),
            ),
            others ? fc.array(fc.tuple(textArb, others.value), { maxLength: 2 }) : fc.constant([]),
          )
          .map(([values, more]) => {
            const declared = properties.flatMap(([name], i) => (values[i] === undefined ? [] : [[name, values[i]]]));
            const names = new Set<unknown>(properties.map(([name]) => name));
            // Names that are numbers would come first: JavaScript orders them.
            const free = more.filter(([name]) => !names.has(name) && !/^\d+$/.test(name));
            return Object.fromEntries([...declared, ...free] as [string, unknown][]);
          }),
      })),
  ),
})) as unknown as { schemas: fc.Arbitrary<Case> };

describe("a grammar", () => {
  it("lets only texts through that the schema allows, and never leads into a dead end", () => {
    fc.assert(
      fc.property(schemas, fc.integer(), ({ schema }, seed) => {
        const grammar = ofSchema(schema);
        const text = walk(grammar, seededRng(seed));
        if (text === null) return;
        const value: unknown = JSON.parse(text);
        expect(isValid(schema, value, schema), `${text} of ${JSON.stringify(schema)}`).toBe(true);
      }),
      { numRuns: 400 },
    );
  });

  it("lets through every value that the schema allows, as JSON.stringify writes it, compact or indented", () => {
    const cases = schemas.chain(({ schema, value }) => fc.record({ schema: fc.constant(schema), value }));
    fc.assert(
      fc.property(cases, ({ schema, value }) => {
        const canonical: unknown = JSON.parse(JSON.stringify(value));
        if (!isValid(schema, canonical, schema)) return; // -0, or a bound that rounding passed
        expect(accepts(ofSchema(schema), JSON.stringify(value)), `${JSON.stringify(value)}`).toBe(true);
        expect(
          accepts(ofSchema(schema), JSON.stringify(value, null, 2)) || JSON.stringify(schema).includes("enum"),
        ).toBe(true);
      }),
      { numRuns: 400 },
    );
  });

  it("agrees with zod's reading of a schema that zod wrote", () => {
    const person = z.strictObject({
      name: z.string().min(1).max(20),
      age: z.int().min(0).max(150),
      email: z.string().nullable(),
      tags: z.array(z.enum(["red", "green"])).max(3),
      address: z.strictObject({ street: z.string(), number: z.number().positive().optional() }).optional(),
    });
    const schema = z.toJSONSchema(person) as Schema;
    const grammar = ofSchema(schema);
    let finished = 0;
    for (let seed = 0; seed < 60; seed++) {
      const text = walk(grammar, seededRng(seed), 2_000);
      if (text === null) continue;
      finished++;
      person.parse(JSON.parse(text));
    }
    expect(finished).toBeGreaterThan(30);
  });

  it("takes any JSON value where no schema is given", () => {
    const grammar = open({ kind: "json" });
    fc.assert(
      fc.property(jsonArb, (value) => {
        expect(accepts(grammar, JSON.stringify(value))).toBe(true);
      }),
    );
    for (let seed = 0; seed < 200; seed++) {
      const text = walk(grammar, seededRng(seed));
      if (text !== null) JSON.parse(text);
    }
  });

  it("lets no character begin that this vocabulary cannot end", () => {
    const ascii = vocabulary.map((bytes, id) => (id >= 0x80 && id < 0x100 ? null : bytes));
    const quote = open({ kind: "json" }, [...ascii, Uint8Array.of(0xc3)], [])
      .start()
      .push(0x22);
    expect(quote.allows(256 + pieces.indexOf("é"))).toBe(true);
    expect(quote.allows(ascii.length)).toBe(false);
  });

  it("is the same for a text that goes on from another's state", () => {
    const grammar = open({ kind: "json" });
    const shared = grammar.start().push(0x5b);
    const [a, b] = [shared.push(0x31), shared.push(0x5d)];
    expect([a.isComplete, b.isComplete, shared.isComplete]).toEqual([false, true, false]);
    expect(a.push(0x7d).allows(0x31)).toBe(false);
  });

  it("finds the same tokens inside a string as anywhere: those whose bytes lead on", () => {
    const grammar = ofSchema({
      type: "object",
      properties: { "a b": { type: "string", maxLength: 40 } },
      additionalProperties: { const: "x" },
    });
    fc.assert(
      fc.property(fc.integer(), fc.nat(60), (seed, steps) => {
        const rng = seededRng(seed);
        let state = grammar.start();
        for (let step = 0; step < steps && !state.isComplete; step++) {
          const choices = everyToken.filter((token) => state.allows(token));
          for (const token of everyToken.slice(256, STOP)) {
            let at = state;
            const leads = (vocabulary[token] as Uint8Array).every((byte) => {
              const allowed = at.allows(byte);
              at = at.push(byte);
              return allowed;
            });
            expect(choices.includes(token), spell(token)).toBe(leads);
          }
          state = state.push(choices[nextInt(rng, choices.length)] as number);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("forgets without changing its mind", () => {
    const grammar = ofSchema({ type: "array", items: { type: "string", maxLength: 3_000 } });
    let state = grammar.start();
    const write = (text: string) => {
      for (const byte of encoder.encode(text)) {
        assert(state.allows(byte), `allowed: ${String.fromCharCode(byte)}`);
        state = state.push(byte);
      }
    };
    write(`["${"a".repeat(3_000)}`);
    expect(everyToken.filter((token) => state.allows(token)).map((token) => spell(token))).toEqual(['"', '", "']);
    write('"]');
    expect(state.isComplete).toBe(true);
  });
});
