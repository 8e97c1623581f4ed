import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { seededRng } from "../shared/random.ts";
import type { GenerationSettings } from "../shared/text-generation.ts";

const folder = join(import.meta.dirname, "../models/shakespeare");
const json = (file: string) => JSON.parse(readFileSync(join(folder, file), "utf8"));

/** A page of the plays, from which prompts are cut; the whole of them where the data folder is there. */
const passage = `First Citizen: Before we proceed any further, hear me speak. All: Speak, speak. First Citizen: You are all
resolved rather to die than to famish? All: Resolved. resolved. First Citizen: First, you know Caius Marcius is chief enemy to
the people. All: We know't, we know't. First Citizen: Let us kill him, and we'll have corn at our own price. Is't a verdict?
All: No more talking on't; let it be done: away, away! Second Citizen: One word, good citizens. First Citizen: We are accounted
poor citizens, the patricians good. What authority surfeits on would relieve us: if they would yield us but the superfluity,
while it were wholesome, we might guess they relieved us humanely; but they think we are too dear: the leanness that afflicts
us, the object of our misery, is as an inventory to particularise their abundance; our sufferance is a gain to them.`;

const plays = join(import.meta.dirname, "../../shared/data/sets/tinyshakespeare/input.txt");

/** So many prompts of so many tokens, from anywhere in the text; the same ones each time. */
export function promptsOf(count: number, length: number, seed = 7): number[][] {
  const tokenizer = new Tokenizer(json("tokenizer.json"), json("tokenizer_config.json"));
  const { ids } = tokenizer.encode(existsSync(plays) ? readFileSync(plays, "utf8").slice(0, 400_000) : passage);
  const rng = seededRng(seed);
  return Array.from({ length: count }, () => {
    const start = Math.floor(rng.next() * (ids.length - length));
    return ids.slice(start, start + length);
  });
}

export const greedy = (maxTokens: number): GenerationSettings => ({
  seed: "00000000000000ff",
  maxTokens,
  stopTokens: [],
  temperature: 0,
  topK: 0,
  topP: 1,
  bias: [],
  presencePenalty: 0,
  frequencyPenalty: 0,
  topLogProbabilities: 0,
  grammar: null,
});
