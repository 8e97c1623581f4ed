import { setImmediate as nextLoop } from "node:timers/promises";
import { failure, type TabgridError } from "../../shared/errors.ts";
import { assert, err, ok, type Result } from "../../shared/result.ts";
import type { Clock } from "../../shared/time.ts";
import { approve, checkClose, checkPreview } from "../economy/epoch.ts";
import type { EpochPlan } from "../economy/epoch-plan.ts";
import type { Transfer } from "../economy/ledger.ts";
import { epochReceiptsPreimage, MerkleFrontier } from "../economy/receipt-epochs.ts";
import { closeStakeTime } from "../economy/staking.ts";
import { parametersNow } from "../economy-desk/governance-desk.ts";
import { marketRecord } from "../economy-desk/market-desk.ts";
import type { Page, Paged } from "../gateway/gateway.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type EpochRecord, epochState } from "../store/epoch-records.ts";
import type { PartyRecord } from "../store/party-records.ts";
import { sha256 } from "../store/sha256.ts";
import type { AuditLine, Store } from "../store/store.ts";
import type { DomainMap } from "./domain-map.ts";
import { openBooks, planOf, readFenced } from "./epoch-facts.ts";
import type { Maturer } from "./maturer.ts";
import type { PayoutDesk } from "./payout-desk.ts";

/**
 * Closes epochs (economy/epoch.ts has their states). Nothing closes by itself: somebody looks at the plan, approves it by its
 * digest, and asks to close it. What was begun before the hub ended goes on at its next start.
 */
export interface EpochsParts {
  runtime: Pick<Runtime, "between">;
  store: Store;
  clock: Clock;
  domains: DomainMap;
  maturer: Pick<Maturer, "round">;
  payouts: Pick<PayoutDesk, "payOut">;
  /** base64url. */
  sign(preimage: Uint8Array): string;
}

export interface EpochPlace {
  epoch: number;
  index: number;
  size: number;
  path: string[];
  root: string;
  /** Over `epochReceiptsPreimage`, base64url. */
  signature: string;
}

export interface PreviewedEpoch {
  epoch: EpochRecord;
  plan: EpochPlan;
}

export class Epochs {
  readonly #parts: EpochsParts;
  /** Closings wait for one another. */
  #closing: Promise<unknown> = Promise.resolve();

  constructor(parts: EpochsParts) {
    this.#parts = parts;
  }

  list(page: Page): Promise<Paged<EpochRecord>> {
    return this.#parts.store.settlement.epochs(page);
  }

  one(epoch: number): Promise<EpochRecord | null> {
    return this.#parts.store.settlement.epoch(epoch);
  }

