import { z } from "zod";
import { comparatorSchema } from "../../models/manifest.ts";
import { mergeSketches, type Sketch, sketchSchema } from "./sketch.ts";

/**
 * `models/<id>/calibration.json`: what was measured of one model version, and what followed from it. Distances are sketches
 * by measure, in the units of `unitTolerance`; records of the same version add up.
 */
export const measuresSchema = z.record(z.string(), sketchSchema);
export type Measures = z.infer<typeof measuresSchema>;

const honestSchema = z.strictObject({
  /** Who made the result and who checked it, by `Device.what`. */
  maker: z.string(),
  checker: z.string(),
  hardware: z.boolean(),
  /** `tensors`, or a text's temperature as `text 0.7`. */
  of: z.string(),
  /** Results compared. */
  pairs: z.int().nonnegative(),
  measures: measuresSchema,
});
const controlSchema = z.strictObject({
  name: z.string(),
  of: z.string(),
  pairs: z.int().nonnegative(),
  measures: measuresSchema,
});

export const recordSchema = z.strictObject({
  schema: z.literal(1),
  model: z.strictObject({ id: z.string(), version: z.string(), dtype: z.string(), graph: z.string() }),
  measuredAt: z.iso.date(),
  honest: z.array(honestSchema),
  controls: z.array(controlSchema),
  /** By measure; what they mean is in docs/calibration.md. */
  thresholds: z.record(
    z.string(),
    z.strictObject({
      /** Results, pools or tokens, as the measure counts. */
      honestCount: z.int(),
      /** The largest over the pairs of devices. */
      honestP999: z.number(),
      pass: z.number(),
      fail: z.number(),
      weakestControl: z.strictObject({ name: z.string(), value: z.number() }).nullable(),
      basis: z.enum(["measured", "benefit of the doubt"]),
    }),
  ),
  comparator: comparatorSchema,
});
export type CalibrationRecord = z.infer<typeof recordSchema>;
export type Honest = CalibrationRecord["honest"][number];
export type ControlRun = CalibrationRecord["controls"][number];

/** Adds up what is of the same kind, as of the same devices, or the same control. */
export function mergeRuns<T extends Honest | ControlRun>(runs: readonly T[], keyOf: (run: T) => string): T[] {
  const merged = new Map<string, T>();
  for (const run of runs) {
    const key = keyOf(run);
    const known = merged.get(key);
    merged.set(
      key,
      known
        ? { ...known, pairs: known.pairs + run.pairs, measures: mergeMeasures([known.measures, run.measures]) }
        : run,
    );
  }
  return [...merged.values()];
}
export const honestKey = ({ maker, checker, of }: Honest): string => [maker, checker, of].join("|");
export const controlKey = ({ name, of }: ControlRun): string => [name, of].join("|");

function mergeMeasures(all: readonly Measures[]): Measures {
  const names = [...new Set(all.flatMap((measures) => Object.keys(measures)))];
  return Object.fromEntries(
    names.map((name) => [name, mergeSketches(all.flatMap((measures) => (measures[name] as Sketch | undefined) ?? []))]),
  );
}
