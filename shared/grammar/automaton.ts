import type { CompiledGrammar } from "./json-schema.ts";
import { judgePrefix, WHOLE_DIGITS } from "./number-bytes.ts";
import type { ObjectShape, Shape } from "./shapes.ts";
import { BETWEEN, isInsideCharacter, NEVER, stepString } from "./string-bytes.ts";

/**
 * A pushdown automaton over bytes. A thread is a stack of frames, each waiting for a byte; where a schema leaves a choice
 * (`anyOf`, a number that may end), a text is at several threads at once. Every thread can be completed to a valid text, so
 * a text that follows the automaton never comes to a dead end.
 *
 * A frame's place in its shape, by kind:
 *
 *   lead      before the first byte of all; one blank may come first, as some tokenizers write
 *   literal   `at`: node of the tree
 *   string    `at`: state of string-bytes.ts, OPENING before the quote; `count`: characters so far
 *   number    `at`: a NumberPlace; `count`: digits, or the exponent's value; `flags`: ONE_DIGIT, NEGATIVE_EXPONENT
 *   decimals  `text`: the number so far
 *   object    `at`: a Place; `count`: the first property that may still come; `flags`: blanks so far
 *   name      `at`: node of the names' tree; `count` as of its object
 *   other     a name of none of the properties: `at` as of a string; `count`: node of the names' tree, or -1 off it
 *   array     `at`: a Place; `count`: items so far; `flags`: blanks so far
 *   end       of the text; waits for nothing
 */
export interface Frame {
  readonly kind: "lead" | "literal" | "string" | "number" | "decimals" | "object" | "name" | "other" | "array" | "end";
  readonly shape: Shape | null;
  readonly at: number;
  readonly count: number;
  readonly flags: number;
  readonly text: string;
  readonly next: Frame | null;
  /** Objects and arrays that are open, this one included. */
  readonly depth: number;
  readonly id: number;
}

/** Threads of one text; more are dropped, which narrows the language and leaves it right. */
const THREADS = 64;
/** Blanks in a row: enough to indent. A small model given its way would write nothing else. */
const BLANKS = 24;
const OPENING = -2;
const Place = { open: 0, first: 1, after: 2, comma: 3, colon: 4, value: 5 } as const;
const NumberPlace = {
  start: 0,
  minus: 1,
  zero: 2,
  whole: 3,
  point: 4,
  fraction: 5,
  e: 6,
  sign: 7,
  exponent: 8,
} as const;
const ONE_DIGIT = 1;
const NEGATIVE_EXPONENT = 2;
/** As many places as JSON.stringify ever writes. */
const FRACTION_DIGITS = 32;
/** So that no number is infinite; mantissas with an exponent have one digit before the point. */
const EXPONENTS = { positive: 307, negative: 324 };

const byte = (char: string): number => char.charCodeAt(0);
const [QUOTE, COMMA, COLON, BRACE, UNBRACE, BRACKET, UNBRACKET, MINUS, PLUS, POINT, ZERO, E] = [...'",:{}[]-+.0e'].map(
  byte,
) as [number, number, number, number, number, number, number, number, number, number, number, number];
const isBlank = (of: number): boolean => of === 0x20 || of === 0x0a || of === 0x09;
/** One blank, or a new line and its indentation; from so many blanks to how many, or NEVER. */
function blanksAfter(blanks: number, next: number): number {
  if (blanks === 0) return next === 0x0a ? 1 : BLANKS;
  return next !== 0x0a && blanks < BLANKS ? blanks + 1 : NEVER;
}
const isDigit = (of: number): boolean => of >= ZERO && of <= ZERO + 9;

export class Automaton {
  readonly #heights: CompiledGrammar["heights"];
  readonly #depthMax: number;
  readonly #shapeIds = new Map<Shape, number>();
  #frames = new Map<string, Frame>();
  #ids = 0;
  readonly #start: Frame[];

  constructor({ root, heights }: CompiledGrammar, depthMax: number) {
    this.#heights = heights;
    this.#depthMax = depthMax;
    const end = this.#frame("end", null, null, {});
    this.#start = [this.#frame("lead", root, end, {})];
    this.#begin(root, end, this.#start);
  }

  start(): readonly Frame[] {
    return this.#start;
  }

  /** Where a text's threads are after one more byte; none: no valid text goes on so. */
  step(threads: readonly Frame[], next: number): readonly Frame[] {
    const out: Frame[] = [];
    for (const frame of threads) this.#step(frame, next, out);
    return out;
  }

  /** Frees what is remembered; frames that are held stay good. */
  forget(): void {
    this.#frames = new Map();
  }

  get size(): number {
    return this.#frames.size;
  }

