import { readFileSync, writeFileSync } from "node:fs";
import { WEEKS } from "./draws.ts";
import { report } from "./report.ts";
import { play } from "./runs.ts";

/**
 * Plays every cell over the same draws, writes the results below the hypotheses of docs/emissions-study.md, and the charts that
 * they show to docs/images.
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
  const startedAt = performance.now();
  const study = play(count, seed, print);
  const minutes = (performance.now() - startedAt) / 60_000;
  const [cells, again] = [study.runs.length, study.unstaked.length];
  const docs = `${import.meta.dirname}/../../../docs`;
  const path = `${docs}/emissions-study.md`;
  const before = readFileSync(path, "utf8").split(`${RESULTS}\n`)[0]?.trimEnd();
  const head = [
    RESULTS,
    "",
    `${count} draws shared by ${cells} cells, and by ${again} once more with nothing staked at first; ${WEEKS} weeks each, seed ${seed}:`,
    `${count * (cells + again)} runs in ${minutes.toFixed(1)} minutes`,
    `(\`npm run sim -- --study emissions --draws ${count} --seed ${seed}\`). The command rewrites all below "Results" and the charts,`,
    "`images/emissions-*.svg`: the same draws and seed give the same bytes, but for the minutes.",
  ].join("\n");
  const { text, figures } = report(study);
  for (const { file, svg } of figures) writeFileSync(`${docs}/images/${file}`, svg);
  writeFileSync(path, `${before}\n\n${head}\n\n${text}\n`);
  print(`docs/emissions-study.md and ${figures.length} charts written after ${minutes.toFixed(1)} minutes`);
}

if (import.meta.main) main(process.argv.slice(2));
