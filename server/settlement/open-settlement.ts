import type { Clock } from "../../shared/time.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Store } from "../store/store.ts";
import type { DomainMap } from "./domain-map.ts";
import { EarningsDesk } from "./earnings-desk.ts";
import { Epochs } from "./epochs.ts";
import { Maturer } from "./maturer.ts";
import { PayoutDesk } from "./payout-desk.ts";
import { openRail, type RailName } from "./rails.ts";

export interface SettlementOptions {
  runtime: Pick<Runtime, "between" | "posted">;
  store: Store;
  clock: Clock;
  domains: DomainMap;
  catchUp(): Promise<void>;
  rail: RailName;
  dataDir: string;
  /** base64url. */
  sign(preimage: Uint8Array): string;
  /** base64url. */
  hubKey: string;
}

/** The money's path in time: maturing, epochs, payouts, and earnings that become API balance. */
export interface Settlement {
  maturer: Maturer;
  epochs: Epochs;
  payouts: PayoutDesk;
  earnings: EarningsDesk;
  clock: Clock;
  hubKey: string;
}

/** Goes on with a closing that was interrupted, and lets mature what is due. */
export async function openSettlement(options: SettlementOptions): Promise<Settlement> {
  const { runtime, store, clock, domains, catchUp, rail, dataDir, sign, hubKey } = options;
  await store.settlement.begin(clock.now());
  const maturer = new Maturer({ runtime, store, clock, domains, catchUp });
  const payouts = new PayoutDesk({ runtime, store, clock, rail: openRail(rail, dataDir) });
  const epochs = new Epochs({ runtime, store, clock, domains, maturer, payouts, sign });
  const earnings = new EarningsDesk({ store, clock, posted: (transfers) => runtime.posted(transfers) });
  await epochs.resume();
  await maturer.round();
  return { maturer, epochs, payouts, earnings, clock, hubKey };
}
