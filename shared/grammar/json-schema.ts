import { failure, type TabgridError } from "../errors.ts";
import { err, ok, type Result } from "../result.ts";
import type { TextGrammar } from "../text-generation.ts";
import { decimalsWithin } from "./number-bytes.ts";
import { anyValue, heightsOf, literals, objectOf, type Shape } from "./shapes.ts";

/**
 * The part of JSON Schema (2020-12) that a text can be held to while it is written: the one that OpenAI's structured outputs
 * name, without `pattern` and `format`. What is not known is refused with its path, never passed over: a caller must be able
 * to rely on the text. Differences to the standard, all of them narrower:
 *
 *   - properties come in the order of the schema, others after them
 *   - numbers with bounds have no exponent and at most 20 decimal places; integers never have an exponent
 *   - `enum` and `const` are written as JSON.stringify does, and stand beside `type` alone
 */
export const schemaLimits = {
  /** Places in the schema, references counted once. */
  shapes: 4_096,
  /** All names and literals together. */
  characters: 128 * 1024,
  /** Objects and arrays inside each other, in the schema and in the text. */
  depth: 64,
  /** Of `anyOf`, those inside others counted; the values of an `enum` are one. */
  alternatives: 48,
  /** Schemas inside each other by way of references. */
  nesting: 512,
} as const;

const annotations = new Set(
  "$schema $id $comment $anchor title description default example examples deprecated readOnly writeOnly".split(" "),
);
const ofType: Record<string, readonly string[]> = {
  object: ["properties", "required", "additionalProperties"],
  array: ["items", "minItems", "maxItems"],
  string: ["minLength", "maxLength"],
  number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  integer: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
  boolean: [],
  null: [],
};
const assertions = [...new Set(Object.values(ofType).flat())];
const known = new Set([...assertions, ..."type enum const anyOf $ref $defs definitions".split(" "), ...annotations]);

export interface CompiledGrammar {
  root: Shape;
  heights: ReadonlyMap<Shape, number>;
}

/** What a text must be, or what of the schema cannot be served; fields are paths, `schema.properties.age.multipleOf`. */
export function compileGrammar(grammar: TextGrammar): Result<CompiledGrammar, TabgridError> {
  if (grammar.kind === "json") {
    const root = anyValue();
    return ok({ root, heights: heightsOf(root) });
  }
  try {
    const root = new Compiler(grammar.schema).compile();
    const heights = heightsOf(root);
    const height = heights.get(root);
    if (height === undefined) refuse("schema", "a schema that some finite value satisfies", "one that none does");
    const wide = widest(heights.keys());
    if (wide > schemaLimits.alternatives) {
      refuse("schema", `at most ${schemaLimits.alternatives} alternatives at one place`, String(wide));
    }
    if (height > schemaLimits.depth) {
      refuse("schema", `a value of at most ${schemaLimits.depth} levels`, `one that needs ${height}`);
    }
    return ok({ root, heights });
  } catch (error) {
    if (error instanceof Refusal) return err(error.error);
    throw error;
  }
}

/** The most alternatives that a text has before the first byte of a value. */
function widest(shapes: Iterable<Shape>): number {
  let most = 0;
  for (const shape of shapes) {
    const seen = new Set<Shape>([shape]);
    let alternatives = 0;
    for (const one of seen) {
      if (one.kind === "any-of") for (const inner of one.shapes) seen.add(inner);
      else alternatives++;
    }
    most = Math.max(most, alternatives);
  }
  return most;
}

class Refusal extends Error {
  readonly error: TabgridError;
  constructor(error: TabgridError) {
    super(error.message);
    this.error = error;
  }
}

function refuse(field: string, expected: string, got: string): never {
  throw new Refusal(
    failure("unsupported-parameter", `${field}: expected ${expected}, got ${got}`, { field, expected, got }),
  );
}

type Schema = Record<string, unknown>;

class Compiler {
  readonly #root: Schema;
  /** By the pointer of a `$ref`; made before what they refer to, which may refer back. */
  readonly #references = new Map<string, Shape & { kind: "any-of" }>();
  #any: Shape | null = null;
  #shapes = 0;
  #nesting = 0;
  #characters = 0;

  constructor(root: Schema) {
    this.#root = root;
  }