  #frame(
    kind: Frame["kind"],
    shape: Shape | null,
    next: Frame | null,
    { at = 0, count = 0, flags = 0, text = "" }: Partial<Pick<Frame, "at" | "count" | "flags" | "text">>,
  ): Frame {
    let shapeId = -1;
    if (shape) {
      shapeId = this.#shapeIds.get(shape) ?? this.#shapeIds.size;
      this.#shapeIds.set(shape, shapeId);
    }
    const key = `${kind} ${shapeId} ${next?.id ?? -1} ${at} ${count} ${flags} ${text}`;
    let frame = this.#frames.get(key);
    if (!frame) {
      const opens = kind === "object" || kind === "array" ? 1 : 0;
      frame = { kind, shape, next, at, count, flags, text, depth: (next?.depth ?? 0) + opens, id: this.#ids++ };
      this.#frames.set(key, frame);
    }
    return frame;
  }

  #put(out: Frame[], frame: Frame): void {
    if (out.length < THREADS && !out.includes(frame)) out.push(frame);
  }

  /** The frame with other values. */
  #move(frame: Frame, to: Partial<Pick<Frame, "at" | "count" | "flags" | "text">>, out: Frame[]): void {
    const { at, count, flags, text } = { ...frame, ...to };
    this.#put(out, this.#frame(frame.kind, frame.shape, frame.next, { at, count, flags, text }));
  }

  /** Whether a text of this shape fits inside what is open. */
  #fits(shape: Shape, depth: number): boolean {
    const height = this.#heights.get(shape);
    return height !== undefined && depth + height <= this.#depthMax;
  }

  /** Adds the threads that wait for the first byte of a value. */
  #begin(shape: Shape, next: Frame, out: Frame[], inside: readonly Shape[] = []): void {
    if (!this.#fits(shape, next.depth)) return;
    switch (shape.kind) {
      case "any-of":
        if (inside.includes(shape)) return; // it stands for itself
        for (const one of shape.shapes) this.#begin(one, next, out, [...inside, shape]);
        return;
      case "literals":
        return this.#put(out, this.#frame("literal", shape, next, {}));
      case "string":
        return this.#put(out, this.#frame("string", shape, next, { at: OPENING }));
      default:
        return this.#put(out, this.#frame(shape.kind, shape, next, {}));
    }
  }

  #step(frame: Frame, next: number, out: Frame[]): void {
    switch (frame.kind) {
      case "lead":
        if (isBlank(next)) this.#begin(frame.shape as Shape, frame.next as Frame, out);
        return;
      case "literal":
        return this.#literal(frame, next, out);
      case "string":
        return this.#string(frame, next, out);
      case "number":
        return this.#number(frame, next, out);
      case "decimals":
        return this.#decimals(frame, next, out);
      case "object":
        return this.#object(frame, next, out);
      case "name":
        return this.#name(frame, next, out);
      case "other":
        return this.#other(frame, next, out);
      case "array":
        return this.#array(frame, next, out);
      case "end":
        return;
    }
  }

  #literal(frame: Frame, next: number, out: Frame[]): void {
    const { tree } = frame.shape as Shape & { kind: "literals" };
    const at = tree.child(frame.at, next);
    if (at < 0) return;
    if (tree.ends(at) >= 0) this.#put(out, frame.next as Frame);
    if (!tree.isLeaf(at)) this.#move(frame, { at }, out);
  }

  #string(frame: Frame, next: number, out: Frame[]): void {
    const { min, max } = frame.shape as Shape & { kind: "string" };
    const { at, count } = frame;
    if (at === OPENING) {
      if (next === QUOTE) this.#move(frame, { at: BETWEEN }, out);
      return;
    }
    if (at === BETWEEN && next === QUOTE) {
      if (count >= min) this.#put(out, frame.next as Frame);
      return;
    }
    if (at === BETWEEN && count >= max) return;
    const to = stepString(at, next, false);
    if (to === NEVER) return;
    // Without a most, only whether the least is reached must be known.
    const most = max === Number.POSITIVE_INFINITY ? min : max;
    this.#move(frame, { at: to, count: to === BETWEEN ? Math.min(count + 1, most) : count }, out);
  }

  #number(frame: Frame, next: number, out: Frame[]): void {
    const { integer } = frame.shape as Shape & { kind: "number" };
    const { at, count, flags } = frame;
    const digit = isDigit(next) ? next - ZERO : -1;
    /** Where a number may end, it also goes on with what follows it. */
    const go = (to: Partial<Pick<Frame, "at" | "count" | "flags">>, mayEnd: boolean) => {
      if (mayEnd) this.#put(out, frame.next as Frame);
      this.#move(frame, to, out);
    };
    switch (at) {
      case NumberPlace.start:
      case NumberPlace.minus:
        if (next === MINUS && at === NumberPlace.start) return go({ at: NumberPlace.minus }, false);
        if (digit > 0) return go({ at: NumberPlace.whole, count: 1, flags: ONE_DIGIT }, true);
        if (digit < 0 || (integer && at === NumberPlace.minus)) return;
        if (integer) return this.#put(out, frame.next as Frame);
        return go({ at: NumberPlace.zero }, true);
      case NumberPlace.zero:
        if (next === POINT) go({ at: NumberPlace.point, count: 0 }, false);
        return;
      case NumberPlace.whole:
        if (digit >= 0 && count < WHOLE_DIGITS) return go({ count: count + 1, flags: 0 }, true);
        if (integer) return;
        if (next === POINT) return go({ at: NumberPlace.point, count: 0 }, false);
        if (next === E && flags & ONE_DIGIT) go({ at: NumberPlace.e, count: 0, flags: 0 }, false);
        return;
      case NumberPlace.point:
        if (digit >= 0) go({ at: NumberPlace.fraction, count: 1 }, true);
        return;
      case NumberPlace.fraction:
        if (digit >= 0 && count < FRACTION_DIGITS) return go({ count: count + 1 }, true);
        if (next === E && flags & ONE_DIGIT) go({ at: NumberPlace.e, count: 0, flags: 0 }, false);
        return;
      case NumberPlace.e:
        if (next === MINUS || next === PLUS) {
          return go({ at: NumberPlace.sign, flags: next === MINUS ? NEGATIVE_EXPONENT : 0 }, false);
        }
        if (digit > 0) go({ at: NumberPlace.exponent, count: digit }, true);
        return;
      case NumberPlace.sign:
        if (digit > 0) go({ at: NumberPlace.exponent, count: digit }, true);
        return;
      default: {
        const value = count * 10 + digit;
        const most = flags & NEGATIVE_EXPONENT ? EXPONENTS.negative : EXPONENTS.positive;
        if (digit >= 0 && value <= most) go({ count: value }, true);
      }
    }
  }

  #decimals(frame: Frame, next: number, out: Frame[]): void {
    const { within } = frame.shape as Shape & { kind: "decimals" };
    if (next !== MINUS && next !== POINT && !isDigit(next)) return;
    const text = frame.text + String.fromCharCode(next);
    const { mayBegin, isWithin } = judgePrefix(text, within);
    if (!mayBegin) return;
    if (isWithin) this.#put(out, frame.next as Frame);
    this.#move(frame, { text }, out);
  }

  #object(frame: Frame, next: number, out: Frame[]): void {
    const shape = frame.shape as ObjectShape;
    const { at, count, flags } = frame;
    if (at === Place.open) {
      if (next === BRACE) this.#move(frame, { at: Place.first }, out);
      return;
    }
    if (isBlank(next)) {
      const blanks = blanksAfter(flags, next);
      if (blanks === NEVER) return;
      this.#move(frame, { flags: blanks }, out);
      if (at === Place.value) this.#property(frame, out);
      return;
    }
    switch (at) {
      case Place.first:
      case Place.after:
        if (next === UNBRACE && this.#nextRequired(shape, count) === shape.properties.length) {
          return this.#put(out, frame.next as Frame);
        }
        if (at === Place.first && next === QUOTE) return this.#nameOf(frame, out);
        if (next === COMMA && at === Place.after && this.#mayName(frame)) {
          this.#move(frame, { at: Place.comma, flags: 0 }, out);
        }
        return;
      case Place.comma:
        if (next === QUOTE) this.#nameOf(frame, out);
        return;
      case Place.colon:
        if (next !== COLON) return;
        this.#move(frame, { at: Place.value, flags: 0 }, out);
        return this.#property(this.#frame("object", shape, frame.next, { at: Place.value, count }), out);
    }
  }

  /** Begins the value of the property whose name was read: of a declared one `count` is its index, of another the end. */
  #property(frame: Frame, out: Frame[]): void {
    const { properties, additional } = frame.shape as ObjectShape;
    const value = properties[frame.count]?.shape ?? (additional as Shape);
    const count = Math.min(frame.count + 1, properties.length);
    const after = this.#frame("object", frame.shape, frame.next, { at: Place.after, count });
    this.#begin(value, after, out);
  }

  #nameOf(frame: Frame, out: Frame[]): void {
    const { names } = frame.shape as ObjectShape;
    const { count } = frame;
    // The name's own frame leads to its object, which goes on at the colon.
    const object = this.#frame("object", frame.shape, frame.next, { at: Place.colon, count });
    if (this.#mayComplete(object, 0)) this.#put(out, this.#frame("name", frame.shape, object, {}));
    if (this.#mayAdd(object))
      this.#put(out, this.#frame("other", frame.shape, object, { count: names.isLeaf(0) ? -1 : 0 }));
  }

  #mayName(frame: Frame): boolean {
    return this.#mayComplete(frame, 0) || this.#mayAdd(frame);
  }

  /** The first required property from an index on; the number of properties where there is none. */
  #nextRequired({ properties }: ObjectShape, from: number): number {
    let index = from;
    while (index < properties.length && !properties[index]?.required) index++;
    return index;
  }

  /** Whether some property that may come now has a name below this node of the tree. */
  #mayComplete(object: Frame, node: number): boolean {
    const shape = object.shape as ObjectShape;
    const last = this.#nextRequired(shape, object.count);
    return shape.names.within(node).some((index) => {
      const property = shape.properties[index];
      return index >= object.count && index <= last && property && this.#fits(property.shape, object.depth);
    });
  }

  /** Other properties come when all declared ones that are required have. */
  #mayAdd(object: Frame): boolean {
    const shape = object.shape as ObjectShape;
    const complete = this.#nextRequired(shape, object.count) === shape.properties.length;
    return complete && shape.additional !== null && this.#fits(shape.additional, object.depth);
  }

  #name(frame: Frame, next: number, out: Frame[]): void {
    const { names, properties } = frame.shape as ObjectShape;
    const object = frame.next as Frame;
    const at = names.child(frame.at, next);
    if (at >= 0) {
      if (this.#mayComplete(object, at)) this.#move(frame, { at }, out);
      return;
    }
    // An escaped quote is in the tree; this one is not.
    if (next !== QUOTE) return;
    const index = names.ends(frame.at);
    const shape = properties[index]?.shape;
    const isDue = index >= object.count && index <= this.#nextRequired(frame.shape as ObjectShape, object.count);
    if (shape && isDue && this.#fits(shape, object.depth)) this.#move(object, { count: index }, out);
  }

  /** Written as JSON.stringify does, so that no escape hides a declared name. */
  #other(frame: Frame, next: number, out: Frame[]): void {
    const { names, properties } = frame.shape as ObjectShape;
    const object = frame.next as Frame;
    if (frame.at === BETWEEN && next === QUOTE) {
      const isDeclared = frame.count >= 0 && names.ends(frame.count) >= 0;
      if (!isDeclared) this.#move(object, { count: properties.length }, out);
      return;
    }
    const at = stepString(frame.at, next, true);
    if (at === NEVER) return;
    const count = frame.count < 0 ? -1 : names.child(frame.count, next);
    this.#move(frame, { at, count }, out);
  }

  #array(frame: Frame, next: number, out: Frame[]): void {
    const { item, min, max } = frame.shape as Shape & { kind: "array" };
    const { at, count, flags } = frame;
    const items = (place: Frame) => {
      const most = max === Number.POSITIVE_INFINITY ? min : max;
      const after = { at: Place.after, count: Math.min(count + 1, most) };
      this.#begin(item, this.#frame("array", place.shape, place.next, after), out);
    };
    const mayHaveMore = count < max && this.#fits(item, frame.depth);
    if (at === Place.open) {
      if (next !== BRACKET) return;
      this.#move(frame, { at: Place.first }, out);
      if (mayHaveMore) items(frame);
      return;
    }
    if (isBlank(next)) {
      const blanks = blanksAfter(flags, next);
      if (blanks === NEVER) return;
      this.#move(frame, { flags: blanks }, out);
      if (at !== Place.after && mayHaveMore) items(frame);
      return;
    }
    if (next === UNBRACKET && at !== Place.comma && count >= min) return this.#put(out, frame.next as Frame);
    if (next === COMMA && at === Place.after && mayHaveMore) {
      this.#move(frame, { at: Place.comma, flags: 0 }, out);
      items(frame);
    }
  }
}

/** Whether the text may end here. */
export const isComplete = (threads: readonly Frame[]): boolean => threads.some(({ kind }) => kind === "end");

/** Whether the text ends inside a character of several bytes. */
export const endsInsideCharacter = (threads: readonly Frame[]): boolean =>
  threads.some(({ kind, at }) => (kind === "string" || kind === "other") && isInsideCharacter(at));

/** Whether the text is between two characters of a string that has room for so many more. */
export const takesAnyText = (threads: readonly Frame[], characters: number): boolean =>
  threads.some(({ kind, at, count, shape }) => {
    if (at !== BETWEEN) return false;
    return kind === "other" || (kind === "string" && (shape as Shape & { kind: "string" }).max - count >= characters);
  });
