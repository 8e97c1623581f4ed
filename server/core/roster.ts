import type { AssignmentId, MinerId, ModelKey, OwnerId, SessionId, TaskId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Nano } from "../../shared/money.ts";
import type { AssignmentMode, Device, SessionRole } from "../../shared/protocol.ts";
import { nextInt, type Rng } from "../../shared/random.ts";
import type { Millis } from "../../shared/time.ts";
import type { CanaryOwed } from "./canary-owed.ts";
import { RecentAnswers } from "./check-policy.ts";
import type { Standing } from "./events.ts";
import type { ProbeSet } from "./probes.ts";
import type { Role } from "./queue.ts";
import type { Span } from "./text.ts";

/** The miners that are here: their device, the models they passed the known answers of, and what they hold. */

/**
 * A model on one miner.
 *
 *   preparing  told to load it and to compute the known answers
 *   admitted   every known answer matched: may be given paid work
 *   refused    an answer did not match, or it could not be loaded; where its class is quarantined on WebGPU it is asked for
 *              again on WASM (fallback.ts)
 */
export interface ModelOnMiner {
  state: "preparing" | "admitted" | "refused";
  since: Millis;
  /** Mean milliseconds of one item, exponentially weighted; starts at what the miner measured. */
  serviceMs: number;
  reason: string | null;
  /** What it runs on where that is not the device's own. */
  runtime?: Device["runtime"];
  /** What its bits say it is; empty until the known answers are in. */
  deviceClass: string;
  /** Which renewed probes it was asked. */
  probes: ProbeSet | null;
  /** Refused because its device class is: it is given known answers only. */
  quarantined: boolean;
  /** Known answers that it shall be given as ordinary work. */
  canariesOwed: CanaryOwed[];
  recent: RecentAnswers;
}

export const freshModel = (
  since: Millis,
  runtime?: Device["runtime"],
  probes: ProbeSet | null = null,
): ModelOnMiner => ({
  state: "preparing",
  since,
  runtime,
  probes,
  serviceMs: 0,
  reason: null,
  deviceClass: "",
  quarantined: false,
  canariesOwed: [],
  recent: new RecentAnswers(),
});

/** A lease of one task to one miner. */
export interface Assignment {
  id: AssignmentId;
  task: TaskId;
  session: SessionId;
  role: Role;
  model: ModelKey;
  grantedAt: Millis;
  leaseEndsAt: Millis;
  leaseMs: number;
  /** Assignments of one message count as one in flight. */
  message: number;
  newcomer: boolean;
  /** Of the session for this model when it was granted. */
  deviceClass: string;
  mode: AssignmentMode;
  /** Of a score: the tokens that it covers. */
  span?: Span;
}

export interface MinerSession {
  id: SessionId;
  miner: MinerId;
  owner: OwnerId;
  network: string | null;
  role: SessionRole;
  device: Device;
  standing: Standing;
  slots: number;
  accepting: boolean;
  reason: string | null;
  joinedAt: Millis;
  /** Set while the connection is gone and its assignments are kept. */
  graceEndsAt: Millis | null;
  models: Map<ModelKey, ModelOnMiner>;
  /** Models that its GPU computes wrongly: they are asked for on WASM. */
  onWasm: Set<ModelKey>;
  assignments: Map<AssignmentId, Assignment>;
  /** Open items of each message in flight. */
  messages: Map<number, number>;
  /** When it last returned something: work in flight starts after that. */
  lastResultAt: Millis;
  accepted: number;
  refuted: number;
  /** When a validator shall next look whether it is there; null until one could. */
  witnessDueAt: Millis | null;
  /** What validators said of it since it connected. */
  seen: Seen;
}

/** Words on a miner's presence that stand; `at`: of the last one that found it there. */
export interface Seen {
  present: number;
  absent: number;
  at: Millis | null;
}

export const unseen = (): Seen => ({ present: 0, absent: 0, at: null });

/** A set with O(1) add, delete and random pick. */
class PickSet<T> {
  readonly items: T[] = [];
  #places = new Map<T, number>();

  /** Whether that changed anything. */
  set(item: T, member: boolean): boolean {
    const place = this.#places.get(item);
    if (member === (place !== undefined)) return false;
    if (place === undefined) {
      this.#places.set(item, this.items.push(item) - 1);
      return true;
    }
    const last = this.items.pop() as T;
    this.#places.delete(item);
    if (last !== item) {
      this.items[place] = last;
      this.#places.set(last, place);
    }
    return true;
  }

  sample(count: number, rng: Rng): T[] {
    if (this.items.length <= count) return [...this.items];
    const picked = new Set<T>();
    for (let tries = 0; picked.size < count && tries < 4 * count; tries++) {
      picked.add(this.items[nextInt(rng, this.items.length)] as T);
    }
    return [...picked];
  }
}

