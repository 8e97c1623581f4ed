import { exp, GUMBEL_MAX, gumbelNoise, log } from "./noise.ts";
import { kthLargest, lowestWithin } from "./selection.ts";

/**
 * Verified sampling: who has the same logits, settings and seed draws the same token, on every engine. The order of
 * operations is part of the protocol:
 *
 *   bias → penalties → grammar mask → temperature → top-k → top-p → Gumbel-max
 *
 * Whoever has nearly the same logits draws the same token unless two scores nearly tie; `check` says how nearly.
 */
export interface SamplingSettings {
  /** 64 bits, from the hub. */
  seed: bigint;
  /** 0 takes the highest logit; the noise, top-k and top-p then play no part. */
  temperature: number;
  /** Only the k highest (and their equals); 0 for all. */
  topK: number;
  /** Only the highest that together have this share of the probability; 1 for all. */
  topP: number;
  /** Added to the logit of a token. */
  bias: ReadonlyMap<number, number>;
  /** Taken from the logit of every token that has occurred. */
  presencePenalty: number;
  /** Taken from it once per occurrence. */
  frequencyPenalty: number;
}

export const plainSampling: Omit<SamplingSettings, "seed"> = {
  temperature: 1,
  topK: 0,
  topP: 1,
  bias: new Map(),
  presencePenalty: 0,
  frequencyPenalty: 0,
};

/** Where in the text a token is drawn. */
export interface Place {
  /** Index in the output, from 0. */
  position: number;
  /** How often each token has occurred in the output. */
  counts: ReadonlyMap<number, number>;
  /** What the grammar allows here; absent where there is none. */
  allows?: (token: number) => boolean;
  /** log Σ exp of the raw logits, where the engine has it already. */
  logSumExp?: number;
}

export interface Draw {
  token: number;
  /** Natural logarithm of the token's probability by the raw logits: before bias, penalties, mask and temperature. */
  logProbability: number;
  /** By how much the token won, in logits. */
  margin: number;
}

export interface DrawCheck {
  /** Of the claimed token, by the checker's own raw logits. */
  logProbability: number;
  /** By how much it lost in the checker's own draw, in logits; 0 where it won, infinite where it could not be drawn. */
  margin: number;
}

export interface Sampler {
  /** Null where nothing can be drawn: the mask allows no token, or a logit is NaN or +∞. */
  draw(logits: Float32Array, place: Place): Draw | null;
  /**
   * Judges a token that somebody else drew. Logits that differ by less than `epsilon` put other tokens at the edge of top-k
   * and top-p: a claimed token within it counts as inside, and another one within it does not count as having won.
   */
  check(logits: Float32Array, token: number, place: Place, epsilon: number): DrawCheck;
}

