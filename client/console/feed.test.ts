import { expect, test } from "vitest";
import type { ConsoleTask, Delta } from "../../shared/console-protocol.ts";
import { applyDelta, type Feed, feedLimits, openFeed } from "./feed.ts";
import { storyMiner, storySnapshot, storyTask } from "./story/story-data.ts";

const start = storySnapshot(1_000_000);
const feed = openFeed(start, null);
const delta = (change: Partial<Delta> = {}): Delta => ({
  seq: feed.seq + 1,
  at: start.at + 250,
  miners: [],
  gone: [],
  tasks: [],
  totals: start.totals,
  ledger: null,
  openCases: 2,
  ...change,
});
const next = (from: Feed, change: Partial<Delta>): Feed => {
  const result = applyDelta(from, delta(change));
  if (!result.ok) throw new Error(`gap: ${JSON.stringify(result.error)}`);
  return result.value;
};

test("a delta updates by id, adds, and removes who left", () => {
  const miner = [...feed.minersBySession.values()][0];
  if (!miner) throw new Error("the snapshot has miners");
  const leaver = [...feed.minersBySession.keys()][1] as string;
  const after = next(feed, {
    miners: [{ ...miner, inFlight: 2 }, storyMiner(77, start.at)],
    gone: [leaver],
    ledger: { ...start.ledger, transfers: 9 },
  });
  expect(after.minersBySession.get(miner.session)?.inFlight).toBe(2);
  expect(after.minersBySession.has(leaver)).toBe(false);
  expect(after.minersBySession.size).toBe(feed.minersBySession.size);
  expect(after.ledger.transfers).toBe(9);
  expect(next(after, { seq: after.seq + 1 }).ledger.transfers).toBe(9);
});

test.each([0, 2, 50, -1])("a delta that is %d behind or ahead is a gap and changes nothing", (off) => {
  const before = structuredClone(feed);
  const seq = feed.seq + off;
  expect(applyDelta(feed, delta({ seq }))).toEqual({ ok: false, error: { expected: feed.seq + 1, got: seq } });
  expect(feed).toEqual(before);
});

test("tasks are newest first, updated in place, and bounded", () => {
  const many: ConsoleTask[] = Array.from({ length: feedLimits.tasks + 40 }, (_, index) => ({
    ...storyTask(index, start.at),
    task: `t_many${index}`,
    submittedAt: start.at + index,
  }));
  const after = next(feed, { tasks: many });
  const kept = [...after.tasksById.values()];
  expect(kept).toHaveLength(feedLimits.tasks);
  expect(kept[0]?.task).toBe(many.at(-1)?.task);
  expect(kept.every((task, index) => index === 0 || task.submittedAt <= (kept[index - 1]?.submittedAt ?? 0))).toBe(
    true,
  );
  const settled = next(after, { seq: after.seq + 1, tasks: [{ ...(kept[3] as ConsoleTask), state: "settled" }] });
  expect([...settled.tasksById.values()][3]?.state).toBe("settled");
});

test("samples are bounded and outlive a reconnect to the same run of the hub only", () => {
  let running = feed;
  for (let step = 0; step < feedLimits.samples + 10; step += 1) running = next(running, { seq: running.seq + 1 });
  expect(running.samples).toHaveLength(feedLimits.samples);
  expect(openFeed(start, running).samples).toHaveLength(feedLimits.samples);
  expect(openFeed({ ...start, startedAt: start.startedAt + 1 }, running).samples).toHaveLength(1);
});
