import { NANO_PER_MICRO } from "../../shared/money.ts";
import { nextInt, type Rng, seededRng } from "../../shared/random.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { CheckPolicy } from "../core/check-policy.ts";
import { freshStanding } from "../core/trust.ts";
import { offBy } from "./auditor.ts";
import { type Behaviour, type ClassFault, fingerprint, honestAnswer, inputValue, modelOf, SimMiner } from "./miner.ts";
import type { Lease, Watcher } from "./watcher.ts";
import { World } from "./world.ts";

/** A network on a quiet wire, for counting: who answered what, what it cost, what was accepted wrongly. */
export interface Member {
  behaviour: Behaviour;
  rate: number;
  deviceClass: number;
  /** Begins with 100 passed checks, strikes at their floor and the pay of 50 tasks held. */
  isTrusted?: boolean;
}

export interface CohortOptions {
  seed: number;
  members: Member[];
  /** Requests, all `fast` and of one price. */
  tasks: number;
  faults?: (start: number) => ClassFault[];
  checks?: CheckPolicy;
  referenceBacklog?: number;
  /** Who else looks on. */
  watchers?: Partial<Watcher>[];
  /** Ends the run early. */
  until?: (cohort: Cohort) => boolean;
}

/** What one owner did: a whitewasher's every key is an owner of its own. */
export interface OwnerTally {
  member: number;
  behaviour: Behaviour;
  answers: number;
  wrong: number;
  /** Wrong answers that were accepted and not overturned. */
  wrongAccepted: number;
  refuted: number;
  /** Answers given until it was suspended. */
  outAfter: number | null;
}

export interface Block {
  accepted: number;
  wrong: number;
  executions: number;
}

const PRICE = 3n * NANO_PER_MICRO;
const WRONG = 4e-4;

export class Cohort implements Watcher {
  readonly owners = new Map<string, OwnerTally>();
  readonly world: World;
  readonly miners: SimMiner[];
  accepted = 0;
  wrongAccepted = 0;
  refutedAfterDelivery = 0;
  quarantinedAt: number | null = null;
  submittedCount = 0;
  /** Per block of requests, in order of submission. */
  readonly blocks: Block[] = [];
  readonly #blockCount: number;
  readonly #tasks: number;
  readonly #prefix: string;
  #given = new Map<string, Lease & { outputs: Tensor[] | null }>();
  #acceptedRuns = new Map<string, string[]>();
  #memberOf = new Map<string, number>();
  readonly #members: Member[];

  constructor(options: CohortOptions, blocks = 20) {
    const { seed, members, checks, referenceBacklog = 64 } = options;
    this.#members = members;
    this.#prefix = `t_r${seed}x`;
    this.#blockCount = blocks;
    this.#tasks = options.tasks;
    this.world = new World({
      seed,
      models: [modelOf("alpha", 5)],
      watchers: [this, ...(options.watchers ?? []).map(indifferent)],
      referenceBacklog,
      checks,
      network: {
        delayMs: [0, 1],
        lossRate: 0,
        duplicateRate: 0,
        serviceMs: [8, 12],
        referenceMs: 5,
        referenceFailureRate: 0,
      },
    });
    this.world.grant("c", 10n ** 18n);
    const rng = seededRng(seed + 1);
    this.miners = members.map((member, index) => this.#enter(member, index, rng));
    this.world.faults = options.faults?.(this.world.now) ?? [];
    this.world.runUntil(this.world.now + 2_000);
    const gapMs = 20 / members.length;
    for (; this.submittedCount < options.tasks; this.submittedCount++) {
      const value = 1 + nextInt(rng, 2 ** 24) / 4096;
      this.world.submit(`r${seed}x${this.submittedCount}`, "c", modelOf("alpha", 5).key, value, "fast", PRICE);
      this.world.runUntil(this.world.now + gapMs);
      if (this.submittedCount % 200 === 0 && options.until?.(this)) break;
    }
    this.world.runUntil(this.world.now + 60_000);
  }

  /** Everything that ran, for all reasons: miners and reference node. */
  get executionsPerAccepted(): number {
    return this.world.executions / this.accepted;
  }

  #enter(member: Member, index: number, rng: Rng): SimMiner {
    const network = `10.${index >> 8}.${index & 255}.0/24`;
    const miner = new SimMiner(`n${index}`, { ...member, network }, seededRng(nextInt(rng, 2 ** 30)));
    this.#memberOf.set(miner.name, index);
    if (member.isTrusted) {
      const standing = freshStanding(miner.owner, this.world.now);
      const golden = modelOf("alpha", 5).golden.map(({ inputs }) =>
        honestAnswer(inputValue(inputs), member.deviceClass),
      );
      const runtime = member.deviceClass % 2 === 0 ? "webgpu" : "wasm";
      const key = `alpha@1|${runtime}|${fingerprint(golden.flat()).slice(-16)}`;
      standing.passed[key] = 100;
      standing.proven[key] = 100;
      standing.alpha += 100;
      standing.strikes = -4.6;
      this.world.remember(standing, (PRICE * 67n * 50n) / 100n);
    }
    this.world.join(miner);
    return miner;
  }