/** Keeps buffers of the vocabulary's size between calls. */
export function createSampler(settings: SamplingSettings): Sampler {
  const { temperature, topK, topP } = settings;
  const noise = gumbelNoise(settings.seed);
  const greedy = temperature === 0;
  let scores = new Float64Array(0);
  let values = new Float64Array(0);
  let masses = new Float64Array(0);

  /** Fills `scores` up to the temperature. False where there is nothing to choose from. */
  function prepare(logits: Float32Array, { counts, allows }: Place): boolean {
    if (scores.length !== logits.length)
      [scores, values, masses] = [0, 0, 0].map(() => new Float64Array(logits.length)) as [
        Float64Array<ArrayBuffer>,
        Float64Array<ArrayBuffer>,
        Float64Array<ArrayBuffer>,
      ];
    scores.set(logits);
    for (const [token, bias] of settings.bias)
      if (token < scores.length) scores[token] = (scores[token] as number) + bias;
    for (const [token, count] of counts) {
      if (count > 0 && token < scores.length)
        scores[token] = (scores[token] as number) - settings.presencePenalty - settings.frequencyPenalty * count;
    }
    let possible = false;
    for (let token = 0; token < scores.length; token++) {
      const score = scores[token] as number;
      if (Number.isNaN(score) || score === Number.POSITIVE_INFINITY) return false;
      if (allows && !allows(token)) scores[token] = Number.NEGATIVE_INFINITY;
      else if (score > Number.NEGATIVE_INFINITY) possible = true;
      if (!greedy) scores[token] = (scores[token] as number) / temperature;
    }
    return possible;
  }

  /**
   * The lowest score inside top-k and top-p. A positive `slack` gives the lowest that scores off by as much could make it, a
   * negative one the highest: then a probability is off by a factor of e^(2·slack).
   */
  function edge(slack: number): number {
    let lowest = Number.NEGATIVE_INFINITY;
    if (greedy) return lowest;
    if (topK > 0 && topK < scores.length) {
      values.set(scores);
      lowest = kthLargest(values, topK) - slack;
    }
    const share = topP * (1 + 2 * slack);
    if (topP >= 1 || share >= 1) return lowest;
    let count = 0;
    let highest = Number.NEGATIVE_INFINITY;
    for (let token = 0; token < scores.length; token++) {
      const score = scores[token] as number;
      if (score > highest) highest = score;
      if (score >= lowest) values[count++] = score;
    }
    let total = 0;
    for (let at = 0; at < count; at++) {
      masses[at] = exp((values[at] as number) - highest);
      total += masses[at] as number;
    }
    return Math.max(lowest, lowestWithin(values, masses, count, share * total) - slack);
  }

  return {
    draw(logits, place) {
      if (!prepare(logits, place)) return null;
      const lowest = edge(0);
      let token = -1;
      let best = Number.NEGATIVE_INFINITY;
      let second = Number.NEGATIVE_INFINITY;
      for (let at = 0; at < scores.length; at++) {
        const score = scores[at] as number;
        if (score < lowest || score === Number.NEGATIVE_INFINITY) continue;
        // Noise is dear: none for a token that could not come second with the most of it.
        if (!greedy && (score + GUMBEL_MAX <= second || score + noise.atMost(place.position, at) <= second)) continue;
        const value = greedy ? score : score + noise.at(place.position, at);
        if (value > best) {
          second = best;
          best = value;
          token = at;
        } else if (value > second) second = value;
      }
      const margin = (best - second) * (greedy ? 1 : temperature);
      return { token, logProbability: logProbabilityOf(logits, token, place.logSumExp), margin };
    },

    check(logits, token, place, epsilon) {
      const logProbability =
        token < logits.length ? logProbabilityOf(logits, token, place.logSumExp) : Number.NEGATIVE_INFINITY;
      const lost = { logProbability, margin: Number.POSITIVE_INFINITY };
      if (!prepare(logits, place)) return lost;
      const slack = greedy ? 0 : epsilon / temperature;
      const score = scores[token] ?? Number.NEGATIVE_INFINITY;
      if (score === Number.NEGATIVE_INFINITY || score < edge(slack)) return lost;
      const certain = edge(-slack);
      const own = greedy ? score : score + noise.at(place.position, token);
      let best = own;
      for (let at = 0; at < scores.length; at++) {
        const other = scores[at] as number;
        if (other < certain || other === Number.NEGATIVE_INFINITY) continue;
        if (!greedy && (other + GUMBEL_MAX <= best || other + noise.atMost(place.position, at) <= best)) continue;
        const value = greedy ? other : other + noise.at(place.position, at);
        if (value > best) best = value;
      }
      return { logProbability, margin: (best - own) * (greedy ? 1 : temperature) };
    },
  };
}

/**
 * log softmax(logits)[token] in double precision.
 *
 * @param known log Σ exp of the logits, where the engine has it already
 */
export function logProbabilityOf(logits: Float32Array, token: number, known?: number): number {
  if (known !== undefined) return (logits[token] as number) - known;
  const [highest, rest] = logSumExpParts(logits);
  return (logits[token] as number) - highest - rest;
}

/** log Σ exp of all logits. */
export function logSumExp(logits: Float32Array): number {
  const [highest, rest] = logSumExpParts(logits);
  return highest + rest;
}

/** The highest logit, and what log Σ exp is above it. */
function logSumExpParts(logits: Float32Array): [number, number] {
  let highest = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < logits.length; at++) if ((logits[at] as number) > highest) highest = logits[at] as number;
  let sum = 0;
  for (let at = 0; at < logits.length; at++) sum += exp((logits[at] as number) - highest);
  return [highest, log(sum)];
}
