import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AccountId, CustomerId, OwnerId, TaskId } from "../../shared/ids.ts";
import { sha256 } from "../../shared/test-sha256.ts";
import { accounts, assetOf, mayBeNegative } from "./accounts.ts";
import { expireHold, grant, hold, voidHold } from "./holds.ts";
import { assertBalanced, chainLink, chainStart, inputHash, legsOf, type Transfer } from "./ledger.ts";
import { commonsRevenue, settle } from "./revenue.ts";
import type { VerifiedTask } from "./verified-task.ts";

const ann = "c_ann" as CustomerId;
const open = { task: "t_1" as TaskId, customer: ann, amount: 5n };

describe("accounts", () => {
  it("only the issuer may be negative", () => {
    expect(mayBeNegative(accounts.issuer)).toBe(true);
    for (const account of [accounts.customer(ann), accounts.pool("commons"), accounts.foundation]) {
      expect(mayBeNegative(account)).toBe(false);
      expect(assetOf(account)).toBe("USDC");
    }
    expect(() => assetOf("nobody:x" as AccountId)).toThrow(/no known kind/);
  });

  it("free text cannot name another account", () => {
    expect(accounts.creator("a:held")).toBe("creator:a%3Aheld");
    expect(accounts.creator("\ud800")).toBe("creator:%EF%BF%BD");
  });
});

describe("assertBalanced", () => {
  const good = hold(open, 1);
  const withLegs = (legs: Transfer["legs"]) => () => assertBalanced({ ...good, legs });
  const [from, to] = good.legs as [Transfer["legs"][0], Transfer["legs"][0]];

  it("accepts what the economy makes", () => {
    for (const transfer of [good, voidHold(open, 2), expireHold(open, 2), grant(ann, 9n, "first", 1)]) {
      assertBalanced(transfer);
    }
  });

  it.each([
    ["no legs", [], /no legs/],
    ["a sum other than zero", [from, { ...to, amount: 4n }], /off balance by -1 USDC/],
    ["a zero leg", [from, { ...to, amount: 0n }], /moves nothing/],
    ["an account twice", [from, from, to], /twice/],
    ["legs out of order", [to, from], /out of order/],
    ["an asset that the account does not hold", [from, { ...to, asset: "DN" as const }], /does not hold DN/],
  ])("refuses %s", (_, legs, message) => {
    expect(withLegs(legs)).toThrow(message);
  });
});

describe("hashes", () => {
  const start = chainStart("hub", sha256);

  it("the input hash knows what is moved, not when", () => {
    expect(inputHash(hold(open, 1), sha256)).toBe(inputHash(hold(open, 2), sha256));
    expect(inputHash(hold(open, 1), sha256)).not.toBe(inputHash(hold({ ...open, amount: 6n }, 1), sha256));
    expect(inputHash(hold(open, 1), sha256)).not.toBe(inputHash(voidHold(open, 1), sha256));
  });

  it("a link depends on all that came before it", () => {
    expect(chainStart("other", sha256)).not.toBe(start);
    const link = chainLink(start, "a", 1, "ff", sha256);
    const changes = [
      chainLink("00", "a", 1, "ff", sha256),
      chainLink(start, "b", 1, "ff", sha256),
      chainLink(start, "a", 2, "ff", sha256),
      chainLink(start, "a", 1, "fe", sha256),
    ];
    expect(new Set([link, ...changes]).size).toBe(5);
    expect(link).toMatch(/^[0-9a-f]{64}$/);
  });

  it("legs come in one order, whatever the order in which they were gained", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom("foundation", "processor", "pool:a", "pool:b"), fc.bigInt()),
        (gains) => {
          const entries = Object.entries(gains) as [AccountId, bigint][];
          expect(legsOf(new Map(entries.toReversed()))).toEqual(legsOf(new Map(entries)));
        },
      ),
    );
  });
});

/** The books as the economy means them, kept by a plain map: what the store must come to as well. */
class Books {
  readonly balances = new Map<AccountId, bigint>();
  readonly posted = new Set<string>();

