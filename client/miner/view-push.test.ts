import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createMinerSession } from "../../shared/miner-state.ts";
import type { MinerView } from "./contract.ts";
import { createShowing, viewOf } from "./view.ts";
import { ViewPush } from "./view-push.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function open() {
  const showing = createShowing();
  const views = new ViewPush(() => viewOf(createMinerSession(), showing, () => null, 0));
  const pushed: Partial<MinerView>[] = [];
  const listen = (changed: Partial<MinerView>) => void pushed.push(changed);
  views.subscribe(listen);
  vi.advanceTimersByTime(100);
  return { showing, views, pushed, listen };
}

describe("what the page is told", () => {
  it("first the whole view, then what has changed, four times a second", () => {
    const { showing, views, pushed } = open();
    expect(pushed).toHaveLength(1);
    expect(pushed[0]).toMatchObject({ state: "stopped", completed: 0, work: [] });
    showing.completed = 1;
    views.soon();
    showing.held = "5";
    views.soon();
    vi.advanceTimersByTime(249);
    expect(pushed).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(pushed.slice(1)).toEqual([{ completed: 1, held: "5" }]);
    views.soon();
    vi.advanceTimersByTime(1_000);
    expect(pushed).toHaveLength(2); // nothing new
    showing.completed = 2;
    views.soon();
    vi.advanceTimersByTime(100);
    expect(pushed[2]).toEqual({ completed: 2 }); // after a rest
  });

  it("what changed inside of an object that is the same", () => {
    const { showing, views, pushed } = open();
    showing.notices.push({ at: 1, kind: "info", text: "hello" });
    views.soon();
    vi.advanceTimersByTime(250);
    expect(pushed[1]).toEqual({ notices: [{ at: 1, kind: "info", text: "hello" }] });
  });

  it("hardly anything while it is hidden, and what it missed when it is shown again", () => {
    const { showing, views, pushed } = open();
    views.watched(false);
    showing.completed = 1;
    views.soon();
    vi.advanceTimersByTime(4_000);
    expect(pushed).toHaveLength(1);
    views.watched(true);
    expect(pushed[1]).toEqual({ completed: 1 });
    vi.advanceTimersByTime(10_000);
    expect(pushed).toHaveLength(2);
  });

  it("everything to who subscribes anew", () => {
    const { views, pushed, listen } = open();
    views.subscribe(listen);
    vi.advanceTimersByTime(250);
    expect(pushed[1]).toEqual(pushed[0]);
  });
});
