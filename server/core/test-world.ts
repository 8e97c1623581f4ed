import type { AssignmentId, CustomerId, MinerId, ModelKey, OwnerId, SessionId, TaskId } from "../../shared/ids.ts";
import type { Device, SessionRole } from "../../shared/protocol.ts";
import { type Rng, seededRng } from "../../shared/random.ts";
import { assert } from "../../shared/result.ts";
import { type Tensor, tensorOf } from "../../shared/tensor.ts";
import type { CheckDone, CoreModel, HubEffect, HubEvent, PoolWork, TaskSpec } from "./events.ts";
import { step } from "./hub.ts";
import { HubState } from "./state.ts";

/** A world of miners and customers around the production core, driven by a seed: for the core's own tests. */

export const model: CoreModel = {
  key: "double@1" as ModelKey,
  memoryBytes: 1_000_000,
  downloadBytes: 1_000,
  batchLimit: 8,
  rowsIndependent: true,
  comparator: { kind: "dense", relL2Pass: 1e-4, relL2Fail: 5e-4, abs: 1e-4, rel: 1e-3 },
  outputs: [{ name: "y", dtype: "float32", shape: ["n"] }],
  nonFiniteOutputs: false,
  golden: [{ inputs: [x(2)], outputs: [y(2)] }],
  creator: "tabgrid",
  royaltyBasisPoints: 2000,
  referenceMs: 5,
};

const device: Device = {
  runtime: "wasm",
  adapter: "test",
  fallback: false,
  features: [],
  memoryBytes: 1_000_000_000,
  agent: "test",
  ortVersion: "1",
};

function x(value: number): Tensor {
  return tensorOf("x", "float32", [1], Float32Array.of(value));
}
export function y(value: number, factor = 2): Tensor {
  return tensorOf("y", "float32", [1], Float32Array.of(value * factor));
}
export const scalarOf = (tensor: Tensor): number => new Float32Array(tensor.data.slice().buffer)[0] as number;
const commitment = (tensors: Tensor[]): string => tensors.map((tensor) => tensor.data.join(" ")).join();

const answerable = new Set<HubEffect["kind"]>(["prepare", "assign", "run-reference"]);

export type Behaviour = "honest" | "tampers" | "silent";

export class World {
  readonly state: HubState;
  readonly rng: Rng;
  now = 1_000;
  seq = new Map<SessionId, number>();
  behaviours = new Map<SessionId, Behaviour>();
  replies = new Map<TaskId, Extract<HubEffect, { kind: "reply" }>["outcome"]["result"]>();
  done: CheckDone[] = [];
  poolWork: PoolWork[] = [];
  voided: TaskId[] = [];
  refused: Extract<HubEffect, { kind: "refuse" }>[] = [];
  work: Extract<HubEffect, { kind: "work" }>[] = [];
  kept: Extract<HubEffect, { kind: "kept" }>[] = [];
  /** What is on its way: effects are answered when the world says so. */
  pending: HubEffect[] = [];

  constructor(seed = 1, checks?: HubState["checks"]) {
    this.state = new HubState({ idPrefix: "test", referenceServes: true, referenceBacklog: 4, checks });
    this.rng = seededRng(seed);
    this.apply({ kind: "model.published", at: this.now, model });
  }

  apply(event: HubEvent): void {
    this.now = Math.max(this.now, event.at);
    for (const effect of step(this.state, [event], this.rng).effects) {
      if (effect.kind === "reply") {
        assert(!this.replies.has(effect.outcome.task), "a caller is answered once");
        this.replies.set(effect.outcome.task, effect.outcome.result);
      } else if (effect.kind === "check-done") this.done.push(effect.fact);
      else if (effect.kind === "pool-work") this.poolWork.push(effect.fact);
      else if (effect.kind === "void-hold") this.voided.push(effect.task);
      else if (effect.kind === "refuse") this.refused.push(effect);
      else if (effect.kind === "work") this.work.push(effect);
      else if (effect.kind === "kept") this.kept.push(effect);
      else if (answerable.has(effect.kind)) this.pending.push(effect);
    }
  }