  tally(owner: string): OwnerTally {
    let tally = this.owners.get(owner);
    if (!tally) {
      const member = this.#memberOf.get(owner.slice(4).split("~")[0] as string) as number;
      const { behaviour } = this.#members[member] as Member;
      tally = { member, behaviour, answers: 0, wrong: 0, wrongAccepted: 0, refuted: 0, outAfter: null };
      this.owners.set(owner, tally);
    }
    return tally;
  }

  /** What the hub makes for itself counts where the requests are by then. */
  #blockOf(task: string): Block {
    const request = task.startsWith(this.#prefix) ? Number(task.slice(this.#prefix.length)) : this.submittedCount;
    const index = Math.min(this.#blockCount - 1, Math.floor((request * this.#blockCount) / this.#tasks));
    this.blocks[index] ??= { accepted: 0, wrong: 0, executions: 0 };
    return this.blocks[index] as Block;
  }

  assigned(to: Lease): void {
    this.#given.set(to.assignment, { ...to, outputs: null });
  }

  delivered(owner: string, _session: string, _seq: number, assignment: string, outputs: Tensor[]): void {
    const given = this.#given.get(assignment);
    if (!given) return;
    given.outputs = outputs;
    const tally = this.tally(owner);
    tally.answers++;
    if (offBy(given) >= WRONG) tally.wrong++;
    this.#blockOf(given.task).executions++;
  }

  referenceRan(task: string): void {
    this.#blockOf(task).executions++;
  }

  settled(task: string, _basis: string, accepted: string[]): void {
    this.accepted++;
    this.#blockOf(task).accepted++;
    const wrong = accepted.filter((id) => {
      const given = this.#given.get(id);
      return given !== undefined && offBy(given) >= WRONG;
    });
    for (const id of wrong) this.tally((this.#given.get(id) as Lease).owner).wrongAccepted++;
    if (wrong.length > 0) {
      this.wrongAccepted++;
      this.#blockOf(task).wrong++;
      this.#acceptedRuns.set(task, wrong);
    }
    for (const id of accepted) if (!wrong.includes(id)) this.#given.delete(id);
  }

  overturned(task: string): void {
    this.accepted--;
    this.#blockOf(task).accepted--;
    const wrong = this.#acceptedRuns.get(task);
    if (!wrong) return;
    this.wrongAccepted--;
    this.#blockOf(task).wrong--;
    for (const id of wrong) this.tally((this.#given.get(id) as Lease).owner).wrongAccepted--;
  }

  refuted(owner: string): void {
    this.tally(owner).refuted++;
  }

  suspended(owner: string): void {
    const tally = this.tally(owner);
    tally.outAfter = tally.answers;
  }

  quarantined(): void {
    this.quarantinedAt ??= this.submittedCount;
  }

  submitted(): void {}
  replied(): void {}
  refusedForBalance(): void {}
  unassigned(): void {}
  signed(): void {}
  referenceFailed(): void {}
  posted(): void {}
  restored(): void {}
  ruled(): void {}
  crashed(): void {}
}

/** A watcher that looks at some things only. */
const indifferent = (watcher: Partial<Watcher>): Watcher =>
  new Proxy(watcher, { get: (of, name) => Reflect.get(of, name)?.bind(of) ?? (() => {}) }) as Watcher;

/** The mix of ../shared/policy.md; every second cheat washes itself white, and honest errors follow the device class. */
export function policyMix(count: number): Member[] {
  return Array.from({ length: count }, (_, index) => {
    const place = (index * 100) / count;
    const deviceClass = [0, 0, 0, 0, 1, 1, 1, 2, 2, 3][index % 10] as number;
    if (place < 10) return { behaviour: index % 2 === 0 ? "tampering" : "whitewashing", rate: 0.2, deviceClass };
    if (place < 15) return { behaviour: "flaky", rate: 0.03, deviceClass };
    if (place < 20) return { behaviour: "colluding", rate: 0.2, deviceClass };
    return { behaviour: "honest", rate: 0, deviceClass };
  });
}

export const honestErrors = (start: number, share = 0.001): ClassFault[] =>
  [0, 1, 2, 3].map((deviceClass) => ({ deviceClass, since: start, share }));
