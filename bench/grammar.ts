import { existsSync, readFileSync } from "node:fs";
import { createGrammar } from "../shared/grammar/grammar.ts";
import { type TokenBytes, tokenBytes } from "../shared/grammar/token-bytes.ts";
import { seededRng } from "../shared/random.ts";
import { assert } from "../shared/result.ts";
import { createSampler, plainSampling } from "../shared/sampling.ts";

/**
 * What it costs to hold a text to a schema: milliseconds of one draw without a grammar, with one that meets the text for the
 * first time, and with one that has met it before. A draw alone, no model: logits are random. Prints JSON.
 */
const ROUNDS = 9;
const schema = {
  type: "object",
  properties: {
    name: { type: "string" },
    age: { type: "integer", minimum: 0, maximum: 150 },
    tags: { type: "array", items: { type: "string" }, maxItems: 5 },
    note: { type: "string", maxLength: 200 },
  },
  required: ["name", "age", "tags", "note"],
  additionalProperties: false,
};
const text = JSON.stringify({
  name: "Ophelia of Denmark",
  age: 19,
  tags: ["sad", "drowned", "noble lady"],
  note: "There with fantastic garlands did she come of crow-flowers, nettles, daisies, and long purples",
});

const here = import.meta.dirname;
const tokenizers = [
  ["shakespeare", `${here}/../models/shakespeare/tokenizer.json`],
  ["phi-3-mini", `${here}/../../shared/data/tokenizers/phi-3-mini/tokenizer.json`],
  ["gpt2", `${here}/../../shared/data/tokenizers/gpt2/tokenizer.json`],
] as const;

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] as number;
const round = (value: number): number => Number(value.toPrecision(3));

/** The text in the longest tokens there are. */
function tokensOf(vocabulary: TokenBytes): number[] {
  const byText = new Map<string, number>();
  for (const [id, bytes] of vocabulary.entries()) if (bytes) byText.set(Buffer.from(bytes).toString("latin1"), id);
  const tokens: number[] = [];
  for (let at = 0; at < text.length; ) {
    let end = Math.min(text.length, at + 24);
    while (!byText.has(text.slice(at, end))) end--;
    tokens.push(byText.get(text.slice(at, end)) as number);
    at = end;
  }
  return tokens;
}

function measure(path: string) {
  const vocabulary = tokenBytes(JSON.parse(readFileSync(path, "utf8")));
  const tokens = tokensOf(vocabulary);
  const rng = seededRng(1);
  const logits = Float32Array.from(vocabulary, () => rng.next() * 10);
  const sampler = createSampler({ ...plainSampling, seed: 1n });
  const create = () => {
    const grammar = createGrammar({ kind: "json-schema", schema }, vocabulary, [0]);
    assert(grammar.ok, "the schema is served");
    return grammar.value;
  };
  const firstAt = performance.now();
  create();
  const vocabularyMs = performance.now() - firstAt;
  /** Of each draw along the text. */
  const draws = (grammar: ReturnType<typeof create> | null): number[] => {
    let state = grammar?.start();
    return tokens.map((token, position) => {
      const startedAt = performance.now();
      const here = state;
      sampler.draw(logits, { position, counts: new Map(), ...(here && { allows: (one) => here.allows(one) }) });
      state = state?.push(token);
      return performance.now() - startedAt;
    });
  };
  const kept = create();
  draws(kept);
  const runs = { plain: [] as number[], first: [] as number[], again: [] as number[] };
  for (let at = 0; at < ROUNDS; at++) {
    runs.plain.push(...draws(null));
    runs.first.push(...draws(create()));
    runs.again.push(...draws(kept));
  }
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    vocabulary: vocabulary.length,
    tokens: tokens.length,
    readingTheVocabularyMs: round(vocabularyMs),
    drawMs: round(median([...runs.plain])),
    firstTimeMs: { median: round(median([...runs.first])), mean: round(mean(runs.first)) },
    againMs: { median: round(median([...runs.again])), mean: round(mean(runs.again)) },
  };
}

const results = tokenizers.map(([name, path]) => [
  name,
  existsSync(path) ? measure(path) : "skipped: ../shared/data/tokenizers is not here",
]);
console.log(JSON.stringify(Object.fromEntries(results), null, 2));
