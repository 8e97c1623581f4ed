import { limits } from "../../shared/limits.ts";
import { stepMiner } from "../../shared/miner-session.ts";
import { createMinerSession, type MinerEffect, type MinerEvent } from "../../shared/miner-state.ts";
import type { Assign, HelloAnswer, Prepare, Refused } from "../../shared/protocol.ts";
import { unreachable } from "../../shared/result.ts";
import { watchPressure } from "./compute-pressure.ts";
import { defaultSettings, type MinerRemote, type MinerSettings, type MinerView, type PageSignals } from "./contract.ts";
import { recentWork, recordWork, saveConsent } from "./database.ts";
import { probeDevice } from "./device.ts";
import { govern, type Pressure } from "./governor.ts";
import { HubLink } from "./hub-link.ts";
import { type Identity, openIdentity } from "./identity.ts";
import { holdMinerLock } from "./miner-lock.ts";
import { ModelBoard } from "./model-board.ts";
import { cachedBytes, clearFiles } from "./model-cache.ts";
import { Pool } from "./pool.ts";
import { type PreparedModel, prepareModel } from "./preparing.ts";
import type { Seal } from "./seal.ts";
import { addAccount, addNotice, createShowing, viewOf } from "./view.ts";
import { ViewPush } from "./view-push.ts";
import { Workbench } from "./workbench.ts";

type Unsent<T> = T extends unknown ? Omit<T, "at"> : never;

const GOVERN_MS = 2_000;

/** Wall-clock time that no clock adjustment turns back. */
const now = (): number => performance.timeOrigin + performance.now();

/**
 * The hands of shared/miner-session.ts in a session worker: turns what the hub, the page and the inference workers say into
 * events, and carries out the effects. It decides nothing that the simulator would have to decide as well.
 */
export class Miner implements MinerRemote {
  readonly #session = createMinerSession();
  readonly #showing = createShowing();
  readonly #board = new ModelBoard(this.#showing.models);
  readonly #events: Unsent<MinerEvent>[] = [];
  #stepping = false;
  #settings: MinerSettings = defaultSettings;
  #consented = false;
  #signals: PageSignals | null = null;
  #bestFrameMs: number | null = null;
  #pressure: Pressure = null;
  #identity: Identity | null = null;
  #pool: Pool | null = null;
  #link: HubLink | null = null;
  #previousSeal: Seal | null = null;
  #releaseLock: (() => void) | null = null;
  #wake: ReturnType<typeof setTimeout> | undefined;
  readonly #views = new ViewPush(() => this.#view());

  readonly #asked = new Map<string, Prepare>();
  readonly #prepared = new Map<string, PreparedModel>();
  #preparation: { model: string; run: number; stop: AbortController } | null = null;
  #preparations = 0;
  readonly #bench = new Workbench();