export class Roster {
  readonly sessions = new Map<SessionId, MinerSession>();
  readonly byMiner = new Map<MinerId, SessionId>();
  /** One object per owner, shared by all of its sessions. */
  readonly standings = new Map<OwnerId, Standing>();
  /** Collateral and held pay per owner. */
  readonly atRisk = new Map<OwnerId, Nano>();
  readonly #barred = new Map<OwnerId, ReadonlySet<ModelKey>>();
  /** Per model: every admitted, accepting session (`able`), and those of them with room for one more message (`free`). */
  #able = byRole();
  #free = byRole();
  #classes = new Map<ModelKey, Map<string, number>>();

  add(session: MinerSession): void {
    this.sessions.set(session.id, session);
    this.byMiner.set(session.miner, session.id);
  }

  remove(session: MinerSession): void {
    session.accepting = false;
    this.refresh(session);
    this.sessions.delete(session.id);
    if (this.byMiner.get(session.miner) === session.id) this.byMiner.delete(session.miner);
  }

  /** Call after anything that decides whether the session may be given work. */
  refresh(session: MinerSession): void {
    const serving = session.accepting && session.graceEndsAt === null && !session.standing.suspended;
    const room = session.messages.size < session.slots * limits.inFlightPerSlot;
    for (const [model, on] of session.models) {
      const able = serving && on.state === "admitted" && !this.#barred.get(session.owner)?.has(model);
      if (setOf(this.#able[session.role], model).set(session, able))
        this.#countClass(model, on.deviceClass, able ? 1 : -1);
      setOf(this.#free[session.role], model).set(session, able && room);
    }
  }

  /** Models that the owner is given no work of; replaces what was said before. */
  bar(owner: OwnerId, models: readonly ModelKey[]): void {
    if (models.length > 0) this.#barred.set(owner, new Set(models));
    else if (!this.#barred.delete(owner)) return;
    for (const session of this.sessions.values()) if (session.owner === owner) this.refresh(session);
  }

  /** The session has lost a model, or is to prove it again. */
  forget(session: MinerSession, model: ModelKey): void {
    const on = session.models.get(model);
    if (!on) return;
    if (setOf(this.#able[session.role], model).set(session, false)) this.#countClass(model, on.deviceClass, -1);
    setOf(this.#free[session.role], model).set(session, false);
    session.models.delete(model);
  }

  /** Device classes among the able sessions of both roles. */
  classCount(model: ModelKey): number {
    return this.#classes.get(model)?.size ?? 0;
  }

  #countClass(model: ModelKey, deviceClass: string, by: number): void {
    const counts = this.#classes.get(model) ?? new Map<string, number>();
    this.#classes.set(model, counts);
    const count = (counts.get(deviceClass) ?? 0) + by;
    if (count > 0) counts.set(deviceClass, count);
    else counts.delete(deviceClass);
  }

  able(model: ModelKey, role: SessionRole = "miner"): readonly MinerSession[] {
    return setOf(this.#able[role], model).items;
  }

  free(model: ModelKey, role: SessionRole = "miner"): readonly MinerSession[] {
    return setOf(this.#free[role], model).items;
  }

  sampleFree(model: ModelKey, role: SessionRole, count: number, rng: Rng): MinerSession[] {
    return setOf(this.#free[role], model).sample(count, rng);
  }

  /** Removes an assignment from its session. */
  close(assignment: Assignment): void {
    const session = this.sessions.get(assignment.session);
    if (!session?.assignments.delete(assignment.id)) return;
    const left = (session.messages.get(assignment.message) ?? 1) - 1;
    if (left > 0) session.messages.set(assignment.message, left);
    else session.messages.delete(assignment.message);
    this.refresh(session);
  }
}

type Sets = Map<ModelKey, PickSet<MinerSession>>;
const byRole = (): Record<SessionRole, Sets> => ({ miner: new Map(), validator: new Map() });

function setOf(map: Sets, model: ModelKey): PickSet<MinerSession> {
  let set = map.get(model);
  if (!set) {
    set = new PickSet();
    map.set(model, set);
  }
  return set;
}

/** Milliseconds until one more item would be done by this miner. */
export function expectedMs(session: MinerSession, model: ModelKey): number {
  const service = session.models.get(model)?.serviceMs ?? 1_000;
  return (session.assignments.size + 1) * Math.max(service, 0.5);
}

/** A miner that let work wait is expected to be that slow until it shows otherwise. */
export function noteSlow(roster: Roster, assignment: Assignment, now: Millis): void {
  if (assignment.mode === "generate") return; // how long a text takes is not up to its miner
  const on = roster.sessions.get(assignment.session)?.models.get(assignment.model);
  if (on) on.serviceMs = Math.max(on.serviceMs, now - assignment.grantedAt);
}