  join(
    name: string,
    behaviour: Behaviour = "honest",
    network: string | null = null,
    role: SessionRole = "miner",
  ): SessionId {
    const session = `s_${name}_${this.now}` as SessionId;
    this.behaviours.set(session, behaviour);
    this.seq.set(session, 0);
    const miner = `m_${name}` as MinerId;
    const owner = `own_${name}` as OwnerId;
    this.apply({
      kind: "miner.joined",
      at: this.now,
      session,
      miner,
      owner,
      network,
      role,
      device,
      slots: 1,
      standing: null,
    });
    this.apply({
      kind: "miner.status",
      at: this.now,
      session,
      accepting: true,
      slots: 1,
      reason: null,
      resident: [model.key],
    });
    return session;
  }

  submit(
    name: string,
    level: "fast" | "verified" | "quorum-3" = "verified",
    value = 3,
    more: Partial<Pick<TaskSpec, "checks" | "preemptible" | "model">> = {},
  ): TaskId {
    const task = `t_${name}` as TaskId;
    this.apply({
      kind: "task.submitted",
      at: this.now,
      spec: {
        task,
        customer: "c1" as CustomerId,
        model: model.key,
        inputs: [x(value)],
        inputHash: "00",
        rows: 1,
        dims: { n: 1 },
        work: 1_000n,
        price: 1_000n,
        level,
        deadlineAt: this.now + 20_000,
        ...more,
      },
    });
    return task;
  }

  answer(session: SessionId, assignment: AssignmentId, outputs: Tensor[]): void {
    const seq = (this.seq.get(session) ?? 0) + 1;
    this.seq.set(session, seq);
    const { now: at } = this;
    this.apply({
      kind: "result",
      at,
      session,
      assignment,
      seq,
      outputs,
      commitment: commitment(outputs),
      computeMs: 1,
    });
  }

  /** Answers everything that is on its way until the hub asks for nothing more. */
  drain(): void {
    for (let effect = this.pending.shift(); effect; effect = this.pending.shift()) this.react(effect);
    for (const [session, seq] of this.seq)
      if (seq > 0) this.apply({ kind: "chain.signed", at: this.now, session, seq });
    if (this.pending.length > 0) this.drain();
  }

  /** Tamperers do not collude: each has a wrong answer of its own. */
  factor(session: SessionId): number {
    return 3 + [...this.behaviours.keys()].indexOf(session);
  }

  react(effect: HubEffect): void {
    this.now += 1;
    const at = this.now;
    if (effect.kind === "prepare") {
      const outputs = model.golden.map((vector) => vector.outputs);
      this.apply({
        kind: "miner.prepared",
        at,
        session: effect.session,
        model: effect.model,
        outputs,
        digest: commitment(outputs.flat()),
        loadMs: 1,
        runMs: 1,
      });
    } else if (effect.kind === "run-reference") {
      const outputs = [y(scalarOf(effect.inputs[0] as Tensor))];
      this.apply({ kind: "reference.done", at, task: effect.task, outputs, commitment: commitment(outputs), runMs: 1 });
    } else if (effect.kind === "assign") {
      for (const { assignment, inputs } of effect.items) {
        const behaviour = this.behaviours.get(effect.session);
        if (behaviour === "silent") continue;
        this.answer(effect.session, assignment, [
          y(scalarOf(inputs[0] as Tensor), behaviour === "tampers" ? this.factor(effect.session) : 2),
        ]);
      }
    }
  }

  tick(ms: number): void {
    for (let left = ms; left > 0; left -= 100) {
      this.now += 100;
      this.apply({ kind: "tick", at: this.now });
    }
  }

  rightAnswer(task: TaskId, value = 3): void {
    const reply = this.replies.get(task);
    assert(reply?.ok, `${task} is answered: ${JSON.stringify(reply)}`);
    const answer = scalarOf(reply.outputs[0] as Tensor);
    assert(answer === value * 2, `${task}: twice ${value} is not ${answer}`);
  }
}
