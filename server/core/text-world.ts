import type { AssignmentId, CustomerId, MinerId, ModelKey, OwnerId, SessionId, TaskId } from "../../shared/ids.ts";
import { commonsTariff, type ServiceLevel } from "../../shared/pricing.ts";
import type { AssignmentMode } from "../../shared/protocol.ts";
import { seededRng } from "../../shared/random.ts";
import { assert } from "../../shared/result.ts";
import { type Tensor, tensorOf } from "../../shared/tensor.ts";
import { tensorsHash } from "../../shared/tensors-hash.ts";
import {
  type FinishReason,
  type GenerationSettings,
  settingsTensor,
  textTensors,
  tokensIn,
  tokenTensor,
} from "../../shared/text-generation.ts";
import type { CheckDone, CoreModel, HubEffect, HubEvent, PoolWork } from "./events.ts";
import { step } from "./hub.ts";
import { HubState } from "./state.ts";
import { floatsIn } from "./text.ts";
import { type TextTerms, textPrice } from "./text-terms.ts";
import { exactEdition, type ToyEdition, toyBounds, toyGenerate, toyPrompt, toyScore, toyWork } from "./toy-text.ts";

/** Miners that write and score texts around the production core, for its tests: the world says who answers what, and when. */

const golden = [
  { inputs: [tensorOf("input_ids", "int64", [1, 8], BigInt64Array.from([3n, 1n, 4n, 1n, 5n, 9n, 2n, 6n]))] },
];

export const textModel: CoreModel = {
  key: "toy@1" as ModelKey,
  memoryBytes: 1_000_000,
  downloadBytes: 1_000,
  batchLimit: 1,
  rowsIndependent: false,
  comparator: {
    kind: "sampled-text",
    output: "logits",
    relL2Pass: 1e-4,
    relL2Fail: 5e-4,
    abs: 1e-4,
    rel: 1e-3,
    tokens: 512,
    meanPass: 4e-4,
    meanFail: 2e-3,
    tokenPass: 1e-3,
    tokenFail: 5e-3,
    greyShare: 0.0078125,
  },
  outputs: [{ name: "logits", dtype: "float32", shape: ["n"] }],
  nonFiniteOutputs: false,
  golden: golden.map(({ inputs }) => ({ inputs, outputs: [tensorOf("logits", "float32", [1], Float32Array.of(1))] })),
  creator: "tabgrid",
  royaltyBasisPoints: 2000,
  referenceMs: 5,
  text: toyBounds,
};

const device = {
  runtime: "wasm" as const,
  adapter: "test",
  fallback: false,
  features: [],
  memoryBytes: 1_000_000_000,
  agent: "test",
  ortVersion: "1",
};

export interface Writer {
  session: SessionId;
  edition: ToyEdition;
  /** Scores with this one. */
  scores: ToyEdition;
  seq: number;
}
export interface Job {
  session: SessionId;
  assignment: AssignmentId;
  task: TaskId;
  inputs: Tensor[];
  mode: AssignmentMode;
}
type Reply = Extract<HubEffect, { kind: "reply" }>["outcome"]["result"];

/** Logits off as another device's are. */
const otherDevice = (salt: number): ToyEdition => ({ error: 1e-6, salt });
export const q4Edition: ToyEdition = { error: 0.1, salt: 77 };
export const int8Edition: ToyEdition = { error: 0.01, salt: 78 };

export class TextWorld {
  readonly state: HubState;
  readonly rng = seededRng(7);
  now = 1_000;
  readonly writers = new Map<SessionId, Writer>();
  jobs: Job[] = [];
  parts = new Map<TaskId, number[]>();
  replies = new Map<TaskId, Reply>();
  done: CheckDone[] = [];
  pool: PoolWork[] = [];
  voided: TaskId[] = [];
  cancelled: AssignmentId[] = [];
  refused: Extract<HubEffect, { kind: "refuse" }>[] = [];
  mismatches: Extract<HubEffect, { kind: "mismatch" }>[] = [];
  overturned: TaskId[] = [];
  reference: Extract<HubEffect, { kind: "run-reference" }>[] = [];
  #count = 0;

