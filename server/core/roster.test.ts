import { describe, expect, it } from "vitest";
import type { MinerId, ModelKey, OwnerId, SessionId } from "../../shared/ids.ts";
import { freshModel, type MinerSession, Roster, unseen } from "./roster.ts";
import { freshStanding } from "./trust.ts";

const model = "m@1" as ModelKey;

function sessionWith(name: string, deviceClass: string): MinerSession {
  const on = freshModel(0);
  on.state = "admitted";
  on.deviceClass = deviceClass;
  const device = { runtime: "wasm" as const, adapter: "", fallback: false, features: [], memoryBytes: 1 };
  return {
    id: `s_${name}` as SessionId,
    miner: `m_${name}` as MinerId,
    role: "miner",
    owner: `own_${name}` as OwnerId,
    network: null,
    device: { ...device, agent: "", ortVersion: "" },
    standing: freshStanding(`own_${name}` as OwnerId, 0),
    slots: 1,
    accepting: true,
    reason: null,
    joinedAt: 0,
    graceEndsAt: null,
    models: new Map([[model, on]]),
    assignments: new Map(),
    messages: new Map(),
    lastResultAt: 0,
    accepted: 0,
    refuted: 0,
    onWasm: new Set(),
    witnessDueAt: null,
    seen: unseen(),
  };
}

describe("Roster", () => {
  it("gives an owner no work of models that it is barred from, until it is not", () => {
    const roster = new Roster();
    const [a, b] = [sessionWith("a", "one"), sessionWith("b", "one")];
    roster.bar(a.owner, [model]);
    for (const session of [a, b]) {
      roster.add(session);
      roster.refresh(session);
    }
    expect(roster.able(model)).toEqual([b]);
    roster.bar(b.owner, [model, "other@1" as ModelKey]);
    expect(roster.able(model)).toEqual([]);
    roster.bar(a.owner, []);
    expect(roster.able(model)).toEqual([a]);
    roster.bar(b.owner, ["other@1" as ModelKey]);
    expect(roster.able(model)).toHaveLength(2);
  });

  it("gives no work for a model that a session has lost, and counts the classes that are left", () => {
    const roster = new Roster();
    const [a, b] = [sessionWith("a", "one"), sessionWith("b", "two")];
    for (const session of [a, b]) {
      roster.add(session);
      roster.refresh(session);
    }
    expect(roster.able(model)).toHaveLength(2);
    expect(roster.classCount(model)).toBe(2);
    roster.forget(a, model);
    expect(roster.able(model)).toEqual([b]);
    expect(roster.free(model)).toEqual([b]);
    expect(roster.classCount(model)).toBe(1);
    expect(a.models.size).toBe(0);
    roster.refresh(a);
    roster.remove(a);
    expect(roster.able(model)).toEqual([b]);
  });

  it("has no work for the suspended", () => {
    const roster = new Roster();
    const session = sessionWith("a", "one");
    roster.add(session);
    session.standing.suspended = true;
    roster.refresh(session);
    expect(roster.able(model)).toEqual([]);
    expect(roster.classCount(model)).toBe(0);
  });
});
