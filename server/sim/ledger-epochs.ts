import { parametersNow } from "../economy-desk/governance-desk.ts";
import type { EpochRecord } from "../store/epoch-records.ts";
import { type Draw, done, type Kinds } from "./ledger-draw.ts";

/** Pay that matures, and epochs: shown, approved, closed, with all that others do in between. */
export const epochKinds: Kinds = {
  maturing: [
    70,
    (d) => async () => {
      await d.books.settlement.maturer.round();
      return done;
    },
  ],
  "preview an epoch": [
    10,
    (d) => async () => {
      const due = await d.once("due", () => dueEpoch(d));
      const running = await d.once("running", async () => (await d.books.store.settlement.running()).epoch);
      const epoch = d.odd ? running - 2 + Number(d.amount % 4n) : due?.epoch;
      return epoch === undefined ? null : d.books.settlement.epochs.preview(epoch, "fuzz");
    },
  ],
  /** Of what was just shown, or, in an odd step, of what was shown before. */
  "approve an epoch": [
    16,
    (d) => async () => {
      const due = await d.once("due", () => dueEpoch(d));
      if (!due || due.state === "approved") return null;
      const { epochs } = d.books.settlement;
      if ((await epochs.one(due.epoch))?.state === "approved") return done;
      if (d.odd) return epochs.approve(due.epoch, due.digest ?? "", "fuzz");
      const shown = await epochs.preview(due.epoch, "fuzz");
      return shown.ok ? epochs.approve(due.epoch, shown.value.plan.digest, "fuzz") : shown;
    },
  ],
  "close an epoch": [
    16,
    (d) => async () => {
      const { epochs } = d.books.settlement;
      const due = await d.once("due", () => dueEpoch(d));
      if (d.odd) return epochs.close(due && due.state !== "approved" ? due.epoch : Number(d.amount % 9n), "fuzz");
      if (due?.state !== "approved") return null;
      return (await epochs.one(due.epoch))?.state === "closed" ? done : epochs.close(due.epoch, "fuzz");
    },
  ],
};

/** The one before the running epoch until it is closed, then the running one once it is long enough. */
async function dueEpoch({ books, at }: Draw): Promise<EpochRecord | null> {
  const { settlement, parties } = books.store;
  const running = await settlement.running();
  const before = running.epoch > 1 ? await settlement.epoch(running.epoch - 1) : null;
  const due = before && before.state !== "closed" ? before : await settlement.epoch(running.epoch);
  const parameters = await parametersNow(parties, running.epoch);
  return due && at - due.openedAt >= Number(parameters["epoch.lengthMs"]) ? due : null;
}
