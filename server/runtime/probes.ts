import { randomInt } from "node:crypto";
import { z } from "zod";
import { goldenSchema } from "../../models/manifest.ts";
import type { ModelKey } from "../../shared/ids.ts";
import { limits, MIB } from "../../shared/limits.ts";
import { seededRng } from "../../shared/random.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { Clock } from "../../shared/time.ts";
import { compareResults } from "../../shared/tolerance.ts";
import type { CoreModel } from "../core/events.ts";
import { freshInputs } from "../core/known-answers.ts";
import { PROBES_LAST_MS, type ProbeSet, type ProbesRenewed } from "../core/probes.ts";
import type { HubState } from "../core/state.ts";
import type { Answer } from "../reference/desk.ts";
import { fromText, toText } from "../registry/files.ts";
import type { Store } from "../store/store.ts";

/**
 * Renews the probe sets of the models that somebody runs, once a week (../shared/policy.md, "Device class"): inputs by a new
 * seed, answers by the reference node, kept in the store. Until a model has its first, its fixed vectors alone admit.
 */
export interface ProbeKeeperParts {
  state: HubState;
  store: Pick<Store, "setting" | "setSetting">;
  clock: Clock;
  ask(model: ModelKey, inputs: Tensor[]): Promise<Answer>;
  report(event: ProbesRenewed): void;
  warn(message: string, detail: Record<string, unknown>): void;
}

const EVERY_MS = 30_000;
/** A larger set is made anew after a restart. */
const KEPT_BYTES = 4 * MIB;

const keptSchema = z.object({ madeAt: z.number(), vectors: goldenSchema.shape.vectors });
/** So that no one recorded answer fits two of a set; a model that always says the same has none. */
const isToldApart = (model: CoreModel, outputs: readonly Tensor[], others: ProbeSet["vectors"]): boolean =>
  others.every((one) => compareResults(model.comparator, outputs, one.outputs).agreement === "FAIL");
const TRIES_MOST = 8;

const settingOf = (model: ModelKey): string => `probes:${model}`;

export class ProbeKeeper {
  readonly #parts: ProbeKeeperParts;
  #timer: NodeJS.Timeout | null = null;
  #round: Promise<void> = Promise.resolve();

  constructor(parts: ProbeKeeperParts) {
    this.#parts = parts;
  }

  /** What was made before the restart. */
  async load(models: readonly ModelKey[]): Promise<void> {
    for (const model of models) {
      const text = await this.#parts.store.setting(settingOf(model));
      if (text === null) continue;
      const { madeAt, vectors } = keptSchema.parse(JSON.parse(text));
      this.#renew({
        model,
        madeAt,
        vectors: vectors.map(({ inputs, outputs }) => {
          return { inputs: inputs.map(fromText), outputs: outputs.map(fromText) };
        }),
      });
    }
  }

  start(failed: (error: unknown) => void): void {
    this.#timer = setInterval(() => this.round().catch(failed), EVERY_MS);
    this.#timer.unref();
  }

  async close(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    await this.#round.catch(() => {});
  }

  /** Resolves when every set that is due now is renewed, or could not be. Rounds wait for one another. */
  round(): Promise<void> {
    this.#round = this.#round.catch(() => {}).then(() => this.#run());
    return this.#round;
  }

  async #run(): Promise<void> {
    const { state, clock } = this.#parts;
    const run = new Set([...state.roster.sessions.values()].flatMap(({ models }) => [...models.keys()]));
    for (const key of run) {
      const model = state.models.get(key);
      const madeAt = state.probes.get(key)?.madeAt ?? Number.NEGATIVE_INFINITY;
      if (!model || model.referenceMs === null || clock.now() - madeAt < PROBES_LAST_MS) continue;
      const set = await this.#make(model);
      if (set) this.#renew(set);
    }
  }

  async #make(model: CoreModel): Promise<ProbeSet | null> {
    const { store, clock, ask, warn } = this.#parts;
    const vectors: ProbeSet["vectors"] = [];
    const rng = seededRng(randomInt(2 ** 32 - 1));
    for (let tries = 0; vectors.length < limits.probeVectors; tries++) {
      const inputs = freshInputs(model, rng);
      if (!inputs) return null;
      const answer = await ask(model.key, inputs);
      if (!answer.ok) {
        warn("a probe could not be answered; tried again later", { model: model.key, reason: answer.error });
        return null;
      }
      const { outputs } = answer.value;
      if (tries >= TRIES_MOST || isToldApart(model, outputs, vectors)) vectors.push({ inputs, outputs });
    }
    const madeAt = clock.now();
    const kept = vectors.map(({ inputs, outputs }) => ({ inputs: inputs.map(toText), outputs: outputs.map(toText) }));
    const text = JSON.stringify({ madeAt, vectors: kept });
    if (text.length <= KEPT_BYTES) await store.setSetting(settingOf(model.key), text);
    return { model: model.key, madeAt, vectors };
  }

  #renew(set: ProbeSet): void {
    this.#parts.report({ kind: "probes.renewed", at: this.#parts.clock.now(), set });
  }
}
