import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert } from "../../shared/result.ts";

/**
 * Is the auditor worth anything? Each mutant breaks one rule in a copy of the code; lives of the copy must break an
 * invariant. `npm run sim -- --mutants`.
 */
interface Mutant {
  rule: string;
  file: string;
  from: string;
  to: string;
}

export const mutants: readonly Mutant[] = [
  {
    rule: "a newcomer's result is always checked",
    file: "core/check-policy.ts",
    from: "if (passes < policy.newcomerPasses) return 1;",
    to: "",
  },
  {
    rule: "who has nothing to lose is always checked",
    file: "core/check-policy.ts",
    from: "return Math.max(byPasses, byCost, deterrentRate(stake));",
    to: "return Math.max(byPasses, byCost);",
  },
  {
    rule: "a result of high value is always checked",
    file: "core/checkers.ts",
    from: "if (prices.isHigh(spec.price)) return 1;",
    to: "",
  },
  {
    rule: "an output that looks broken or repeated is always checked",
    file: "core/checkers.ts",
    from: "run.suspect || ",
    to: "",
  },
  {
    rule: "`verified` always has a check",
    file: "core/checkers.ts",
    from: 'if (spec.level !== "fast") return Math.max(2, executionsPriced(spec.level));',
    to: 'if (spec.level !== "fast") return Math.max(1, executionsPriced(spec.level) - 1);',
  },
  {
    rule: "nobody checks itself",
    file: "core/checkers.ts",
    from: "if (run.by === session.owner || ",
    to: "if (",
  },
  {
    rule: "a validator only checks",
    file: "core/checkers.ts",
    from: '=> role === "check" || role === "third";',
    to: '=> role !== "hedge";',
  },
  {
    rule: "nobody checks its neighbour",
    file: "core/checkers.ts",
    from: "(run.network !== null && run.network === session.network)) return false;",
    to: "false) return false;",
  },
  {
    rule: "only a FAIL is blamed, not a GREY",
    file: "core/verification.ts",
    from: 'agreement === "FAIL").map(({ run }) => run);',
    to: 'agreement !== "PASS").map(({ run }) => run);',
  },
  {
    rule: "a refuted answer is not charged",
    file: "core/verification.ts",
    from: "makersOf(task).some((made) => refuted.includes(made))",
    to: "makersOf(task).some((made) => made.computeMs < 0)",
  },
  {
    rule: "a fail has the last unchecked results rechecked",
    file: "core/consequences.ts",
    from: "state.doubted.push(...state.retained.takeAll(standing.owner));",
    to: "",
  },
  {
    rule: "also those that wait for a signature",
    file: "core/hub-made.ts",
    from: "    else doubted.push(unchecked);",
    to: "",
  },
  {
    rule: "a suspended owner is given no work",
    file: "core/roster.ts",
    from: " && !session.standing.suspended;",
    to: ";",
  },
  {
    rule: "a suspension outlives a crash",
    file: "core/consequences.ts",
    from: 'else if (witness) oweCanary(step, run, model, task.spec, run);\n  out.push({ kind: "standing", standing });',
    to: "else if (witness) oweCanary(step, run, model, task.spec, run);",
  },
  {
    rule: "strikes suspend at 9.2",
    file: "core/trust.ts",
    from: "suspend: 9.2",
    to: "suspend: 6.8",
  },
  {
    rule: "no canary twice to one owner",
    file: "core/known-answers.ts",
    from: "found.givenTo.add(owner);",
    to: "",
  },
  {
    rule: "recorded answers do not pass renewed probes",
    file: "core/probes.ts",
    from: 'if (agreement === "FAIL") return wrong(',
    to: 'if (agreement === "FAIL" && set === null) return wrong(',
  },
  {
    rule: "a text ends where its caller has enough",
    file: "core/text-stream.ts",
    from: "if (endWhereEnough(step, task, text)) return;",
    to: "",
  },
  {
    rule: "three owners make a class fault",
    file: "core/device-class.ts",
    from: "OWNERS_OF_A_FAULT = 3",
    to: "OWNERS_OF_A_FAULT = 2",
  },
  {
    rule: "only proven owners' failures of known answers make one",
    file: "core/consequences.ts",
    from: "if (isCanary) failedKnownAnswer(",
    to: "if (isCanary || witness) failedKnownAnswer(",
  },
  {
    rule: "only signed work is paid",
    file: "economy/task-pay.ts",
    from: "taking.filter((one) => one.signed)",
    to: "taking.filter(() => true)",
  },
  {
    rule: "a result comes from its assignee alone",
    file: "core/results.ts",
    from: "if (assignment.session === session) return assignment;",
    to: "if (assignment.session.length > 0) return assignment;",
  },
  {
    rule: "a caller is answered once",
    file: "core/verdict.ts",
    from: "  else if (!task.replied) {\n    task.replied = true;",
    to: "  else {\n    task.replied = true;",
  },
  {
    rule: "every hold ends",
    file: "core/state.ts",
    from: 'if (isCustomers(task)) step.out.push({ kind: "void-hold"',
    to: 'if (isCustomers(task) && to !== "failed") step.out.push({ kind: "void-hold"',
  },
  {
    rule: "few tasks are hedged",
    file: "core/leases.ts",
    from: "if (finish <= task.spec.deadlineAt) return;",
    to: "state.hedgeAllowance = 2;",
  },
  {
    rule: "an overturn takes back the pay",
    file: "economy/overturn.ts",
    from: "const left = balanceOf(account)",
    to: 'const left = (account.startsWith("miner:") ? 0n : balanceOf(account))',
  },
  {
    rule: "only a person slashes",
    file: "core/consequences.ts",
    from: "if (suspends) openCase(step, standing);",
    to: `if (suspends) {
    openCase(step, standing);
    const decision = { case: standing.openCase as never, owner: standing.owner, at: now, openedAt: now };
    out.push({ kind: "case-closed", decision: { ...decision, reviewer: "hub", ruling: "minor" } });
  }`,
  },
];

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Hunt {
  rule: string;
  /** Of the seeds that were run, those that broke an invariant. */
  found: number;
  seeds: number;
  fault: string;
}

export function hunt(mutant: Mutant, seeds: number): Hunt {
  const copy = mkdtempSync(join(tmpdir(), "tabgrid-mutant-"));
  try {
    for (const part of [
      "server/core",
      "server/economy",
      "server/sim",
      "server/store",
      "shared",
      "models",
      "package.json",
    ]) {
      cpSync(join(root, part), join(copy, part), {
        recursive: true,
        filter: (path) => !/\.(onnx|test\.ts)$/.test(path),
      });
    }
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    const file = join(copy, "server", mutant.file);
    const source = readFileSync(file, "utf8");
    assert(source.split(mutant.from).length === 2, `${mutant.file} has no single place for: ${mutant.rule}`);
    writeFileSync(file, source.replace(mutant.from, mutant.to));
    const run = spawnSync(process.execPath, [join(copy, "server/sim/main.ts"), "--seeds", String(seeds)], {
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024,
    });
    const found = (run.stdout.match(/^seed \d+:/gm) ?? []).length;
    const fault = /^ {2}(.*)$/m.exec(run.stdout)?.[1] ?? run.stderr.trim().split("\n")[0] ?? "";
    return { rule: mutant.rule, found, seeds, fault };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
