import { expect, it } from "vitest";
import type { MinerId, OwnerId } from "../../shared/ids.ts";
import { type CheckPolicy, commonsChecks } from "./check-policy.ts";
import { groundOn } from "./checkers.ts";
import type { MinerSession } from "./roster.ts";
import { model, World } from "./test-world.ts";
import { groundKey } from "./trust.ts";

/** A task is checked as its domain had it when it was submitted. */

const ROUNDS = 600;

/** Two miners that have long passed and have much to lose, and `fast` tasks under each policy in turn. */
function checkedShare(policies: readonly (CheckPolicy | undefined)[], passes = 5_000) {
  const world = new World(11);
  world.join("a", "honest", "203.0.1.0/24");
  world.join("b", "honest", "203.0.2.0/24");
  world.drain();
  for (const name of ["a", "b"]) {
    const id = world.state.roster.byMiner.get(`m_${name}` as MinerId);
    const session = world.state.roster.sessions.get(id as never) as MinerSession;
    session.standing.passed[groundKey(groundOn(session, model.key))] = passes;
    world.apply({ kind: "owner.funds", at: world.now, owner: `own_${name}` as OwnerId, atRisk: 10n ** 9n });
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, checks] of policies.entries()) {
      world.submit(`${index}_${round}`, "fast", round + 1, checks && { checks });
      world.drain();
    }
  }
  return policies.map((_, index) => {
    const done = world.done.filter(({ task }) => task.startsWith(`t_${index}_`));
    expect(done).toHaveLength(ROUNDS);
    const checks = done.flatMap(({ executions }) => executions.slice(1));
    const byReference = checks.filter(({ by }) => by === "reference").length;
    return { checked: checks.length / ROUNDS, reference: byReference / checks.length };
  });
}

it("all of a strict domain, beside the hub's own rate for the others", () => {
  const [strict, half, commons] = checkedShare([
    { ...commonsChecks, trustedRate: 1 },
    { ...commonsChecks, trustedRate: 0.5 },
    undefined,
  ]);
  expect(strict?.checked).toBe(1);
  expect(half?.checked).toBeGreaterThan(0.4);
  expect(half?.checked).toBeLessThan(0.55);
  expect(commons?.checked).toBeGreaterThan(0.02);
  expect(commons?.checked).toBeLessThan(0.08);
});

it("all of a miner that has passed fewer checks than the domain asks for", () => {
  const [strict, commons] = checkedShare([{ ...commonsChecks, newcomerPasses: 10_000 }, undefined]);
  expect(strict?.checked).toBe(1);
  expect(commons?.checked).toBeLessThan(0.08);
});

it("by the reference node as often as the domain wants it", () => {
  const always = { ...commonsChecks, trustedRate: 1 };
  const [more, commons] = checkedShare([{ ...always, referenceShare: 0.5 }, always]);
  expect(more?.reference).toBeGreaterThan(0.43);
  expect(more?.reference).toBeLessThan(0.57);
  expect(commons?.reference).toBeGreaterThan(0.14);
  expect(commons?.reference).toBeLessThan(0.26);
});