  /** Fences the epoch, or moves its fence up to now, and shows what closing it there would post. */
  async preview(epoch: number, by: string): Promise<Result<PreviewedEpoch, TabgridError>> {
    const { runtime, store, clock, domains, maturer } = this.#parts;
    const found = await this.#find(epoch);
    if (!found.ok) return found;
    const allowed = checkPreview(epochState(found.value));
    if (!allowed.ok) return allowed;
    const before = epoch > 1 ? await this.one(epoch - 1) : null;
    if (before && before.state !== "closed") {
      const detail = { field: "epoch", expected: `${before.epoch} closed`, got: before.state };
      return err(failure("wrong-state", `close epoch ${before.epoch} first`, detail));
    }
    await maturer.round();
    const at = clock.now();
    const moved = await runtime.between(async () => {
      const positions = await store.parties.all("position");
      const value = await store.parties.act<null>({ key: null, inputHash: "", at }, async (books) => {
        // Somebody may have approved it while its pay matured.
        const still = await books.epoch(epoch);
        const refused = still && checkPreview(epochState(still));
        if (refused && !refused.ok) return refused;
        const stakes: { domain: string; party: PartyRecord<"position">["body"]["party"]; time: bigint }[] = [];
        const parties: PartyRecord[] = [];
        for (const { id } of positions) {
          const record = await books.one("position", id);
          if (!record) continue;
          const { position, time } = closeStakeTime(record.body, Math.max(at, record.body.timeAt));
          stakes.push({ domain: position.domain, party: position.party, time });
          parties.push({ ...record, body: position });
        }
        const audit = [line(at, by, "epoch-previewed", epoch)];
        return ok({ reply: null, parties, audit, epoch: { kind: "fenced", epoch, at, stakes } });
      });
      if (value.ok) domains.epoch = epoch + 1;
      return { value, transfers: [] };
    });
    if (!moved.ok) return moved;
    const plan = await planOf(await readFenced(store, epoch, at), openBooks(store));
    await store.settlement.previewed(epoch, plan);
    return ok({ epoch: await this.#known(epoch), plan });
  }

  /**
   * From here on the plan is posted as it is. Refused where what it was made of has changed since it was shown, and before
   * the epoch is as long as it has to be. The buyback is posted at once: the pool would not wait for it.
   */
  async approve(epoch: number, digest: string, by: string): Promise<Result<EpochRecord, TabgridError>> {
    const { runtime, store, clock } = this.#parts;
    const found = await this.#find(epoch);
    if (!found.ok) return found;
    const at = clock.now();
    const allowed = approve(epochState(found.value), digest, by, at);
    if (!allowed.ok) return allowed;
    const { fencedAt, openedAt } = found.value;
    assert(fencedAt !== null, `epoch ${epoch} was previewed and never fenced`);
    const fenced = await readFenced(store, epoch, fencedAt);
    const approved = await runtime.between(async () => {
      const value = await store.parties.act<Transfer[]>({ key: null, inputHash: "", at }, async (books) => {
        // Somebody may have approved it, or moved its fence, since `fenced` was read.
        const still = await books.epoch(epoch);
        const again = approve(still ? epochState(still) : { phase: "open", epoch }, digest, by, at);
        if (!again.ok) return again;
        if (still?.fencedAt !== fencedAt) return err(outdated(digest, "another fence"));
        const least = openedAt + Number((await parametersNow(books, epoch))["epoch.lengthMs"]);
        if (fencedAt < least) return err(tooShort(epoch, least, fencedAt));
        const market = await books.one("market", "market");
        if (market && market.body.at > fencedAt) return err(outdated(digest, "another price"));
        const plan = await planOf(fenced, books);
        if (plan.digest !== digest) return err(outdated(digest, plan.digest));
        const buyback = plan.transfers.filter(({ kind }) => kind === "buyback");
        const parties = market && buyback.length > 0 ? [{ ...market, ...marketRecord(plan.market) }] : [];
        const audit = [line(at, by, "epoch-approved", epoch, { digest })];
        const step = { kind: "approved", plan, by, at } as const;
        return ok({ reply: buyback, transfers: buyback, parties, audit, epoch: step });
      });
      return { value, transfers: value.ok ? value.value.reply : [] };
    });
    return approved.ok ? ok(await this.#known(epoch)) : approved;
  }

  /** Resolves when all is posted. An interrupted closing is gone on with by the same call, or by the next start. */
  close(epoch: number, by: string): Promise<Result<EpochRecord, TabgridError>> {
    const next = this.#closing.catch(() => {}).then(() => this.#close(epoch, by));
    this.#closing = next;
    return next;
  }

  async #close(epoch: number, by: string): Promise<Result<EpochRecord, TabgridError>> {
    const found = await this.#find(epoch);
    if (!found.ok) return found;
    const allowed = checkClose(epochState(found.value));
    if (!allowed.ok) return allowed;
    const at = this.#parts.clock.now();
    await this.#parts.store.settlement.closing(epoch, at);
    await this.#finish(epoch, by);
    return ok(await this.#known(epoch));
  }

  /** At the start of a hub: what was asked before it ended. */
  async resume(): Promise<void> {
    const { data } = await this.list({ limit: 2, after: null });
    const begun = data.find(({ state, closingAt }) => state === "approved" && closingAt !== null);
    if (begun) await this.#finish(begun.epoch, "hub");
  }

  async #finish(epoch: number, by: string): Promise<void> {
    const { runtime, store, clock, payouts } = this.#parts;
    for (let posted = 1; posted > 0; ) {
      posted = await runtime.between(async () => {
        const transfers = await store.settlement.postPart(epoch);
        return { value: transfers.length, transfers };
      });
      // As in maturer.ts: others come in between.
      await nextLoop();
    }
    const at = clock.now();
    await payouts.payOut(epoch, at);
    // Together: a hub that ended in between would never write the line.
    const step = { kind: "closed", epoch, at, receipts: await this.#receipts(epoch) } as const;
    const audit = [line(at, by, "epoch-closed", epoch)];
    await store.parties.act({ key: null, inputHash: "", at }, async () => ok({ reply: null, audit, epoch: step }));
  }

  /** The root over the epoch's receipts, which the hub signs; null where there are none. */
  async #receipts(epoch: number): Promise<EpochRecord["receipts"]> {
    const tree = new MerkleFrontier(sha256);
    for await (const page of this.#parts.store.settlement.receiptRoots(epoch)) {
      for (const { root } of page) tree.add(root);
    }
    if (tree.size === 0) return null;
    const root = tree.root();
    return { root, size: tree.size, signature: this.#parts.sign(epochReceiptsPreimage(epoch, root)) };
  }

  /** Where a commit's signed root stands under its epoch's; null before that epoch is closed. */
  async placeOf(root: string): Promise<EpochPlace | null> {
    const { settlement } = this.#parts.store;
    const epoch = await settlement.epochOfReceipts(root);
    const receipts = epoch === null ? null : ((await this.one(epoch))?.receipts ?? null);
    if (epoch === null || !receipts) return null;
    const tree = new MerkleFrontier(sha256);
    let index = 0;
    for await (const page of settlement.receiptRoots(epoch)) {
      for (const one of page) {
        if (one.root === root) index = tree.size;
        tree.add(one.root, one.root === root);
      }
    }
    const path = tree.path();
    assert(path && tree.root() === receipts.root, `epoch ${epoch} was closed with other receipts`);
    return { epoch, index, path, ...receipts };
  }

  async #find(epoch: number): Promise<Result<EpochRecord, TabgridError>> {
    const found = await this.one(epoch);
    return found
      ? ok(found)
      : err(
          failure("unknown-epoch", `no epoch ${epoch}`, {
            field: "epoch",
            expected: "an epoch that has begun",
            got: String(epoch),
          }),
        );
  }

  async #known(epoch: number): Promise<EpochRecord> {
    const found = await this.one(epoch);
    assert(found, `epoch ${epoch} is gone`);
    return found;
  }
}

const line = (
  at: number,
  actor: string,
  action: string,
  epoch: number,
  detail: Record<string, unknown> = {},
): AuditLine => ({ at, actor, action, subject: `epoch:${epoch}`, detail: { epoch, ...detail } });

const outdated = (digest: string, now: string): TabgridError =>
  failure("wrong-state", "what the plan was made of has changed since: preview it again", {
    field: "digest",
    expected: now,
    got: digest,
  });

const tooShort = (epoch: number, least: number, fencedAt: number): TabgridError =>
  failure("time-locked", `epoch ${epoch} is not over: preview it again then`, {
    field: "epoch",
    expected: `a fence at ${least} or later`,
    got: String(fencedAt),
  });
