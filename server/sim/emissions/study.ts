import { readFileSync, writeFileSync } from "node:fs";
import { latinHypercube, WEEKS } from "./draws.ts";
import { simulate } from "./network.ts";
import { report } from "./report.ts";
import { cells } from "./rules.ts";

/**
 * Plays every cell over the same draws and writes the results below the hypotheses of docs/emissions-study.md.
 *
 *   node server/sim/emissions/study.ts [--draws 500] [--seed 41]
 */
const RESULTS = "## Results";

export function main(args: readonly string[], print: (line: string) => void = console.log): void {
  const option = (name: string, otherwise: number): number => {
    const at = args.indexOf(`--${name}`);
    const value = at < 0 ? otherwise : Number(args[at + 1]);
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} wants a whole number, got ${args[at + 1]}`);
    return value;
  };
  const count = option("draws", 500);
  const seed = option("seed", 41);
  const draws = latinHypercube(count, seed);
  const startedAt = performance.now();
  const runs = cells.map((cell, i) => {
    const outcomes = draws.map((draw) => simulate(draw, cell));
    print(`${i + 1} of ${cells.length}: ${cell.route}, ${cell.level}, ${cell.split.name}`);
    return { cell, outcomes };
  });
  const minutes = (performance.now() - startedAt) / 60_000;
  const path = `${import.meta.dirname}/../../../docs/emissions-study.md`;
  const text = readFileSync(path, "utf8").split(`${RESULTS}\n`)[0]?.trimEnd();
  const head = [
    RESULTS,
    "",
    `${count} draws shared by ${cells.length} cells, ${WEEKS} weeks each, seed ${seed}: ${count * cells.length} runs in ${minutes.toFixed(1)} minutes`,
    `(\`node server/sim/emissions/study.ts --draws ${count} --seed ${seed}\`).`,
  ].join("\n");
  writeFileSync(path, `${text}\n\n${head}\n\n${report({ draws, runs, seed })}\n`);
  print(`written to docs/emissions-study.md after ${minutes.toFixed(1)} minutes`);
}

if (import.meta.main) main(process.argv.slice(2));
