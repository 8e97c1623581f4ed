import type { AssignmentId, CustomerId, MinerId, OwnerId, SessionId, TaskId } from "../../shared/ids.ts";
import { commonsTariff } from "../../shared/pricing.ts";
import { nextInt, type Rng, seededRng } from "../../shared/random.ts";
import { type Tensor, tensorOf } from "../../shared/tensor.ts";
import { tensorsHash } from "../../shared/tensors-hash.ts";
import { settingsTensor, textTensors, tokensIn, tokenTensor } from "../../shared/text-generation.ts";
import type { CheckDone, HubEffect } from "../core/events.ts";
import { floatsIn } from "../core/text.ts";
import { type TextTerms, textPrice } from "../core/text-terms.ts";
import { q4Edition, textModel } from "../core/text-world.ts";
import {
  exactEdition,
  type ToyEdition,
  toyBounds,
  toyGenerate,
  toyPrompt,
  toyScore,
  toyWork,
} from "../core/toy-text.ts";
import { grant } from "../economy/holds.ts";
import { HubProcess } from "./hub-process.ts";
import { Timeline } from "./timeline.ts";
import type { Watcher } from "./watcher.ts";

/**
 * A life of texts: the production core and economy between people who write, check, cheat and leave in mid-stream, out of a
 * seed. It is judged from outside: by the model itself, which everyone here can run, and by the books.
 */
type Kind =
  | "honest"
  /** Writes and checks with a smaller edition. */
  | "swaps"
  /** Writes with a smaller edition, and asks the model itself for the log-probabilities. */
  | "prefill"
  /** Returns another text than it streamed. */
  | "tampers"
  /** Leaves in mid-stream, and comes back. */
  | "leaves";

interface Writer {
  name: string;
  kind: Kind;
  edition: ToyEdition;
  session: SessionId;
  isOpen: boolean;
  seq: number;
}

interface Asked {
  inputs: Tensor[];
  received: number[];
  replies: number;
  isTaken: number | null;
  /** The caller said that it has enough: what still comes it does not read. */
  isStopped: boolean;
  /** Where it has enough by itself, as with a stop string. */
  enough: TextTerms["enough"];
}

const PIECE = 8;
/** Two must be beyond what any honest device shows before a text fails by itself; of so few, nearly all are. */
const TELLING_TOKENS = 8;
const TIE = 1e-5;
const PREFILL_EDITION: ToyEdition = { error: 0.04, salt: 5 };
const REST_MS = 200_000;
const indifferent = new Proxy({}, { get: () => () => {} }) as Watcher;

export interface TextLifeReport {
  faults: string[];
  texts: number;
  counts: { settled: number; unchecked: number; refuted: number; continued: number; suspended: number };
}

export function liveTexts(seed: number, texts = 60): TextLifeReport {
  return new TextLife(seed).run(texts);
}

/** The caller has enough once this token has come. */
const endsAfter = (last: number) => (tokens: readonly number[]) => {
  const at = tokens.indexOf(last);
  return at < 0 ? null : at + 1;
};

class TextLife {
  readonly #rng: Rng;
  readonly #hub: HubProcess;
  readonly #timeline = new Timeline();
  readonly #writers: Writer[];
  readonly #asked = new Map<TaskId, Asked>();
  readonly #settled: CheckDone[] = [];
  readonly #faults: string[] = [];
  readonly #gone = new Set<AssignmentId>();
  readonly #refuted = new Set<TaskId>();
  #suspended: OwnerId[] = [];
  #now = 1_000_000;
  #joins = 0;

