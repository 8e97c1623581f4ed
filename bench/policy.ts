import { looksBroken } from "../server/core/check-policy.ts";
import { drawWanted, otherClassMayRun } from "../server/core/checkers.ts";
import { credit } from "../server/core/consequences.ts";
import type { CoreModel, TaskSpec } from "../server/core/events.ts";
import { freshModel, type MinerSession, unseen } from "../server/core/roster.ts";
import { freshProgress, HubState, type OpenTask, type Run, type Step } from "../server/core/state.ts";
import { freshStanding, groundKey } from "../server/core/trust.ts";
import { drawWitnesses } from "../server/core/witness.ts";
import type { CustomerId, MinerId, ModelKey, OwnerId, SessionId, TaskId } from "../shared/ids.ts";
import { seededRng } from "../shared/random.ts";
import { tensorOf } from "../shared/tensor.ts";

/**
 * What the check policy itself costs the hub per task (../shared/design.md section 13: at most 5 µs): every policy function
 * as often as a trusted miner's `fast` task calls it, over 1,000 miners. In CPU time, garbage collection included.
 * Prints JSON.
 */
const MINERS = 1_000;
const TASKS = 200_000;
const ROUNDS = 9;
/** A hub runs for days: code is compiled before anything is counted. */
const WARM_UP = 3;
/** One task a second and miner: so often is it drawn who looks at whom. */
const PER_SECOND = MINERS;

const model: CoreModel = {
  key: "digits@1" as ModelKey,
  memoryBytes: 1,
  downloadBytes: 1,
  batchLimit: 8,
  rowsIndependent: true,
  comparator: { kind: "label", output: "scores", tau: 1e-3 },
  outputs: [],
  nonFiniteOutputs: false,
  golden: [],
  creator: "tabgrid",
  royaltyBasisPoints: 2_000,
  referenceMs: 5,
};

function world() {
  const state = new HubState({ idPrefix: "b", referenceServes: true, referenceBacklog: 4 });
  state.models.set(model.key, model);
  const sessions = Array.from({ length: MINERS }, (_, index) => {
    const owner = `own_${index}` as OwnerId;
    const standing = freshStanding(owner, 0);
    const on = freshModel(0);
    on.state = "admitted";
    on.deviceClass = `class${index % 6}`;
    const device = {
      runtime: "webgpu" as const,
      adapter: "",
      fallback: false,
      features: [],
      memoryBytes: 1,
      agent: "",
      ortVersion: "",
    };
    const session: MinerSession = {
      id: `s_${index}` as SessionId,
      miner: `m_${index}` as MinerId,
      role: index % 50 === 0 ? "validator" : "miner",
      owner,
      network: `10.0.${index}.0/24`,
      device,
      standing,
      slots: 1,
      accepting: true,
      reason: null,
      joinedAt: 0,
      graceEndsAt: null,
      models: new Map([[model.key, on]]),
      assignments: new Map(),
      messages: new Map(),
      lastResultAt: 0,
      accepted: 0,
      refuted: 0,
      onWasm: new Set(),
      witnessDueAt: null,
      seen: unseen(),
    };
    state.roster.add(session);
    state.roster.refresh(session);
    state.roster.standings.set(owner, standing);
    state.roster.atRisk.set(owner, 10n ** 9n);
    standing.passed[groundKey({ model: model.key, runtime: "webgpu", deviceClass: on.deviceClass })] = 500;
    return session;
  });
  return { state, sessions };
}

const scores = Array.from({ length: 64 }, (_, index) => [
  tensorOf(
    "scores",
    "float32",
    [10],
    Float32Array.from({ length: 10 }, (_, i) => Math.sin(i * 7 + index)),
  ),
]);

function round(isBare: boolean): { micros: number; checked: number } {
  const { state, sessions } = world();
  const step: Step = { state, now: 1, rng: seededRng(1), out: [] };
  let checked = 0;
  const started = process.cpuUsage();
  for (let index = 0; index < TASKS; index++) {
    const session = sessions[index % MINERS] as MinerSession;
    const spec: TaskSpec = {
      task: `t_${index}` as TaskId,
      customer: "c" as CustomerId,
      model: model.key,
      inputs: [],
      inputHash: `${index}`,
      rows: 1,
      dims: {},
      work: 1_000n,
      price: 1_000n,
      level: "fast",
      deadlineAt: 60_000,
    };
    if (!isBare) state.prices.add(spec.price);
    const outputs = scores[index % scores.length] as (typeof scores)[number];
    const commitment = `c${index}`;
    const repeats = !isBare && session.models.get(model.key)?.recent.repeats(commitment, spec.inputHash) === true;
    const run: Run = {
      by: session.owner,
      miner: session.miner,
      network: session.network,
      runtime: "webgpu",
      deviceClass: session.models.get(model.key)?.deviceClass ?? "",
      assignment: null,
      role: "primary",
      outputs,
      commitment,
      signature: "signed",
      newcomer: false,
      suspect: !isBare && (repeats || looksBroken(outputs)),
      computeMs: 1,
      accepted: null,
    };
    const task: OpenTask = { spec, origin: { kind: "customer" }, payer: "customer", ...freshProgress(), replied: true };
    task.runs.push(run);
    if (isBare) continue;
    if (index % PER_SECOND === 0) {
      step.now += 1_000;
      drawWitnesses(step);
    }
    if (drawWanted(step, task, model) > 1) {
      checked++;
      otherClassMayRun(step, task, "check");
      credit(step, task, run);
      credit(step, task, run);
    } else state.retained.keep({ task, run }, session.owner, state.checks.rechecks);
    step.out.length = 0;
  }
  const { user, system } = process.cpuUsage(started);
  return { micros: (user + system) / TASKS, checked };
}

const spread = (values: number[]) => {
  const sorted = values.sort((a, b) => a - b);
  return { best: sorted[0], median: sorted[sorted.length >> 1], worst: sorted.at(-1) };
};

const bare: number[] = [];
const whole: number[] = [];
let checkedShare = 0;
for (let i = 0; i < WARM_UP; i++) {
  round(true);
  round(false);
}
for (let i = 0; i < ROUNDS; i++) {
  bare.push(round(true).micros);
  const { micros, checked } = round(false);
  whole.push(micros);
  checkedShare = checked / TASKS;
}
const policy = whole.map((micros, index) => micros - (bare[index] as number));
const result = {
  bench: "policy",
  tasks: TASKS,
  miners: MINERS,
  /** With the policy, less the same tasks without it. */
  policyMicrosPerTask: spread(policy),
  bareMicrosPerTask: spread(bare),
  checkedShare,
  limitMicros: 5,
};
console.log(JSON.stringify(result, null, 2));
