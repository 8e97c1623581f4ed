import { describe, expect, it } from "vitest";
import { Cohort, type Member } from "./cohort.ts";
import type { Lease, Watcher } from "./watcher.ts";

/** Who checks and how often, counted from outside on the production core (../shared/policy.md). */
class CheckCounter implements Partial<Watcher> {
  peers = 0;
  otherClass = 0;
  reference = 0;
  canaries = 0;
  #first = new Map<string, Lease>();

  assigned(to: Lease): void {
    const first = this.#first.get(to.task);
    if (isHubMade(to.task)) this.canaries++;
    else if (!first) this.#first.set(to.task, to);
    else {
      this.peers++;
      if (first.deviceClass !== to.deviceClass) this.otherClass++;
    }
  }

  referenceRan(task: string): void {
    if (!isHubMade(task)) this.reference++;
  }

  get all(): number {
    return this.peers + this.reference + this.canaries;
  }
}

const isHubMade = (task: string): boolean => task.startsWith("t_0x");

/** Nine in ten are of one device class. */
const honest = (count: number, isTrusted: boolean): Member[] =>
  Array.from({ length: count }, (_, index) => ({
    behaviour: "honest",
    rate: 0,
    deviceClass: index % 10 === 0 ? 1 : 0,
    isTrusted,
  }));

function count(members: Member[], tasks: number) {
  const checks = new CheckCounter();
  const cohort = new Cohort({ seed: 5, members, tasks, watchers: [checks] });
  return { checks, cohort };
}

describe("checks of fast answers", () => {
  it("are as many as answers among newcomers, one in twenty among the trusted", () => {
    const fresh = count(honest(40, false), 200);
    expect(fresh.checks.all).toBeGreaterThanOrEqual(200);
    expect(fresh.checks.canaries).toBe(0);
    const trusted = count(honest(40, true), 4_000);
    expect(trusted.checks.all / 4_000).toBeGreaterThan(0.04);
    expect(trusted.checks.all / 4_000).toBeLessThan(0.06);
    expect(trusted.checks.canaries).toBeGreaterThan(0);
    expect(trusted.cohort.wrongAccepted).toBe(0);
  }, 60_000);

  it("are the reference node's or canaries in at least a fifth, of another class in at least a quarter", () => {
    const { checks } = count(honest(40, false), 800);
    const spread = 3 * Math.sqrt(0.2 / checks.all);
    expect((checks.reference + checks.canaries) / checks.all).toBeGreaterThan(0.2 - spread);
    expect(checks.otherClass / checks.peers).toBeGreaterThan(0.25 - 3 * Math.sqrt(0.2 / checks.peers));
  }, 60_000);
});
