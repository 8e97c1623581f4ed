import type { AccountId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { ok } from "../../shared/result.ts";
import type { Clock } from "../../shared/time.ts";
import { accounts } from "../economy/accounts.ts";
import type { Transfer } from "../economy/ledger.ts";
import { claimPayers, payClaim, type RefundClaim } from "../economy/refund-claims.ts";
import type { Written } from "../economy-desk/desk.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { PartyRecord } from "../store/party-records.ts";
import type { AuditLine, Store } from "../store/store.ts";

/** Refunds that nobody could cover: kept as records, and paid between two turns of the hub. */
export const claimRecord = (of: RefundClaim): Written<"claim"> => ({
  kind: "claim",
  id: of.task,
  party: accounts.customer(of.customer),
  subject: of.domain,
  state: of.left > 0n ? "open" : "paid",
  from: null,
  body: of,
});

/** Oldest first, as far as their payers hold what no approved closing has spoken for. */
export async function payClaims({
  runtime,
  store,
  clock,
}: {
  runtime: Pick<Runtime, "between">;
  store: Store;
  clock: Clock;
}): Promise<void> {
  if ((await store.parties.all("claim", { state: "open" })).length === 0) return;
  await runtime.between(async () => {
    const at = clock.now();
    const reserved = await store.settlement.reserved();
    const paid = await store.parties.act<Transfer[]>({ key: null, inputHash: "", at }, async (books) => {
      const balances = new Map<AccountId, Nano>();
      const transfers: Transfer[] = [];
      const parties: PartyRecord[] = [];
      const audit: AuditLine[] = [];
      for (const record of await books.all("claim", { state: "open" })) {
        for (const account of claimPayers(record.body.domain)) {
          if (balances.has(account)) continue;
          balances.set(account, (await books.balance(account)) - (reserved.get(account) ?? 0n));
        }
        const payment = payClaim(record.body, (account) => balances.get(account) ?? 0n, at);
        if (!payment) continue;
        const { claim, transfer } = payment;
        for (const { account, amount } of transfer.legs)
          if (balances.has(account)) balances.set(account, (balances.get(account) ?? 0n) + amount);
        transfers.push(transfer);
        parties.push({ ...record, ...claimRecord(claim) });
        const detail = { paid: String(record.body.left - claim.left), left: String(claim.left) };
        audit.push({ at, actor: "hub", action: "claim-paid", subject: claim.task, detail });
      }
      return ok({ reply: transfers, transfers, parties, audit });
    });
    return { value: null, transfers: paid.ok ? paid.value.reply : [] };
  });
}