  constructor() {
    watchPressure((pressure) => {
      this.#pressure = pressure;
    });
    setInterval(() => this.#govern(), GOVERN_MS);
  }

  // What the page asks.

  async start(settings: MinerSettings): Promise<void> {
    this.#settings = settings;
    this.#showing.role = settings.role;
    await this.#saveConsent(true);
    this.#showing.work = await recentWork(50);
    if (this.#pool) return this.#dispatch({ kind: "start", slots: settings.slots });
    if (this.#releaseLock) return; // waiting for the other tab
    const left = Promise.withResolvers<void>();
    this.#releaseLock = holdMinerLock(
      () => void this.#begin().finally(left.resolve),
      () => {
        this.#dispatch({ kind: "elsewhere" });
        left.resolve();
      },
    );
    await left.promise;
  }

  /** A page that was paused does not go on by itself after a reload. */
  async pause(): Promise<void> {
    this.#dispatch({ kind: "pause" });
    await this.#saveConsent(false);
  }

  async resume(): Promise<void> {
    await this.#saveConsent(true);
    this.#dispatch({ kind: "resume" });
  }

  async finishThenStop(): Promise<void> {
    this.#dispatch({ kind: "drain" });
    if (this.#session.phase !== "running") this.#release();
    await this.#saveConsent(false);
  }

  async stop(): Promise<void> {
    this.#dispatch({ kind: "stop" });
    this.#release();
    await this.#saveConsent(false);
  }

  async configure(settings: MinerSettings): Promise<void> {
    const before = this.#settings;
    this.#settings = settings;
    await this.#saveConsent(this.#consented);
    const isOther = (["role", "runtime", "wasmFallback"] as const).some((name) => before[name] !== settings[name]);
    if (isOther && this.#session.phase === "running") return this.#restart(async () => undefined);
    this.#dispatch({ kind: "configured", slots: settings.slots });
    this.#govern();
  }

  async signals(signals: PageSignals): Promise<void> {
    this.#signals = signals;
    this.#views.watched(signals.visible);
    if (signals.frameMs !== null) this.#bestFrameMs = Math.min(this.#bestFrameMs ?? signals.frameMs, signals.frameMs);
    this.#govern();
  }

  async subscribe(listener: (changed: Partial<MinerView>) => void): Promise<void> {
    this.#views.subscribe(listener);
  }

  async clearCache(): Promise<void> {
    if (this.#session.phase === "running") await this.#restart(clearFiles);
    else await clearFiles();
    await this.#countCache();
  }

  /** Stops, does what needs a stopped miner, and starts again: the hub then prepares every model anew. */
  async #restart(meanwhile: () => Promise<void>): Promise<void> {
    const { paused } = this.#session;
    this.#dispatch({ kind: "stop" });
    this.#release();
    await meanwhile();
    await this.start(this.#settings);
    if (paused) await this.pause();
  }

  async #saveConsent(consented: boolean): Promise<void> {
    this.#consented = consented;
    await saveConsent(consented, this.#settings);
  }

  /** This tab holds the lock: who and what are we? */
  async #begin(): Promise<void> {
    const lock = this.#releaseLock;
    const identity = await openIdentity();
    const probed = await probeDevice(this.#settings);
    if (this.#releaseLock !== lock) return; // stopped meanwhile
    if (!identity.ok) return this.#unable(identity.error);
    if (!probed.ok) return this.#unable(probed.error);
    this.#identity = identity.value;
    this.#showing.device = probed.value.device;
    this.#showing.deviceNote = probed.value.note;
    this.#pool = new Pool(probed.value.device.memoryBytes / 2, (parts) => {
      this.#dispatch({ kind: "generated", runs: this.#bench.generated(parts) });
    });
    await this.#countCache();
    this.#govern();
    this.#dispatch({ kind: "start", slots: this.#settings.slots });
  }

  #unable(why: string): void {
    this.#release();
    this.#dispatch({ kind: "unable", why });
  }

  #govern(): void {
    const { run, why, duty } = this.#session.governor;
    const around = {
      signals: this.#signals,
      bestFrameMs: this.#bestFrameMs,
      pressure: this.#pressure,
      hour: new Date().getHours(),
    };
    const governed = govern(this.#settings, around, duty);
    if (governed.run !== run || governed.why !== why || governed.duty !== duty) {
      this.#dispatch({ kind: "governed", ...governed });
    }
    if (this.#session.phase === "running") this.#views.soon(); // the time until the next retry runs
  }

  // The loop: one event at a time, its effects, then the timer.

  #dispatch(event: Unsent<MinerEvent>): void {
    this.#events.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    let wakeAt: number | null = null;
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift()) {
        const step = stepMiner(this.#session, { ...next, at: now() } as MinerEvent, { next: Math.random });
        for (const effect of step.effects) this.#perform(effect);
        wakeAt = step.wakeAt;
      }
    } finally {
      this.#stepping = false;
    }
    clearTimeout(this.#wake);
    if (wakeAt !== null) this.#wake = setTimeout(() => this.#dispatch({ kind: "tick" }), Math.max(0, wakeAt - now()));
    this.#views.soon();
  }

  #perform(effect: MinerEffect): void {
    switch (effect.kind) {
      case "dial":
        return this.#dial();
      case "greet":
        return void this.#greet();
      case "hang-up":
        this.#link?.hangUp();
        return this.#forgetLink();
      case "prepare":
        return void this.#prepare(effect.model);
      case "stop-preparing":
        return this.#stopPreparing();
      case "report-prepared":
        return this.#reportPrepared(effect.model);
      case "report-unprepared":
        this.#board.refused(effect.model, effect.message);
        return this.#link?.send("prepareFailed", { model: effect.model, fault: effect.fault, message: effect.message });
      case "run":
        return void this.#run(effect);
      case "send-tokens": {
        const { assignments, again } = effect;
        const chunks = assignments.flatMap((assignment) => this.#bench.stream(assignment)?.take(again) ?? []);
        return this.#link?.sendTokens(chunks);
      }
      case "interrupt":
        return this.#pool?.interrupt(effect.run);
      case "abort":
        this.#bench.abort(effect.run);
        return this.#pool?.abort(effect.run);
      case "send":
        this.#showing.completed += effect.results.length;
        return this.#link?.sendResults(
          effect.results.map(({ assignment, seq }) => ({
            seq,
            result: this.#bench.result(assignment),
          })),
        );
      case "fail":
        if (effect.fault !== "paused") this.#showing.failed += effect.assignments.length;
        this.#bench.forget(effect.assignments);
        return this.#link?.send("failed", {
          assignments: effect.assignments,
          fault: effect.fault,
          message: effect.message,
        });
      case "sign":
        return this.#link?.sign();
      case "status":
        return this.#link?.send("status", effect.status);
      case "forget":
        return this.#bench.forget(effect.assignments);
      case "release":
        return this.#release();
      default:
        return unreachable(effect);
    }
  }