  canPay(transfer: Transfer): boolean {
    return transfer.legs.every(
      ({ account, amount }) => mayBeNegative(account) || (this.balances.get(account) ?? 0n) + amount >= 0n,
    );
  }

  post(transfer: Transfer): void {
    assertBalanced(transfer);
    if (this.posted.has(transfer.id)) return;
    this.posted.add(transfer.id);
    for (const { account, amount } of transfer.legs) {
      this.balances.set(account, (this.balances.get(account) ?? 0n) + amount);
    }
  }
}

describe("any sequence of grants, holds, settlements and ends, some of them repeated", () => {
  const step = fc.record({
    kind: fc.constantFrom("grant" as const, "hold" as const, "settle" as const, "void" as const, "expire" as const),
    customer: fc.constantFrom("c_ann" as CustomerId, "c_bob" as CustomerId),
    task: fc.integer({ min: 0, max: 30 }).map((n) => `t_${n}` as TaskId),
    amount: fc.bigInt(1n, 1_000n).map((micro) => micro * 1_000n),
    checker: fc.constantFrom("reference" as const, "own_bob" as OwnerId),
    repeat: fc.boolean(),
  });

  it("sums to zero, keeps every balance but the issuer's at zero or more, and repeating changes nothing", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const books = new Books();
        const pending = new Map<TaskId, { task: TaskId; customer: CustomerId; amount: bigint }>();
        const seen = new Set<TaskId>();
        steps.forEach(({ kind, customer, task, amount, checker, repeat }, at) => {
          const held = pending.get(task);
          let transfer: Transfer | null = null;
          if (kind === "grant") transfer = grant(customer, amount, String(at), at);
          else if (kind === "hold") {
            if (seen.has(task)) return;
            transfer = hold({ task, customer, amount }, at);
            if (!books.canPay(transfer)) return;
            seen.add(task);
            pending.set(task, { task, customer, amount });
          } else if (!held) return;
          else if (kind === "void") transfer = voidHold(held, at);
          else if (kind === "expire") transfer = expireHold(held, at);
          else {
            const pool = books.balances.get(accounts.pool("commons")) ?? 0n;
            const settled = settle(factOf(held, checker, at), commonsRevenue, pool, sha256);
            if (!settled.ok) throw new Error(settled.error.message);
            transfer = settled.value.transfer;
          }
          if (kind !== "grant" && kind !== "hold") pending.delete(task);
          books.post(transfer);
          const before = [...books.balances];
          if (repeat) books.post(transfer);
          expect([...books.balances]).toEqual(before);
          let sum = 0n;
          for (const [account, balance] of books.balances) {
            expect(balance >= 0n || mayBeNegative(account), `${account}: ${balance}`).toBe(true);
            sum += balance;
          }
          expect(sum).toBe(0n);
        });
        const heldBy = (customer: CustomerId) =>
          [...pending.values()].filter((of) => of.customer === customer).reduce((sum, of) => sum + of.amount, 0n);
        for (const customer of ["c_ann", "c_bob"] as CustomerId[]) {
          expect(books.balances.get(accounts.customerHeld(customer)) ?? 0n).toBe(heldBy(customer));
        }
      }),
    );
  });
});

function factOf(held: typeof open, checker: "reference" | OwnerId, at: number): VerifiedTask {
  const execution = { commitment: "", accepted: true, signed: true, newcomer: false, miner: null };
  return {
    ...held,
    at,
    model: "m@1" as VerifiedTask["model"],
    creator: "x",
    royaltyBasisPoints: 2_000,
    level: "fast",
    price: held.amount,
    work: 1_000n,
    basis: "checked",
    inputHash: "",
    commitment: "",
    executions: [
      { ...execution, by: "own_ann" as OwnerId, assignment: `a_${held.task}p` as never, role: "primary" },
      { ...execution, by: checker, assignment: `a_${held.task}c` as never, role: "check" },
    ],
  };
}
