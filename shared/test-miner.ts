import { type Step, stepMiner } from "./miner-session.ts";
import { assertMinerInvariants, createMinerSession, type MinerEffect, type MinerEvent } from "./miner-state.ts";
import { seededRng } from "./random.ts";

export type Unsent<T> = T extends unknown ? Omit<T, "at"> : never;

/** A miner under the test's hand: `send` is one event at the current time, and gives its effects. */
export function testMiner(seed = 1) {
  const session = createMinerSession();
  const rng = seededRng(seed);
  let at = 1_000;
  let wakeAt: number | null = null;
  const send = (event: Unsent<MinerEvent>): MinerEffect[] => {
    const step: Step = stepMiner(session, { ...event, at } as MinerEvent, rng);
    wakeAt = step.wakeAt;
    assertMinerInvariants(session);
    return step.effects;
  };
  return {
    session,
    send,
    now: () => at,
    wakeAt: () => wakeAt,
    /** Moves the clock and ticks. */
    after(ms: number) {
      at += ms;
      return send({ kind: "tick" });
    },
    join(keep: string[] = []) {
      if (session.link.at === "down") this.after(Math.max(0, session.link.retryAt - at));
      send({ kind: "connected" });
      send({ kind: "challenged" });
      return send({ kind: "welcomed", session: `s_${at}`, keep });
    },
    prepare(model = "digits@1", together = 1) {
      send({ kind: "prepare", model });
      return send({ kind: "prepared", model, together });
    },
    assign(assignments: string[], leaseMs = 60_000, model = "digits@1") {
      return send({ kind: "assigned", model, items: assignments.map((assignment) => ({ assignment, leaseMs })) });
    },
  };
}

export function readyMiner(together = 1, slots = 1) {
  const miner = testMiner();
  miner.send({ kind: "start", slots });
  miner.join();
  miner.prepare("digits@1", together);
  return miner;
}

export const ofKind = <K extends MinerEffect["kind"]>(effects: MinerEffect[], kind: K) =>
  effects.filter((effect): effect is MinerEffect & { kind: K } => effect.kind === kind);
