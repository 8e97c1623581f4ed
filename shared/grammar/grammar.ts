import { failure, type TabgridError } from "../errors.ts";
import { err, ok, type Result } from "../result.ts";
import type { TextGrammar } from "../text-generation.ts";
import { Automaton, endsInsideCharacter, type Frame, isComplete, takesAnyText } from "./automaton.ts";
import { compileGrammar, schemaLimits } from "./json-schema.ts";
import type { TokenBytes } from "./token-bytes.ts";
import { PLAIN_MOST, readVocabulary, type TokenTree, type Vocabulary } from "./token-tree.ts";

/** Where a text stands that must obey a grammar. Immutable: several texts may go on from one state. */
export interface GrammarState {
  /** Whether the token may come next; a stop token may where the text is complete. */
  allows(token: number): boolean;
  /** After the token. After one that is not allowed nothing is any more. */
  push(token: number): GrammarState;
  /** Whether the text may end here. */
  readonly isComplete: boolean;
}

export interface Grammar {
  start(): GrammarState;
}

/** What is worked out is kept, up to so many of each; then all is forgotten and worked out anew as it is needed. */
const kept = { states: 1 << 14, frames: 1 << 16, looks: 1024 };

/**
 * Holds a text to JSON, or to what a JSON schema allows, whatever the tokenizer: a token is allowed where its bytes lead on.
 * The same grammar, vocabulary and tokens give the same answers everywhere, so a checker can repeat a draw.
 *
 * @param stopTokens what ends a text; a special token that is none of these is never allowed
 * @returns the schema's fault, or that the tokenizer cannot write JSON; both are the caller's to hear
 */
export function createGrammar(
  grammar: TextGrammar,
  vocabulary: TokenBytes,
  stopTokens: Iterable<number> = [],
): Result<Grammar, TabgridError> {
  const compiled = compileGrammar(grammar);
  if (!compiled.ok) return compiled;
  const missing = unwritable(vocabulary);
  if (missing !== null) {
    return err(
      failure(
        "unsupported-parameter",
        `this model's tokenizer cannot write every JSON text: it has no token for ${missing}`,
        {
          field: "grammar",
          expected: "a tokenizer with a token for each printable ASCII character",
          got: `none for ${missing}`,
        },
      ),
    );
  }
  const states = new States(
    new Automaton(compiled.value, schemaLimits.depth),
    vocabularyOf(vocabulary),
    new Set(stopTokens),
  );
  return ok({ start: () => states.start() });
}

const known = new WeakMap<TokenBytes, Vocabulary>();

function vocabularyOf(bytes: TokenBytes): Vocabulary {
  const vocabulary = known.get(bytes) ?? readVocabulary(bytes);
  known.set(bytes, vocabulary);
  return vocabulary;
}

/** A character that a JSON text may have to be written with, and that no single token is; null: none. */
function unwritable(vocabulary: TokenBytes): string | null {
  const single = new Set(vocabulary.map((bytes) => (bytes?.length === 1 ? bytes[0] : undefined)));
  for (let byte = 0x21; byte <= 0x7e; byte++) if (!single.has(byte)) return String.fromCharCode(byte);
  return null;
}

class States {
  readonly automaton: Automaton;
  readonly vocabulary: Vocabulary;
  readonly stops: ReadonlySet<number>;
  /** Of tokens that have a bit: those of the vocabulary, and stop tokens beyond it. */
  readonly size: number;
  looks = 0;
  #byThreads = new Map<string, State>();

  constructor(automaton: Automaton, vocabulary: Vocabulary, stops: ReadonlySet<number>) {
    this.automaton = automaton;
    this.vocabulary = vocabulary;
    this.stops = stops;
    this.size = Math.max(vocabulary.bytes.length, ...[...stops].map((stop) => stop + 1));
  }

  start(): State {
    return this.of(this.automaton.start());
  }

