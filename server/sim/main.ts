import { cac } from "cac";
import { type LifeReport, live } from "./life.ts";
import { liveTexts, type TextLifeReport } from "./text-life.ts";

const TEXTS_PER_LIFE = 12;

/**
 * `npm run sim`: the hub's own code between simulated people, out of a seed.
 *
 *   npm run sim -- --seed 7        replays one life and says what happened
 *   npm run sim -- --seeds 10000   runs lives 1 to 10,000; a seed whose invariants broke is printed
 *   npm run sim -- --mutants       breaks rules on purpose and sees whether the auditor notices
 *   npm run sim -- --study verification --json
 *   npm run sim -- --study emissions --draws 500   writes the results and charts of docs/emissions-study.md
 *   npm run sim -- --study self-dealing --settings 48000
 */
interface Options {
  seed?: number;
  seeds?: number;
  from: number;
  study?: string;
  draws?: number;
  settings: number;
  mutants?: boolean;
  json?: boolean;
  workers: number;
}

const cli = cac("sim");
cli
  .command("", "Simulate the network on the production core, and judge it")
  .option("--seed <number>", "Replay one life; of the emissions study, what its draws are made of")
  .option("--seeds <count>", "Run so many lives")
  .option("--from <number>", "First seed of --seeds", { default: 1 })
  .option("--mutants", "Break rule after rule in a copy of the code, and see whether the auditor notices")
  .option(
    "--study <name>",
    "verification: measure the figures of the verification policy; emissions: play the rules of emission; self-dealing: search for a setting in which it pays",
  )
  .option("--draws <count>", "Draws of the emissions study", { default: 500 })
  .option("--settings <count>", "Settings that the self-dealing study plays", { default: 48_000 })
  .option("--workers <count>", "Threads of a study", { default: 2 })
  .option("--json", "Print JSON")
  .action(run);
cli.help();
cli.parse();

async function run(options: Options): Promise<void> {
  if (options.study !== undefined) {
    if (options.study === "emissions") {
      const { main } = await import("./emissions/study.ts");
      const { draws, seed = 41 } = options;
      return main(["--draws", String(draws), "--seed", String(seed)]);
    }
    if (options.study === "self-dealing") {
      const { settings, workers } = options;
      if (!Number.isInteger(settings) || settings < 1) fail("settings are a whole number");
      const { selfDealingStudy } = await import("./self-dealing/study.ts");
      const study = await selfDealingStudy(settings, workers, (line) => console.error(line));
      console.log(options.json ? JSON.stringify(study, bigText, 2) : study.lines.join("\n"));
      process.exitCode = study.open.gained === 0 ? 0 : 1;
      return;
    }
    if (options.study !== "verification") {
      fail(`no study named ${options.study}; there are: verification, emissions, self-dealing`);
    }
    const { verificationStudy } = await import("./study.ts");
    const study = await verificationStudy(options.workers, (line) => console.error(line));
    console.log(options.json ? JSON.stringify(study, null, 2) : study.lines.join("\n"));
    process.exitCode = study.figures.every((figure) => figure.holds) ? 0 : 1;
    return;
  }
  if (options.mutants) return huntAll(options.seeds ?? 200);
  const count = options.seeds ?? 1;
  const first = options.seed ?? options.from;
  if (!Number.isInteger(first) || !Number.isInteger(count) || count < 1) fail("seeds are whole numbers");
  const started = performance.now();
  const total = { lives: 0, broken: 0, tasks: 0, texts: 0, crashes: 0, commits: 0, executions: 0 };
  const counts: Record<string, number> = {};
  for (let seed = first; seed < first + count; seed++) {
    const report = survey(seed);
    const texts = surveyTexts(seed);
    report.faults.push(...texts.faults);
    total.lives++;
    total.texts += texts.texts;
    total.tasks += report.tasks;
    total.crashes += report.crashes;
    total.commits += report.commits;
    total.executions += report.executions;
    for (const [what, many] of Object.entries(report.counts)) counts[what] = (counts[what] ?? 0) + many;
    if (report.faults.length > 0) {
      total.broken++;
      console.log(`seed ${seed}: ${report.faults.length} faults; replay with: npm run sim -- --seed ${seed}`);
      for (const fault of report.faults.slice(0, count === 1 ? 20 : 3)) console.log(`  ${fault}`);
    }
    if (count > 1 && total.lives % 500 === 0) console.error(`${total.lives} lives, ${total.broken} broken`);
  }
  const seconds = (performance.now() - started) / 1_000;
  const summary = { ...total, ...counts, seconds: Math.round(seconds * 10) / 10 };
  if (options.json) console.log(JSON.stringify(summary));
  else {
    console.log(
      Object.entries(summary)
        .map(([what, many]) => `${what} ${many}`)
        .join(", "),
    );
    console.log(total.broken === 0 ? "no invariant was broken" : `invariants were broken in ${total.broken} lives`);
  }
  process.exitCode = total.broken === 0 ? 0 : 1;
}

async function huntAll(seeds: number): Promise<void> {
  const { hunt, mutants } = await import("./mutants.ts");
  let missed = 0;
  for (const mutant of mutants) {
    const { rule, found, fault } = hunt(mutant, seeds);
    if (found === 0) missed++;
    console.log(
      `${found > 0 ? "found " : "MISSED"} in ${found} of ${seeds} lives: ${rule}${found > 0 ? ` (${fault})` : ""}`,
    );
  }
  console.log(missed === 0 ? `all ${mutants.length} broken rules were found` : `${missed} broken rules were missed`);
  process.exitCode = missed === 0 ? 0 : 1;
}

/** A life in which the hub itself stops on a broken invariant counts as broken. */
function survey(seed: number): LifeReport {
  try {
    return live(seed);
  } catch (error) {
    const fault = `the hub stopped: ${error instanceof Error ? error.message : String(error)}`;
    const counts = { settled: 0, unchecked: 0, wrong: 0, overturned: 0, suspended: 0, canaries: 0, quarantines: 0 };
    return {
      seed,
      faults: [fault],
      miners: 0,
      tasks: 0,
      commits: 0,
      crashes: 0,
      executions: 0,
      counts,
      kinds: new Set(),
    };
  }
}

/** The same seed's life of texts. */
function surveyTexts(seed: number): Pick<TextLifeReport, "faults" | "texts"> {
  try {
    return liveTexts(seed, TEXTS_PER_LIFE);
  } catch (error) {
    return { faults: [`texts: the hub stopped: ${error instanceof Error ? error.message : error}`], texts: 0 };
  }
}

const bigText = (_: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}
