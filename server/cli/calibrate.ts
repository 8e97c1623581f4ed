/**
 * `npm run calibrate -- MODEL`: measures how far honest runs of a model differ on the runtimes at hand, whether dishonest
 * ones are told apart, and writes the model's tolerances. See docs/calibration.md.
 */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { cac } from "cac";
import { z } from "zod";
import { TabgridFailure } from "../../shared/errors.ts";
import { measure, type Runs, summarise } from "../calibration/calibrate.ts";
import { deviceNames } from "../calibration/devices.ts";
import { recordSchema } from "../calibration/record.ts";
import { createReferenceNode } from "../reference/node.ts";
import { describeBuiltIn } from "../registry/built-in.ts";
import { type RegisteredModel, readJson, readModel } from "../registry/files.ts";

const builtInDir = join(import.meta.dirname, "../../models");
const listed = z
  .union([z.string(), z.array(z.string())])
  .transform((value) => [value].flat().flatMap((one) => one.split(",")));

const optionsSchema = z.object({
  pairs: z.coerce.number({ error: "--pairs: expected a number" }).int().min(0).max(1_000_000),
  seconds: z.coerce.number({ error: "--seconds: expected a number" }).positive(),
  runtimes: listed.pipe(
    z.array(z.enum(deviceNames, { error: `--runtimes: expected some of ${deviceNames.join(", ")}` })),
  ),
  merge: listed.default([]),
  out: z.string().optional(),
});

async function main(): Promise<void> {
  const program = cac("npm run calibrate --");
  program
    .command("<model>", "A built-in model by its id, or a folder with a manifest.json")
    .option("--pairs <count>", "Honest pairs per pair of runtimes; 0 only merges", { default: 3000 })
    .option("--seconds <limit>", "Longest time per pair of runtimes; a slow one compares fewer", { default: 120 })
    .option("--runtimes <list>", "Of reference, wasm, software (WebGPU without a GPU) and webgpu", {
      default: "reference,wasm,software",
    })
    .option("--merge <file>", "A record made elsewhere for the same model; may be repeated")
    .option("--out <file>", "Where the record goes; beside the manifest, whose comparator is then set, if absent")
    .action(calibrate);
  program.help();
  program.parse(process.argv, { run: false });
  if (program.options.help) return;
  if (!program.matchedCommand) return program.outputHelp();
  await program.runMatchedCommand();
}

async function calibrate(name: string, given: unknown): Promise<void> {
  const options = optionsSchema.safeParse(given);
  if (!options.success) throw new Error(options.error.issues.map(({ message }) => `${message}.`).join("\n"));
  const { pairs, seconds, runtimes, merge, out } = options.data;
  const folder = existsSync(join(builtInDir, name)) ? join(builtInDir, name) : name;
  if (!existsSync(join(folder, "manifest.json"))) {
    throw new Error(`${name} is neither a built-in model nor a folder with a manifest.json.`);
  }
  const model = await readModel(folder);
  const all: Runs[] = [];
  for (const file of merge) all.push(await readRecord(file, model));
  const effort = { pairs, seconds };
  if (pairs > 0) {
    const withControls = all.every(({ controls }) => controls.length === 0);
    const say = (line: string) => console.log(line);
    all.push(await measure({ model, devices: runtimes, effort, withControls, say }));
  }
  if (all.length === 0) throw new Error("There is nothing to do: --pairs is 0 and no record was given by --merge.");

  const { refusals, ...record } = summarise(model, new Date().toISOString().slice(0, 10), all);
  for (const [measured, { honestCount, honestP999, pass, fail, weakestControl, basis }] of Object.entries(
    record.thresholds,
  )) {
    const control = weakestControl ? `${weakestControl.name} ${weakestControl.value.toExponential(1)}` : "none";
    console.log(
      `${measured}: honest p99.9 ${honestP999.toExponential(1)} of ${honestCount}; ` +
        `pass ${pass}, fail ${fail} (${basis}); weakest control: ${control}`,
    );
  }
  if (refusals.length > 0) {
    throw new Error(`${model.manifest.id} is refused, because its results cannot be checked: ${refusals.join("; ")}.`);
  }
  const target = out ?? join(folder, "calibration.json");
  await writeFile(target, `${JSON.stringify(recordSchema.parse(record))}\n`);
  console.log(`Written: ${target}`);
  if (out === undefined) await setComparator(folder, record.comparator);
}

/** A record of the very same graph; that of another version says nothing of this one. */
async function readRecord(file: string, { manifest }: RegisteredModel): Promise<Runs> {
  const record = await readJson(file, recordSchema);
  const graph = manifest.files.find(({ role }) => role === "graph")?.sha256;
  if (record.model.graph !== graph) {
    throw new Error(`${file} is of ${record.model.id}@${record.model.version}, whose graph is another one.`);
  }
  return record;
}

/** Built-in manifests are made from their source.json; a registered version never changes. */
async function setComparator(folder: string, comparator: unknown): Promise<void> {
  const file = join(folder, "source.json");
  if (!existsSync(file)) {
    console.log(`Register the next version with this comparator: ${JSON.stringify(comparator)}`);
    return;
  }
  const source = JSON.parse(await readFile(file, "utf8")) as object;
  await writeFile(file, `${JSON.stringify({ ...source, comparator }, null, 2)}\n`);
  const reference = createReferenceNode();
  await describeBuiltIn(folder, reference).finally(() => reference.close());
  console.log(`The comparator of ${join(folder, "manifest.json")} is set.`);
}

main().catch((error: unknown) => {
  console.error(error instanceof TabgridFailure || error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
