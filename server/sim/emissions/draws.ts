import { nextInt, type Rng, seededRng } from "../../../shared/random.ts";

/** What one simulated network is like, whatever the rule it lives under; see docs/emissions-study.md, "Model". */
const ranges = {
  /** σ: least share of their emission that miners sell. */
  sold: [0.2, 1],
  /** η: how fast capacity follows income over cost. */
  supplyElasticity: [0.5, 2],
  /** η_d: how much demand a poorly served network loses. */
  demandElasticity: [0, 1.5],
  /** A year. */
  drift: [-0.2, 0.6],
  /** A week. */
  volatility: [0.02, 0.1],
  shockDepth: [0, 0.7],
  shockWeek: [52, 208],
  shockWeeks: [13, 52],
  /** USDC per USDC of work; log-uniform. */
  unitCost: [0.3, 1],
  /** Log-uniform. */
  poolUsdc: [200_000, 1_500_000],
  /** USDC a week; log-uniform. */
  demand: [5_000, 200_000],
  /** g: share of fees that burns DN on the token route. */
  burnShare: [0.05, 1],
  /** Of the pool's USDC, a week. */
  speculation: [0, 0.02],
  momentum: [0, 1],
  value: [0, 0.2],
  /** A year. */
  requiredYield: [0.03, 0.2],
  cheaters: [0, 0.1],
  /** Wash traders exist from 0.5 on. */
  wash: [0, 1],
} as const satisfies Record<string, readonly [number, number]>;

const logarithmic = new Set(["unitCost", "poolUsdc", "demand"]);

export type DrawName = keyof typeof ranges;
export type Draw = Record<DrawName, number> & { noise: Float64Array };

export const WEEKS = 260;
const names = Object.keys(ranges) as DrawName[];

/** A Latin hypercube: each range is cut into `count` parts, and every part is met once. */
export function latinHypercube(count: number, seed: number): Draw[] {
  const rng = seededRng(seed);
  const draws = Array.from({ length: count }, () => ({ noise: normals(WEEKS, rng) }) as Draw);
  for (const name of names) {
    const order = shuffled(count, rng);
    const [least, most] = ranges[name];
    draws.forEach((draw, i) => {
      const at = ((order[i] as number) + rng.next()) / count;
      draw[name] = logarithmic.has(name) ? least * (most / least) ** at : least + (most - least) * at;
    });
  }
  return draws;
}

function shuffled(count: number, rng: Rng): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = nextInt(rng, i + 1);
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

/** Box and Muller. */
function normals(count: number, rng: Rng): Float64Array {
  return Float64Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(1 - rng.next())) * Math.cos(2 * Math.PI * rng.next()),
  );
}
