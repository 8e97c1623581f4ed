import { type CheckPolicy, commonsChecks } from "../core/check-policy.ts";
import { type Block, Cohort, honestErrors, type Member, type OwnerTally, policyMix } from "./cohort.ts";
import { suspendedAmong } from "./policy-alone.ts";

/** The simulations that the study is made of, each from its arguments alone, so that they can run side by side. */
export type Job =
  | { kind: "mix"; seed: number; miners: number; perMiner: number; checks: Partial<CheckPolicy>; washers: boolean }
  | { kind: "turncoats"; seed: number; rate: number; trusted: boolean; perMiner: number }
  | { kind: "class-fault"; seed: number; miners: number; perMiner: number }
  | { kind: "honest"; seed: number; owners: number; errorRate: number };

export type JobResult = {
  mix: { blocks: Block[]; accepted: number; wrong: number; owners: number; honestSuspended: number };
  turncoats: { tallies: OwnerTally[]; stillIn: number };
  "class-fault": { before: Block; after: Block; quarantinedAt: number | null; honestSuspended: number };
  honest: { suspended: number; owners: number };
};

const MIX_BLOCKS = 200;

export function runJob(job: Job): JobResult[Job["kind"]] {
  switch (job.kind) {
    case "mix":
      return mix(job);
    case "turncoats":
      return turncoats(job);
    case "class-fault":
      return classFault(job);
    case "honest": {
      const { owners, errorRate, seed } = job;
      const suspended = suspendedAmong(
        owners,
        { tasks: 1_000, errorRate, checks: commonsChecks, stakeInPays: 50 },
        seed,
      );
      return { suspended, owners };
    }
  }
}

function mix({ seed, miners, perMiner, checks, washers }: Extract<Job, { kind: "mix" }>): JobResult["mix"] {
  const members = policyMix(miners).map((member): Member => {
    const leaves = member.behaviour === "whitewashing" && !washers;
    return leaves ? { ...member, behaviour: "tampering" } : member;
  });
  const options = { seed, members, tasks: miners * perMiner, faults: (start: number) => honestErrors(start) };
  const cohort = new Cohort({ ...options, checks: { ...commonsChecks, ...checks } }, MIX_BLOCKS);
  const { blocks, accepted, wrongAccepted: wrong, owners } = cohort;
  return { blocks, accepted, wrong, owners: owners.size, honestSuspended: honestSuspended(cohort) };
}

const honestSuspended = (cohort: Cohort): number =>
  [...cohort.owners.values()].filter(({ behaviour, outAfter }) => behaviour === "honest" && outAfter !== null).length;

/** Two of each device class: three proven ones that fail canaries would have their class quarantined. */
const CHEATS = 8;
const OTHERS = 40;

/** Cheats among honest people, until all are out or the work is done. */
function turncoats({ seed, rate, trusted, perMiner }: Extract<Job, { kind: "turncoats" }>): JobResult["turncoats"] {
  const member = (index: number): Member => {
    const deviceClass = index % 4;
    if (index < CHEATS) return { behaviour: "tampering", rate, deviceClass, isTrusted: trusted };
    return { behaviour: "honest", rate: 0, deviceClass, isTrusted: true };
  };
  const cohort = new Cohort({
    seed,
    members: Array.from({ length: CHEATS + OTHERS }, (_, index) => member(index)),
    tasks: (CHEATS + OTHERS) * perMiner,
    until: ({ owners }) => {
      const cheats = [...owners.values()].filter(({ behaviour }) => behaviour === "tampering");
      return cheats.length === CHEATS && cheats.every(({ outAfter }) => outAfter !== null);
    },
  });
  const tallies = [...cohort.owners.values()].filter(({ behaviour }) => behaviour === "tampering");
  return { tallies, stillIn: tallies.filter(({ outAfter }) => outAfter === null).length };
}

/** The policy's mix, in which the devices of one class begin to compute a third of all inputs wrongly. */
function classFault({ seed, miners, perMiner }: Extract<Job, { kind: "class-fault" }>): JobResult["class-fault"] {
  const tasks = miners * perMiner;
  const broken = (start: number) => ({ deviceClass: 2, since: start + (tasks / 2) * (20 / miners), share: 1 / 3 });
  const cohort = new Cohort(
    { seed, members: policyMix(miners), tasks, faults: (start) => [broken(start), ...honestErrors(start)] },
    MIX_BLOCKS,
  );
  const { quarantinedAt } = cohort;
  const cut = Math.ceil(((quarantinedAt ?? tasks) / tasks) * MIX_BLOCKS) + 1;
  const sum = (blocks: Block[]): Block =>
    blocks.reduce(
      (total, { accepted, wrong, executions }) => ({
        accepted: total.accepted + accepted,
        wrong: total.wrong + wrong,
        executions: total.executions + executions,
      }),
      { accepted: 0, wrong: 0, executions: 0 },
    );
  return {
    before: sum(cohort.blocks.slice(0, cut)),
    after: sum(cohort.blocks.slice(cut)),
    quarantinedAt,
    honestSuspended: honestSuspended(cohort),
  };
}
