import { expect, it } from "vitest";
import type { AccountId, OwnerId } from "../../shared/ids.ts";
import { commonsSettings } from "../economy/domains.ts";
import { openPosition, type Position, releaseStake } from "../economy/staking.ts";
import { positionRecord } from "../economy-desk/staking-desk.ts";
import { DomainMap } from "../settlement/domain-map.ts";
import type { PartyRecord } from "../store/party-records.ts";
import { slashCollateral } from "./case-collateral.ts";

const ann = "own_ann" as OwnerId;
const bea = "customer:c_bea" as AccountId;
const decision = { case: "c_1", owner: ann, at: 9, openedAt: 1, reviewer: "c_op", ruling: "severe" } as never;

/** What a severe ruling leaves of one delegated position in a domain that slashes `severePercent`. */
async function leftOf(position: Position, severePercent: number): Promise<PartyRecord<"position">> {
  const domains = new DomainMap();
  domains.change("d", [{ from: 0, settings: { ...commonsSettings, severePercent } }]);
  const record = { ...positionRecord(position), at: 1, by: bea };
  const all = async (kind: string) => (kind === "position" ? [record] : []);
  const { parties } = await slashCollateral(decision, { all } as never, domains);
  return parties[0] as PartyRecord<"position">;
}

const staked: Position = { ...openPosition("d", ann, bea, 0), amount: 100n, unbonding: [{ amount: 50n, freeAt: 5 }] };

it("keeps delegated stake in the state that it is in after the ruling", async () => {
  expect(await leftOf(staked, 60)).toMatchObject({ state: "staked", body: { amount: 40n } });
  expect(await leftOf({ ...staked, amount: 0n }, 60)).toMatchObject({ state: "unbonding" });
  expect(await leftOf({ ...staked, unbonding: [] }, 100)).toMatchObject({ state: "empty", body: { amount: 0n } });
});

it("leaves nothing on its way out where all of it was taken", async () => {
  const { state, body } = await leftOf(staked, 100);
  expect({ state, body }).toMatchObject({ state: "empty", body: { amount: 0n, unbonding: [] } });
  // Else its party would be told to wait for a time that has passed.
  expect(releaseStake(body, false, 9)).toMatchObject({ ok: false, error: { code: "wrong-state" } });
});