  compile(): Shape {
    // A reference like the others: `#` may be meant by one inside.
    return this.#reference("#", "schema");
  }

  #schema(value: unknown, path: string, depth: number): Shape {
    if (++this.#shapes > schemaLimits.shapes) refuse(path, `at most ${schemaLimits.shapes} schemas`, "more");
    if (depth > schemaLimits.depth) refuse(path, `at most ${schemaLimits.depth} levels`, "more");
    if (value === true) return this.#anything();
    if (!isObject(value)) refuse(path, "a schema", show(value));
    const strange = Object.keys(value).find((keyword) => !known.has(keyword));
    if (strange !== undefined) {
      refuse(`${path}.${strange}`, "a keyword that this hub can hold a text to", `\`${strange}\``);
    }
    if (value.$ref !== undefined) {
      this.#alone(value, "$ref", path);
      if (typeof value.$ref !== "string") refuse(`${path}.$ref`, "a text", show(value.$ref));
      return this.#reference(value.$ref, `${path}.$ref`);
    }
    if (value.anyOf !== undefined) {
      this.#alone(value, "anyOf", path);
      if (!Array.isArray(value.anyOf) || value.anyOf.length === 0) {
        refuse(`${path}.anyOf`, "a list of schemas", show(value.anyOf));
      }
      const shapes = value.anyOf.map((one, index) => this.#schema(one, `${path}.anyOf[${index}]`, depth + 1));
      return { kind: "any-of", shapes };
    }
    if (value.enum !== undefined || value.const !== undefined) return this.#values(value, path);
    return this.#typed(value, path, depth);
  }

  /** Beside these keywords only annotations and definitions may stand. */
  #alone(schema: Schema, keyword: string, path: string): void {
    const beside = Object.keys(schema).find(
      (other) => other !== keyword && !annotations.has(other) && other !== "$defs" && other !== "definitions",
    );
    if (beside !== undefined) refuse(`${path}.${beside}`, `nothing beside \`${keyword}\``, `\`${beside}\``);
  }

  #reference(pointer: string, path: string): Shape {
    const made = this.#references.get(pointer);
    if (made) return made;
    if (pointer !== "#" && !pointer.startsWith("#/"))
      refuse(path, "a reference inside this schema, #/…", show(pointer));
    let target: unknown = this.#root;
    const steps = pointer === "#" ? [] : pointer.slice(2).split("/").map(unescapePointer);
    for (const step of steps) {
      const inside = isObject(target) || Array.isArray(target) ? Object.entries(target) : [];
      target = inside.find(([key]) => key === step)?.[1];
      if (target === undefined) refuse(path, "a reference to what is there", show(pointer));
    }
    const shape: Shape & { kind: "any-of" } = { kind: "any-of", shapes: [] };
    this.#references.set(pointer, shape);
    if (++this.#nesting > schemaLimits.nesting) refuse(path, `at most ${schemaLimits.nesting} references deep`, "more");
    shape.shapes.push(this.#schema(target, ["schema", ...steps].join("."), 0));
    this.#nesting--;
    return shape;
  }

  #values(schema: Schema, path: string): Shape {
    const keyword = schema.enum === undefined ? "const" : "enum";
    const beside = Object.keys(schema).find(
      (other) => ![keyword, "type", "$defs", "definitions"].includes(other) && !annotations.has(other),
    );
    if (beside !== undefined) refuse(`${path}.${beside}`, `only \`type\` beside \`${keyword}\``, `\`${beside}\``);
    const given = schema.enum ?? [schema.const];
    if (!Array.isArray(given) || given.length === 0) refuse(`${path}.enum`, "a list of values", show(given));
    const types = schema.type === undefined ? null : typesOf(schema.type, `${path}.type`);
    const values = given.filter((value) => types === null || types.some((type) => isOf(value, type)));
    for (const value of values) this.#count(JSON.stringify(value).length, `${path}.${keyword}`);
    return values.length > 0 ? literals(values) : { kind: "any-of", shapes: [] };
  }

  #typed(schema: Schema, path: string, depth: number): Shape {
    if (schema.type === undefined) {
      const loose = Object.keys(schema).find((keyword) => assertions.includes(keyword));
      if (loose !== undefined) refuse(`${path}.type`, `a type beside \`${loose}\``, "none");
      return this.#anything();
    }
    const types = typesOf(schema.type, `${path}.type`);
    const shapes = types
      .filter((type) => type !== "integer" || !types.includes("number"))
      .map((type) => this.#ofType(type, schema, path, depth));
    return shapes.length === 1 ? (shapes[0] as Shape) : { kind: "any-of", shapes };
  }