  constructor(seed: number) {
    this.#rng = seededRng(seed * 40_503 + 1);
    this.#hub = new HubProcess({ models: [textModel], referenceBacklog: 4 }, this.#rng, [indifferent], this.#now);
    this.#hub.books.commit([grant("c" as CustomerId, 10n ** 15n, "start", this.#now)], []);
    const kinds: Kind[] = ["honest", "honest", "honest", "honest", "swaps", "prefill", "tampers", "leaves", "leaves"];
    this.#writers = kinds.map((kind, at) => ({
      name: `${kind}${at}`,
      kind,
      edition: kind === "swaps" ? q4Edition : { error: 1e-6, salt: at },
      session: "" as SessionId,
      isOpen: false,
      seq: 0,
    }));
  }

  run(texts: number): TextLifeReport {
    for (const writer of this.#writers) this.#join(writer);
    for (let text = 0; text < texts; text++) {
      this.#submit(text);
      this.#until(this.#now + nextInt(this.#rng, 400));
    }
    this.#until(this.#now + REST_MS);
    this.#judge();
    const continued = this.#settled.filter(({ executions }) =>
      executions.some(({ repeated }) => (repeated ?? 0n) > 0n),
    );
    return {
      faults: this.#faults,
      texts,
      counts: {
        settled: this.#settled.length,
        unchecked: this.#settled.filter(({ basis }) => basis === "unchecked").length,
        refuted: this.#refuted.size,
        continued: continued.length,
        suspended: this.#suspended.length,
      },
    };
  }

  #until(end: number): void {
    for (;;) {
      if (this.#hub.hasWork) this.#turn();
      if (this.#timeline.next > end) break;
      this.#now = Math.max(this.#now, this.#timeline.next);
      this.#timeline.advance();
    }
    this.#now = end;
  }

  #ticking = false;
  #turn(): void {
    const turn = this.#hub.turn(this.#now);
    if (turn.died) return;
    for (const effect of turn.effects) this.#on(effect);
    if (turn.wakeAt === null || this.#ticking) return;
    this.#ticking = true;
    this.#after(50, () => {
      this.#ticking = false;
      this.#hub.report({ kind: "tick", at: this.#now });
    });
  }

  #after(ms: number, act: () => void): void {
    this.#timeline.plan(this.#now + ms, act);
  }

  #delay = (): number => 1 + nextInt(this.#rng, 30);

  #join(writer: Writer): void {
    const owner = `own_${writer.name}` as OwnerId;
    const standing = this.#hub.books.standing(owner);
    if (standing?.suspended) return;
    writer.session = `s_${writer.name}_${this.#joins++}` as SessionId;
    writer.isOpen = true;
    writer.seq = 0;
    const network = `203.0.${this.#writers.indexOf(writer)}.0/24`;
    const device = {
      runtime: "wasm" as const,
      adapter: "simulated",
      fallback: false,
      features: [],
      memoryBytes: 1_000_000_000,
      agent: "sim",
      ortVersion: "1",
    };
    const { session } = writer;
    const [miner, at] = [`m_${writer.name}` as MinerId, this.#now];
    this.#hub.report({ kind: "miner.joined", at, session, miner, owner, network, device, slots: 1, standing });
    const resident = [textModel.key];
    this.#hub.report({ kind: "miner.status", at, session, accepting: true, slots: 1, reason: null, resident });
  }

  #leave(writer: Writer): void {
    writer.isOpen = false;
    this.#hub.report({ kind: "miner.lost", at: this.#now, session: writer.session });
    this.#after(200 + nextInt(this.#rng, 6_000), () => this.#join(writer));
  }

  #submit(index: number): void {
    const rng = this.#rng;
    const promptTokens = 1 + nextInt(rng, 20);
    const maxTokens = 16 + nextInt(rng, 160);
    const level = (["fast", "fast", "fast", "verified", "verified", "quorum-3"] as const)[nextInt(rng, 6)] ?? "fast";
    const stopTokens = rng.next() < 0.3 ? [nextInt(rng, toyBounds.vocabulary)] : [];
    const temperature = [0, 0.7, 1][nextInt(rng, 3)] as number;
    const seed = Array.from({ length: 16 }, () => nextInt(rng, 16).toString(16)).join("");
    const settings = { seed, maxTokens, stopTokens, temperature, topK: 0, topP: 1, bias: [], grammar: null };
    const inputs = [
      tokenTensor(textTensors.prompt, toyPrompt(rng, promptTokens)),
      settingsTensor({ ...settings, presencePenalty: 0, frequencyPenalty: 0, topLogProbabilities: 0 }),
    ];
    const text: TextTerms = {
      promptTokens,
      maxTokens,
      stopTokens,
      endsByGrammar: false,
      enough: rng.next() < 0.2 ? endsAfter(nextInt(rng, toyBounds.vocabulary)) : null,
      vocabulary: toyBounds.vocabulary,
      topLogProbabilities: 0,
      work: toyWork,
      tariff: commonsTariff,
      requestSeed: "1",
      preemptible: rng.next() < 0.2,
    };
    const task = `t_${index}` as TaskId;
    const price = textPrice(text, level, maxTokens);
    const customer = "c" as CustomerId;
    const spec = { task, customer, model: textModel.key, inputs, inputHash: tensorsHash(inputs), rows: 1, dims: {} };
    this.#hub.books.hold({ task, customer, amount: price }, this.#now);
    // A text of so few tokens that nobody can be told by them is not what is looked at here.
    const isTaken = rng.next() < 0.15 ? 12 + nextInt(rng, 40) : null;
    this.#asked.set(task, { inputs, received: [], replies: 0, isTaken, isStopped: false, enough: text.enough });
    const deadlineAt = this.#now + 60_000;
    const more = { work: 1n, price, level, deadlineAt, text };
    this.#hub.report({ kind: "task.submitted", at: this.#now, spec: { ...spec, ...more } });
  }

  #on(effect: HubEffect): void {
    switch (effect.kind) {
      case "prepare":
        return this.#after(this.#delay(), () => {
          const outputs = textModel.golden.map((vector) => vector.outputs);
          const { session, model } = effect;
          const at = this.#now;
          this.#hub.report({ kind: "miner.prepared", at, session, model, outputs, digest: "d", loadMs: 1, runMs: 5 });
        });
      case "kept":
        return this.#giveBack(effect.session, effect.assignments);
      case "cancel":
        for (const assignment of effect.assignments) this.#gone.add(assignment);
        return;
      case "assign":
        for (const item of effect.items) this.#work(effect.session, item);
        return;
      case "run-reference":
        return this.#reference(effect);
      case "part":
        return this.#part(effect);
      case "reply": {
        const asked = this.#asked.get(effect.outcome.task);
        const { result } = effect.outcome;
        if (!asked || ++asked.replies > 1) this.#faults.push(`${effect.outcome.task} was answered twice, or unasked`);
        if (result.ok && asked && asked.isTaken === null && result.text?.tokens !== asked.received.length)
          this.#faults.push(
            `${effect.outcome.task}: ${asked.received.length} tokens came, ${result.text?.tokens} are told`,
          );
        return;
      }
      case "check-done":
        this.#settled.push(effect.fact);
        return;
      case "receipt-revised":
        this.#refuted.add(effect.fact.task);
        return;
      case "case-opened":
        this.#suspended.push(effect.opened.owner);
    }
  }

  /** Whoever comes back has nothing left of what it was making. */
  #giveBack(session: SessionId, assignments: AssignmentId[]): void {
    if (assignments.length === 0) return;
    for (const assignment of assignments) this.#gone.add(assignment);
    const at = this.#now;
    this.#hub.report({ kind: "assignments.failed", at, session, assignments, fault: "paused", message: "reloaded" });
  }

  #part({ task, part }: Extract<HubEffect, { kind: "part" }>): void {
    const asked = this.#asked.get(task);
    if (!asked || asked.replies > 0) return void this.#faults.push(`${task}: tokens came after its answer`);
    if (asked.isStopped) return;
    asked.received.push(...part.tokens);
    const enough = asked.enough?.(asked.received) ?? null;
    if (enough !== null && enough < asked.received.length)
      this.#faults.push(`${task}: ${asked.received.length} tokens came, though ${enough} were enough`);
    if (asked.isTaken === null || asked.received.length < asked.isTaken) return;
    asked.isStopped = true;
    const text = { delivered: asked.received.length, finish: "stop" as const };
    this.#hub.report({ kind: "task.cancelled", at: this.#now, task, text });
  }

  #work(session: SessionId, item: Extract<HubEffect, { kind: "assign" }>["items"][number]): void {
    const writer = this.#writers.find((one) => one.session === session);
    if (!writer?.isOpen) return;
    const { assignment, inputs, mode } = item;
    if (mode === "score") {
      const outputs = toyScore(inputs, writer.edition);
      return this.#after(this.#delay() + 5, () => this.#answer(writer, session, assignment, outputs));
    }
    const outputs = this.#written(writer, inputs);
    const streamed = writer.kind === "tampers" ? this.#written({ ...writer, edition: q4Edition }, inputs) : outputs;
    const tokens = tokensIn(streamed, textTensors.tokens);
    const logProbabilities = floatsIn(streamed, textTensors.logProbabilities);
    const diesAt = writer.kind === "leaves" && this.#rng.next() < 0.5 ? nextInt(this.#rng, tokens.length) : null;
    let due = this.#delay();
    for (let position = 0; position < tokens.length; position += PIECE) {
      const part = { tokens: tokens.slice(position, position + PIECE), at: position };
      this.#after(due, () => {
        if (!this.#holds(writer, session, assignment)) return;
        if (diesAt !== null && part.at >= diesAt) return this.#leave(writer);
        const values = logProbabilities.slice(part.at, part.at + PIECE);
        const message = { session, assignment, position: part.at, tokens: part.tokens, logProbabilities: values };
        this.#hub.report({ kind: "tokens", at: this.#now, ...message });
      });
      due += 4 + nextInt(this.#rng, 20);
    }
    this.#after(due + 1, () => this.#answer(writer, session, assignment, outputs));
  }

  #written(writer: Writer, inputs: Tensor[]): Tensor[] {
    if (writer.kind !== "prefill") return toyGenerate(inputs, writer.edition);
    const outputs = toyGenerate(inputs, PREFILL_EDITION);
    const prefix = [...tokensIn(inputs, textTensors.prefix)];
    const whole = tokenTensor(textTensors.tokens, [...prefix, ...tokensIn(outputs, textTensors.tokens)]);
    const from = tokenTensor(textTensors.from, [prefix.length]);
    const [scores] = toyScore([...inputs.slice(0, 2), whole, from], writer.edition);
    return [outputs[0] as Tensor, scores as Tensor];
  }

  #holds = (writer: Writer, session: SessionId, assignment: AssignmentId): boolean =>
    writer.isOpen && writer.session === session && !this.#gone.has(assignment);

  #answer(writer: Writer, session: SessionId, assignment: AssignmentId, outputs: Tensor[]): void {
    if (!this.#holds(writer, session, assignment)) return;
    const seq = ++writer.seq;
    const commitment = tensorsHash(outputs);
    const at = this.#now;
    this.#hub.report({ kind: "result", at, session, assignment, seq, outputs, commitment, computeMs: 1 });
    this.#after(this.#delay(), () => this.#hub.report({ kind: "chain.signed", at: this.#now, session, seq }));
  }

  #reference({ task, inputs, mode }: Extract<HubEffect, { kind: "run-reference" }>): void {
    const outputs = mode === "score" ? toyScore(inputs) : toyGenerate(inputs);
    const commitment = tensorsHash(outputs);
    let due = 5;
    if (mode === "generate") {
      const tokens = tokensIn(outputs, textTensors.tokens);
      const values = floatsIn(outputs, textTensors.logProbabilities);
      for (let at = 0; at < tokens.length; at += PIECE) {
        const [some, theirs] = [tokens.slice(at, at + PIECE), values.slice(at, at + PIECE)];
        const part = [
          tokenTensor(textTensors.tokens, some),
          tensorOf(textTensors.logProbabilities, "float32", [theirs.length], theirs),
        ];
        due += 10;
        this.#after(due, () => this.#hub.report({ kind: "reference.tokens", at: this.#now, task, outputs: part }));
      }
    }
    this.#after(due + 1, () =>
      this.#hub.report({ kind: "reference.done", at: this.#now, task, outputs, commitment, runMs: due }),
    );
  }

  #judge(): void {
    const fault = (what: string) => this.#faults.push(what);
    const { state, books } = this.#hub;
    const left = {
      tasks: state.tasks.size,
      assignments: state.assignments.size,
      "queued items": state.queue.size,
      "reference runs": state.referenceInFlight,
      "checks that follow": state.scoringDue.size,
      holds: books.openHolds().length,
    };
    for (const [what, many] of Object.entries(left)) if (many > 0) fault(`${many} ${what} are left over`);
    for (const [task, { replies }] of this.#asked) if (replies !== 1) fault(`${task} was answered ${replies} times`);
    const sum = [...books.balances.values()].reduce((total, amount) => total + amount, 0n);
    if (sum !== 0n) fault(`the books are off by ${sum}`);
    for (const fact of this.#settled) this.#judgeText(fact);
    for (const { name, kind } of this.#writers) {
      const owner = `own_${name}` as OwnerId;
      const paid = kind === "swaps" ? this.#paidFor(owner) : 0;
      if (paid > 0) fault(`${name} was paid for ${paid} tokens of a text`);
      const isHonest = kind === "honest" || kind === "leaves";
      if (isHonest && this.#suspended.includes(owner)) fault(`${name} is honest, and suspended`);
    }
  }

  /**
   * The most tokens of a text that somebody was paid for; fewer than can tell an edition from another do not count, nor does
   * what one copy wrote and the same copy bore out: two who lie alike are found by the reference node's share of checks.
   */
  #paidFor(owner: OwnerId): number {
    const isAlike = ({ executions }: CheckDone) => executions.some(({ by }) => /own_tampers/.test(by));
    const others = this.#settled.filter((fact) => !isAlike(fact));
    const tokens = others.flatMap(({ text, executions }) =>
      executions
        .filter(({ by, accepted, signed }) => by === owner && accepted && signed)
        .map(({ span }) => (span ? span.to - span.from : (text?.outputTokens ?? 0))),
    );
    return Math.max(0, ...tokens.filter((many) => many >= TELLING_TOKENS));
  }

  #judgeText({ task, text, basis, executions }: CheckDone): void {
    const asked = this.#asked.get(task);
    if (!asked || !text) return;
    if (text.outputTokens !== asked.received.length)
      this.#faults.push(`${task}: ${asked.received.length} tokens were delivered, ${text.outputTokens} are charged`);
    const makers = executions.filter(({ role }) => role === "primary");
    const isCheated = makers.some(({ by }) => /own_(prefill|swaps|tampers)/.test(by));
    if (isCheated && basis === "unchecked") return;
    if (
      makers.some(({ by, span }) => by.startsWith("own_swaps") && (span?.to ?? 0) - (span?.from ?? 0) >= TELLING_TOKENS)
    )
      this.#faults.push(`${task}: a swapped file was accepted`);
    if (isCheated) return;
    const tokens = tokenTensor(textTensors.tokens, asked.received);
    const exact = toyScore([...asked.inputs, tokens, tokenTensor(textTensors.from, [0])], exactEdition);
    // Devices differ in the last digits: where two tokens tie within that, either is right.
    if (floatsIn(exact, textTensors.margins).some((margin) => margin > TIE))
      this.#faults.push(`${task}: not what the model says, though nobody cheated`);
  }
}
