import { expect, it } from "vitest";
import type { ModelKey, OwnerId, SessionId, TaskId } from "../../shared/ids.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { commonsChecks } from "./check-policy.ts";
import { groundOn } from "./checkers.ts";
import type { CoreModel } from "./events.ts";
import type { MinerSession } from "./roster.ts";
import { model, scalarOf, World, y } from "./test-world.ts";
import { TextWorld } from "./text-world.ts";
import { groundKey, PROVEN_PASSES } from "./trust.ts";

/** A fail on any ground has what its owner answered unchecked looked at again: all that was before it, nothing since. */

const other: CoreModel = { ...model, key: "other@1" as ModelKey };

/** One owner that is trusted with the one model, and new to the other. */
function trusted() {
  const world = new World(1, { ...commonsChecks, trustedRate: 0 });
  world.apply({ kind: "model.published", at: world.now, model: other });
  const session = world.join("a");
  world.drain();
  world.submit("wanted", "fast", 3, { model: other.key }); // has the other model prepared too
  world.drain();
  const joined = world.state.roster.sessions.get(session) as MinerSession;
  joined.standing.passed[groundKey(groundOn(joined, model.key))] = PROVEN_PASSES;
  world.apply({ kind: "owner.funds", at: world.now, owner: joined.owner, atRisk: 1_000_000_000n });
  return { world, session };
}

/** Has all that is out answered, unsigned. Returns what the reference node was asked to judge. */
function answerAll(world: World, session: SessionId, factor = 2): TaskId[] {
  const judged: TaskId[] = [];
  for (let effect = world.pending.shift(); effect; effect = world.pending.shift()) {
    if (effect.kind === "run-reference") judged.push(effect.task);
    if (effect.kind !== "assign") world.react(effect);
    else {
      for (const { assignment, inputs } of effect.items)
        world.answer(session, assignment, [y(scalarOf(inputs[0] as Tensor), factor)]);
    }
  }
  return judged;
}

function sign(world: World, session: SessionId): void {
  world.apply({ kind: "chain.signed", at: world.now, session, seq: world.seq.get(session) ?? 0 });
}

const unchecked = (world: World) => world.done.filter(({ basis }) => basis === "unchecked").map(({ task }) => task);

it("rechecks what was settled and what waited for its signature, and not what came after the fail", () => {
  const { world, session } = trusted();
  const settled = world.submit("settled", "fast", 3);
  answerAll(world, session);
  sign(world, session);
  const waiting = world.submit("waiting", "fast", 4);
  expect(answerAll(world, session)).toEqual([]);
  expect(unchecked(world)).toEqual([settled]);

  const failed = world.submit("failed", "fast", 5, { model: other.key });
  expect(answerAll(world, session, 3)).toEqual([failed, settled]);
  expect(world.work).toMatchObject([{ owner: "own_a", outcome: "refuted" }]);

  const since = world.submit("since", "fast", 6);
  expect(answerAll(world, session)).toEqual([]);
  sign(world, session);
  expect(unchecked(world)).toEqual([settled, waiting, since]);
  expect(answerAll(world, session)).toEqual([waiting]);
});

it("rechecks the makers of one text one after the other", () => {
  const trusting = { ...commonsChecks, newcomerPasses: 0, trustedPasses: 0, trustedRate: 0, cheapCheckRate: 0 };
  const world = new TextWorld({ checks: trusting });
  const owners = ["own_a", "own_b"] as OwnerId[];
  const writer = world.join("a");
  for (const owner of owners) world.apply({ kind: "owner.funds", at: world.now, owner, atRisk: 10n ** 15n });
  const task = world.submit("one", "fast", { maxTokens: 48 });
  world.stream(world.job("generate", task), 0, 16);
  world.join("b");
  world.leave(writer);
  world.drain();
  expect(world.done).toMatchObject([{ basis: "unchecked", executions: [{ by: "own_a" }, { by: "own_b" }] }]);

  const { doubted, retained } = world.state;
  doubted.push(...owners.flatMap((owner) => retained.takeAll(owner)));
  world.tick(100);
  expect(world.reference).toMatchObject([{ task, mode: "score" }]);
  expect(doubted).toHaveLength(1);
  world.runReference();
  expect(doubted).toEqual([]);
  expect(world.state.tasks.size).toBe(0);
});

it("strikes nobody for what a class is known to do, where a recheck finds it after the quarantine", () => {
  const { world, session } = trusted();
  const { standing } = world.state.roster.sessions.get(session) as MinerSession;
  const ground = groundOn(world.state.roster.sessions.get(session) as MinerSession, model.key);
  world.submit("broken", "fast", 3);
  answerAll(world, session, 3);
  sign(world, session);
  world.apply({ kind: "class.ruled", at: world.now, ground, quarantined: true });
  const before = standing.strikes;
  world.submit("failed", "fast", 5, { model: other.key });
  answerAll(world, session, 3);
  const found = standing.history.flatMap((one) => (one.kind === "mismatch" ? [[one.mismatch.model, one.voided]] : []));
  expect(found).toEqual([
    [other.key, false],
    [model.key, true],
  ]);
  expect(standing.strikes - before).toBeCloseTo(2.3);
  expect(world.work).toHaveLength(2); // refuted and unpaid all the same
});