  #release(): void {
    this.#stopPreparing();
    this.#pool?.release();
    this.#pool = null;
    this.#bench.clear();
    this.#asked.clear();
    this.#prepared.clear();
    this.#board.clear();
    this.#releaseLock?.();
    this.#releaseLock = null;
  }

  // The hub.

  #dial(): void {
    const link = new HubLink(location.origin, this.#identity as Identity, {
      connected: () => this.#dispatch({ kind: "connected" }),
      lost: () => {
        link.drop();
        if (this.#link === link) this.#forgetLink();
        this.#dispatch({ kind: "lost" });
      },
      challenge: () => this.#dispatch({ kind: "challenged" }),
      prepare: (message) => {
        this.#asked.set(message.model, message);
        this.#dispatch({ kind: "prepare", model: message.model });
      },
      assign: (message) => this.#assigned(message),
      cancel: ({ assignments }) => this.#dispatch({ kind: "cancelled", assignments }),
      account: (message) => {
        addAccount(this.#showing, message);
        void recordWork(message.work);
        this.#views.soon();
      },
      refused: (message) => this.#refused(message),
      notice: ({ kind, text }) => this.#notice(kind, text),
      malformed: (event, problem) => this.#notice("warning", `The hub sent a malformed ${event}: ${problem}.`),
    });
    this.#link = link;
  }

  #forgetLink(): void {
    this.#previousSeal = this.#link?.seal ?? this.#previousSeal;
    this.#link = null;
  }

  async #greet(): Promise<void> {
    const link = this.#link;
    const { device } = this.#showing;
    if (!link || !device) return;
    const { role, slots } = this.#settings;
    const answer: HelloAnswer | null = await link.greet({ role, device, slots }, this.#previousSeal);
    if (!answer || this.#link !== link) return;
    if (!answer.ok) {
      this.#notice("warning", answer.error.message);
      return this.#dispatch({ kind: "refused", assignment: null, error: answer.error });
    }
    this.#previousSeal = null;
    const { session, miner, keep, trust } = answer.welcome;
    Object.assign(this.#showing, { miner, trust });
    this.#dispatch({ kind: "welcomed", session, keep });
  }

  #assigned({ model, items }: Assign): void {
    for (const { assignment, inputs } of items) this.#bench.hold(assignment, inputs);
    this.#dispatch({ kind: "assigned", model, items });
  }

  #refused({ event, assignment, error }: Refused): void {
    if (event === "prepared") this.#board.refusedByHub(error);
    if (error.code !== "assignment-closed") this.#notice("warning", `The hub refused ${event}: ${error.message}.`);
    this.#dispatch({ kind: "refused", assignment: assignment ?? null, error });
  }

  // Models and runs.

  async #prepare(model: string): Promise<void> {
    const asked = this.#asked.get(model);
    const pool = this.#pool;
    if (!asked || !pool) return;
    // Preparations count downwards, so that their runs in the pool have numbers of their own.
    const preparation = { model, run: -++this.#preparations, stop: new AbortController() };
    this.#preparation = preparation;
    const prepared = await prepareModel(asked, {
      pool,
      settings: this.#settings,
      runtime: this.#showing.device?.runtime ?? "wasm",
      seal: this.#link?.seal ?? null,
      run: preparation.run,
      downloading: (manifest, bytesDone, bytesTotal) => {
        this.#board.downloading(model, manifest.title, bytesDone, bytesTotal, now());
        this.#views.soon();
      },
      running: (manifest) => {
        this.#board.running(model, manifest.title);
        this.#views.soon();
      },
      signal: preparation.stop.signal,
    });
    if (this.#preparation !== preparation) return; // stopped
    this.#preparation = null;
    void this.#countCache();
    if (!prepared.ok) return this.#dispatch({ kind: "prepare-failed", model, ...prepared.error });
    const { pooled, runMs, fellBack } = prepared.value;
    this.#prepared.set(model, prepared.value);
    this.#board.prepared(model, runMs);
    if (fellBack) {
      this.#showing.deviceNote = `${prepared.value.manifest.title} runs on the processor, not on WebGPU (${fellBack}).`;
    }
    const texts = pooled.request.text ? this.#textsAtOnce(pooled.rowsTogether) : 0;
    this.#dispatch({ kind: "prepared", model, together: pooled.rowsTogether, texts });
  }

  /** One worker makes them all, row by row of its runs; a checker does one small thing at a time. */
  #textsAtOnce(rows: number): number {
    return this.#settings.role === "validator" ? 1 : Math.min(rows, limits.slotsMax);
  }

  #reportPrepared(model: string): void {
    const { outputs, loadMs, runMs, runtime } = this.#prepared.get(model) as PreparedModel;
    this.#board.reported(model);
    this.#link?.sendPrepared({ model, outputs, loadMs, runMs, runtime });
  }

  #stopPreparing(): void {
    if (!this.#preparation) return;
    this.#preparation.stop.abort();
    this.#pool?.abort(this.#preparation.run);
    this.#preparation = null;
  }

  async #run({ run, model, mode, assignments }: MinerEffect & { kind: "run" }): Promise<void> {
    const prepared = this.#prepared.get(model);
    const pool = this.#pool;
    if (!prepared || !pool) return;
    const seal = this.#link?.seal ?? null;
    const generated = () => {
      this.#dispatch({ kind: "generated", runs: [run] });
    };
    const finished =
      mode === "run"
        ? await this.#bench.run(run, assignments, prepared, pool, seal)
        : await this.#bench.text(run, mode, assignments[0] as string, prepared, pool, seal, generated);
    if (!finished) return;
    const { done, failed, computeMs, constant } = finished;
    for (const each of computeMs) this.#board.served(model, each);
    if (constant.length > 0 && this.#board.isFirstConstant(model)) {
      this.#notice("info", `${prepared.manifest.title}: every element of ${constant[0]} is equal.`);
    }
    if (failed.some(({ fault }) => fault === "device-lost")) {
      this.#notice("warning", "The graphics device was lost; its worker is replaced.");
    }
    this.#dispatch({ kind: "ran", run, done, failed });
  }

  // What the page sees.

  #notice(kind: "info" | "warning", text: string): void {
    addNotice(this.#showing, now(), kind, text.slice(0, 500));
    this.#views.soon();
  }

  async #countCache(): Promise<void> {
    this.#showing.cacheBytes = await cachedBytes();
    this.#views.soon();
  }

  #view(): MinerView {
    const textOf = (assignment: string) => {
      const stream = this.#bench.stream(assignment);
      return stream && { tokens: stream.count, tokensPerSecond: stream.tokensPerSecond };
    };
    return viewOf(this.#session, this.#showing, textOf, now());
  }
}