  constructor(options: { referenceServes?: boolean; referenceMs?: number | null; checks?: HubState["checks"] } = {}) {
    this.state = new HubState({
      idPrefix: "test",
      referenceServes: options.referenceServes ?? true,
      referenceBacklog: 4,
      checks: options.checks,
    });
    const { referenceMs = textModel.referenceMs } = options;
    this.apply({ kind: "model.published", at: this.now, model: { ...textModel, referenceMs } });
  }

  apply(...events: HubEvent[]): void {
    for (const event of events) this.now = Math.max(this.now, event.at);
    for (const effect of step(this.state, events, this.rng).effects) this.#on(effect);
  }

  #on(effect: HubEffect): void {
    switch (effect.kind) {
      case "prepare":
        return this.#prepare(effect.session, effect.model);
      case "assign":
        for (const item of effect.items) this.jobs.push({ session: effect.session, ...item });
        return;
      case "cancel":
        this.cancelled.push(...effect.assignments);
        this.jobs = this.jobs.filter(({ assignment }) => !effect.assignments.includes(assignment));
        return;
      case "run-reference":
        this.reference.push(effect);
        return;
      case "part": {
        assert(!this.replies.has(effect.task), "nothing comes after the answer");
        const { tokens, logProbabilities } = effect.part;
        assert(tokens.length === logProbabilities.length && tokens.length > 0, "a part has tokens");
        this.parts.set(effect.task, [...(this.parts.get(effect.task) ?? []), ...tokens]);
        return;
      }
      case "reply":
        assert(!this.replies.has(effect.outcome.task), "a caller is answered once");
        this.replies.set(effect.outcome.task, effect.outcome.result);
        return;
      case "check-done":
        this.done.push(effect.fact);
        return;
      case "pool-work":
        this.pool.push(effect.fact);
        return;
      case "void-hold":
        this.voided.push(effect.task);
        return;
      case "refuse":
        this.refused.push(effect);
        return;
      case "mismatch":
        this.mismatches.push(effect);
        return;
      case "overturned":
        this.overturned.push(effect.fact.task);
    }
  }

  #prepare(session: SessionId, model: ModelKey): void {
    const outputs = textModel.golden.map((vector) => vector.outputs);
    const at = this.now;
    this.apply({ kind: "miner.prepared", at, session, model, outputs, digest: "d", loadMs: 1, runMs: 1 });
  }

  join(name: string, edition: ToyEdition = otherDevice(this.#count), scores = otherDevice(this.#count)): Writer {
    const session = `s_${name}_${this.#count++}` as SessionId;
    const writer = { session, edition, scores, seq: 0 };
    this.writers.set(session, writer);
    const [miner, owner] = [`m_${name}` as MinerId, `own_${name}` as OwnerId];
    const at = this.now;
    const network = `203.0.${this.#count}.0/24`;
    const resident = [textModel.key];
    this.apply({ kind: "miner.joined", at, session, miner, owner, network, device, slots: 4, standing: null });
    this.apply({ kind: "miner.status", at, session, accepting: true, slots: 4, reason: null, resident });
    return writer;
  }

  submit(
    name: string,
    level: ServiceLevel = "fast",
    more: Partial<GenerationSettings> & Partial<Pick<TextTerms, "promptTokens" | "preemptible" | "enough">> = {},
  ): TaskId {
    const { promptTokens = 12, preemptible = false, enough = null, ...given } = more;
    const task = `t_${name}` as TaskId;
    const settings: GenerationSettings = {
      seed: "0123456789abcdef",
      maxTokens: 40,
      stopTokens: [],
      temperature: 0.8,
      topK: 0,
      topP: 1,
      bias: [],
      presencePenalty: 0,
      frequencyPenalty: 0,
      topLogProbabilities: 0,
      grammar: null,
      ...given,
    };
    const inputs = [tokenTensor(textTensors.prompt, toyPrompt(this.rng, promptTokens)), settingsTensor(settings)];
    const { maxTokens, stopTokens, topLogProbabilities } = settings;
    const text: TextTerms = {
      promptTokens,
      maxTokens,
      stopTokens,
      endsByGrammar: false,
      enough,
      topLogProbabilities,
      vocabulary: toyBounds.vocabulary,
      work: toyWork,
      tariff: commonsTariff,
      requestSeed: "1",
      preemptible,
    };
    const spec = {
      task,
      customer: "c1" as CustomerId,
      model: textModel.key,
      inputs,
      inputHash: tensorsHash(inputs),
      rows: 1,
      dims: {},
      work: 1n,
      price: textPrice(text, level, maxTokens),
      level,
      deadlineAt: this.now + 60_000,
      text,
    };
    this.apply({ kind: "task.submitted", at: this.now, spec });
    return task;
  }

  /** The one job of that mode that is out. */
  job(mode: AssignmentMode, task?: TaskId): Job {
    const found = this.jobs.find((job) => job.mode === mode && (!task || job.task === task));
    assert(found, `a job to ${mode} is out: ${JSON.stringify(this.jobs.map((one) => one.mode))}`);
    return found;
  }

  /** What the job's miner would return. */
  outputs({ session, inputs, mode }: Job, until?: number): Tensor[] {
    const writer = this.writers.get(session) as Writer;
    return mode === "score" ? toyScore(inputs, writer.scores) : toyGenerate(inputs, writer.edition, until);
  }

  /** Streams the tokens [from, to) of a generation. */
  stream(job: Job, from: number, to: number, outputs = this.outputs(job, to)): void {
    const tokens = tokensIn(outputs, textTensors.tokens).subarray(from, to);
    const logProbabilities = floatsIn(outputs, textTensors.logProbabilities).subarray(from, to);
    const { session, assignment } = job;
    this.now += 10;
    this.apply({ kind: "tokens", at: this.now, session, assignment, position: from, tokens, logProbabilities });
  }

  /** Returns a job's result, and signs for it. */
  finish(job: Job, outputs = this.outputs(job)): void {
    const writer = this.writers.get(job.session) as Writer;
    this.jobs = this.jobs.filter((other) => other !== job);
    const { session, assignment } = job;
    const seq = ++writer.seq;
    this.now += 10;
    const at = this.now;
    const commitment = tensorsHash(outputs);
    this.apply({ kind: "result", at, session, assignment, seq, outputs, commitment, computeMs: 1 });
    this.apply({ kind: "chain.signed", at, session, seq });
  }

  /** The reference node does what it was asked, texts in pieces. */
  runReference(piece = 16): void {
    for (let asked = this.reference.shift(); asked; asked = this.reference.shift()) {
      const { task, inputs, mode } = asked;
      this.now += 10;
      const outputs = mode === "score" ? toyScore(inputs) : toyGenerate(inputs, exactEdition);
      if (mode === "generate") {
        const tokens = tokensIn(outputs, textTensors.tokens);
        const values = floatsIn(outputs, textTensors.logProbabilities);
        for (let at = 0; at < tokens.length; at += piece) {
          const part = [
            tokenTensor(textTensors.tokens, tokens.slice(at, at + piece)),
            tensorOf(
              textTensors.logProbabilities,
              "float32",
              [values.slice(at, at + piece).length],
              values.slice(at, at + piece),
            ),
          ];
          this.apply({ kind: "reference.tokens", at: this.now, task, outputs: part });
        }
      }
      const commitment = tensorsHash(outputs);
      this.apply({ kind: "reference.done", at: this.now, task, outputs, commitment, runMs: 1 });
    }
  }

  /** Everything that is out is done, until nothing is. */
  drain(): void {
    for (let turns = 0; this.jobs.length + this.reference.length > 0; turns++) {
      assert(turns < 1_000, "it comes to an end");
      this.runReference();
      const job = this.jobs[0];
      if (job) this.finish(job);
    }
  }

  leave({ session }: Writer): void {
    this.jobs = this.jobs.filter((job) => job.session !== session);
    this.apply({ kind: "miner.lost", at: this.now, session });
    this.tick(3_100);
  }

  stop(task: TaskId, delivered: number, finish: FinishReason = "stop"): void {
    this.apply({ kind: "task.cancelled", at: this.now, task, text: { delivered, finish } });
  }

  tick(ms: number): void {
    for (let left = ms; left > 0; left -= 100) this.apply({ kind: "tick", at: this.now + 100 });
  }

  answered(task: TaskId): Extract<Reply, { ok: true }> {
    const reply = this.replies.get(task);
    assert(reply?.ok, `${task} is answered: ${reply && !reply.ok ? reply.error.message : "no reply"}`);
    return reply;
  }
}