  #ofType(type: string, schema: Schema, path: string, depth: number): Shape {
    switch (type) {
      case "null":
        return literals([null]);
      case "boolean":
        return literals([true, false]);
      case "string": {
        const [min, max] = range(schema, "minLength", "maxLength", path);
        return { kind: "string", min, max };
      }
      case "number":
      case "integer":
        return numbers(schema, type === "integer", path);
      case "array": {
        const [min, max] = range(schema, "minItems", "maxItems", path);
        const { items = true } = schema;
        return { kind: "array", item: this.#schema(items, `${path}.items`, depth + 1), min, max };
      }
      default:
        return this.#object(schema, path, depth);
    }
  }

  #object(schema: Schema, path: string, depth: number): Shape {
    const { properties = {}, required = [], additionalProperties = true } = schema;
    if (!isObject(properties)) refuse(`${path}.properties`, "an object of schemas", show(properties));
    if (!Array.isArray(required) || !required.every((name) => typeof name === "string")) {
      refuse(`${path}.required`, "a list of names", show(required));
    }
    const additional =
      additionalProperties === false
        ? null
        : this.#schema(additionalProperties, `${path}.additionalProperties`, depth + 1);
    const declared = Object.entries(properties).map(([name, inner]) => {
      this.#count(name.length, `${path}.properties`);
      return { name, shape: this.#schema(inner, `${path}.properties.${name}`, depth + 1), required: false };
    });
    for (const name of new Set<string>(required)) {
      const property = declared.find((one) => one.name === name);
      if (property) property.required = true;
      else if (additional) declared.push({ name, shape: additional, required: true });
      else refuse(`${path}.required`, "names of properties", show(name));
    }
    return objectOf(declared, additional);
  }

  #anything(): Shape {
    this.#any ??= anyValue();
    return this.#any;
  }

  #count(characters: number, path: string): void {
    this.#characters += characters;
    if (this.#characters > schemaLimits.characters) {
      refuse(path, `at most ${schemaLimits.characters} characters of names and values`, "more");
    }
  }
}

function typesOf(type: unknown, path: string): string[] {
  const types = Array.isArray(type) ? type : [type];
  const odd = types.find((one) => typeof one !== "string" || !Object.hasOwn(ofType, one));
  if (odd !== undefined || types.length === 0) refuse(path, `of ${Object.keys(ofType).join(", ")}`, show(odd ?? type));
  return [...new Set<string>(types)];
}

function isOf(value: unknown, type: string): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "integer") return Number.isInteger(value);
  return type === "object" ? isObject(value) : typeof value === type;
}

function range(schema: Schema, least: string, most: string, path: string): [number, number] {
  const read = (keyword: string, otherwise: number): number => {
    const value = schema[keyword] ?? otherwise;
    const fits = value === Number.POSITIVE_INFINITY || (Number.isSafeInteger(value) && (value as number) >= 0);
    return fits ? (value as number) : refuse(`${path}.${keyword}`, "a whole number from 0", show(value));
  };
  const [min, max] = [read(least, 0), read(most, Number.POSITIVE_INFINITY)];
  return min <= max ? [min, max] : refuse(`${path}.${most}`, `at least \`${least}\` (${min})`, String(max));
}

function numbers(schema: Schema, integer: boolean, path: string): Shape {
  const bounds: Record<string, number | undefined> = {};
  for (const keyword of ofType.number as string[]) {
    const value = schema[keyword];
    if (value === undefined) continue;
    if (typeof value !== "number" || !Number.isFinite(value)) refuse(`${path}.${keyword}`, "a number", show(value));
    bounds[keyword] = value;
  }
  if (Object.keys(bounds).length === 0) return { kind: "number", integer };
  const within = decimalsWithin(bounds, integer);
  return within ? { kind: "decimals", within } : { kind: "any-of", shapes: [] };
}

const isObject = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const unescapePointer = (step: string): string => decodePercent(step).replaceAll("~1", "/").replaceAll("~0", "~");

function decodePercent(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