  of(threads: readonly Frame[]): State {
    const key = threads.map(({ id }) => id).join();
    let state = this.#byThreads.get(key);
    if (!state) {
      state = new State(this, threads);
      this.#byThreads.set(key, state);
    }
    return state;
  }

  /** Between two tokens, never while a state looks around. */
  tidy(): void {
    const { looks, frames, states } = kept;
    if (this.looks <= looks && this.automaton.size <= frames && this.#byThreads.size <= states) return;
    this.looks = 0;
    this.#byThreads = new Map();
    this.automaton.forget();
  }
}

class State implements GrammarState {
  readonly isComplete: boolean;
  readonly #states: States;
  readonly #threads: readonly Frame[];
  /** By byte: the state after it, null where there is none. */
  #next: (State | null | undefined)[] = [];
  /** One bit a token, once somebody asked. */
  #allowed: Uint32Array | null = null;

  constructor(states: States, threads: readonly Frame[]) {
    this.#states = states;
    this.#threads = threads;
    this.isComplete = isComplete(threads);
  }

  allows(token: number): boolean {
    this.#allowed ??= this.#look();
    return (((this.#allowed[token >>> 5] ?? 0) >>> (token & 31)) & 1) === 1;
  }

  push(token: number): GrammarState {
    if (!this.allows(token)) return nowhere;
    if (this.#states.stops.has(token)) return ended;
    this.#states.tidy();
    let state: State = this;
    for (const byte of this.#states.vocabulary.bytes[token] as Uint8Array) state = state.after(byte) as State;
    return state;
  }

  after(byte: number): State | null {
    let next = this.#next[byte];
    if (next === undefined) {
      const threads = this.#states.automaton.step(this.#threads, byte);
      next = threads.length > 0 ? this.#states.of(threads) : null;
      this.#next[byte] = next;
    }
    return next;
  }

  #look(): Uint32Array {
    const { vocabulary, stops, size } = this.#states;
    this.#states.looks++;
    const allowed = new Uint32Array(Math.ceil(size / 32));
    if (takesAnyText(this.#threads, PLAIN_MOST)) {
      allowed.set(vocabulary.plain);
      this.#walk(vocabulary.rest, allowed);
    } else {
      this.#walk(vocabulary.all, allowed);
    }
    for (const stop of stops) {
      const [at, bit] = [stop >>> 5, 1 << (stop & 31)];
      allowed[at] = this.isComplete ? (allowed[at] as number) | bit : (allowed[at] as number) & ~bit;
    }
    return allowed;
  }

  /** Goes through the tokens along with the automaton, past whatever has no way on, and notes those that have. */
  #walk({ bytes, skip, firstToken, tokens }: TokenTree, allowed: Uint32Array): void {
    const { hasContinuations } = this.#states.vocabulary;
    /** The states on the way down to the node, and where the nodes below each of them end. */
    const path: State[] = [this];
    const ends: number[] = [bytes.length];
    for (let node = 0; node < bytes.length; ) {
      while (node >= (ends.at(-1) as number)) {
        path.pop();
        ends.pop();
      }
      const next = (path.at(-1) as State).after(bytes[node] as number);
      if (!next) {
        node = skip[node] as number;
        continue;
      }
      // A character that was begun must be one that this vocabulary can end.
      if (hasContinuations || !endsInsideCharacter(next.#threads)) {
        for (let at = firstToken[node] as number; at < (firstToken[node + 1] as number); at++) {
          const token = tokens[at] as number;
          allowed[token >>> 5] = (allowed[token >>> 5] as number) | (1 << (token & 31));
        }
      }
      path.push(next);
      ends.push(skip[node] as number);
      node++;
    }
  }
}

/** After a stop token, and after one that was not allowed. */
const ended: GrammarState = { allows: () => false, push: () => nowhere, isComplete: true };
const nowhere: GrammarState = { allows: () => false, push: () => nowhere, isComplete: false };
