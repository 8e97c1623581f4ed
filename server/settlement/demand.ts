import type { ModelKey, OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { accounts, heldPayOwner } from "../economy/accounts.ts";
import { type Pledge, payBonus, returnBonus } from "../economy/demand-board.ts";
import type { Transfer } from "../economy/ledger.ts";
import { pledgeRecord } from "../economy-desk/backing-desk.ts";
import type { HeldChange } from "../store/held-changes.ts";
import type { PartyRecord } from "../store/party-records.ts";
import type { Books } from "../store/party-store.ts";
import type { Batch } from "../store/store.ts";

/**
 * The demand board at work: pledges raise what a settlement paid, in the transaction that writes it, so that a pledge is never
 * spent twice, whoever else is spending or withdrawing it; an overturn gives back what is still held.
 */
type Read = Pick<Books, "all">;
type SettledChange = Extract<HeldChange, { kind: "settled" }>;

/** Settlements are the only pay that customers asked for; checks of the pool and interest are not raised. */
const isRaised = (change: HeldChange, wanted: ReadonlySet<ModelKey>): change is SettledChange =>
  change.kind === "settled" && change.by.startsWith("settle:") && wanted.has(change.held.model);

export const raises = (batch: Batch | null, wanted: ReadonlySet<ModelKey>): boolean =>
  wanted.size > 0 && (batch?.held ?? []).some((change) => isRaised(change, wanted));

/** The batch with what pledges add to it, and the bonuses alone. */
export async function raisePay(
  batch: Batch,
  wanted: ReadonlySet<ModelKey>,
  books: Read,
): Promise<{ batch: Batch; bonuses: Transfer[] }> {
  const boards = new Map<ModelKey, PartyRecord<"pledge">[]>();
  const bonuses: Transfer[] = [];
  const held: HeldChange[] = [];
  for (const change of batch.held ?? []) {
    if (!isRaised(change, wanted)) {
      held.push(change);
      continue;
    }
    const { model, pay, task, at } = change.held;
    const board = boards.get(model) ?? (await books.all("pledge", { subject: model, state: "open" }));
    const raised = payBonus(bodies(board), model, { pay, transfer: { task, at } });
    boards.set(model, changed(board, raised.board));
    if (raised.transfer) bonuses.push(raised.transfer);
    const lines = (raised.transfer?.legs ?? []).flatMap(({ account, amount }) => {
      const owner = heldPayOwner(account);
      return owner ? [{ owner, amount, worth: 0n }] : [];
    });
    held.push({ ...change, held: { ...change.held, pay: [...pay, ...lines] } });
  }
  const parties = [...boards.values()].flat();
  const transfers = [...(batch.transfers ?? []), ...bonuses];
  return { batch: { ...batch, held, transfers, parties: [...(batch.parties ?? []), ...parties] }, bonuses };
}

/** Of an overturned task: `held` is what of its pay each owner still holds, its bonus among it. */
export async function takeBonusBack(
  model: ModelKey,
  bonus: Transfer,
  settlement: Transfer,
  held: ReadonlyMap<OwnerId, Nano>,
  at: number,
  books: Read,
): Promise<{ transfer: Transfer | null; parties: PartyRecord[] }> {
  const paid = new Map(settlement.legs.map(({ account, amount }) => [account, amount]));
  const board = await books.all("pledge", { subject: model });
  const back = returnBonus(
    bodies(board),
    model,
    bonus,
    (account) => {
      const owner = heldPayOwner(account);
      const left = owner ? (held.get(owner) ?? 0n) - (paid.get(accounts.minerHeld(owner)) ?? 0n) : 0n;
      return left > 0n ? left : 0n;
    },
    at,
  );
  return { transfer: back.transfer, parties: changed(board, back.board) };
}

const bodies = (board: readonly PartyRecord<"pledge">[]): Pledge[] => board.map(({ body }) => body);

const changed = (board: readonly PartyRecord<"pledge">[], after: readonly Pledge[]): PartyRecord<"pledge">[] =>
  board.map((record, i) => ({ ...record, ...pledgeRecord(after[i] as Pledge) }) as PartyRecord<"pledge">);
