import { randomBytes } from "node:crypto";
import { modelKey, type OwnerId } from "../../shared/ids.ts";
import type { Millis } from "../../shared/time.ts";
import type { KeyRing } from "../api/auth.ts";
import type { RegisteredModel } from "../registry/files.ts";
import { BackingDesk } from "./backing-desk.ts";
import { CustomerDesk } from "./customer-desk.ts";
import { Desk, type DeskParts, FOUNDATION, type Written } from "./desk.ts";
import { commonsBook, DomainDesk, domainRecord, versionRecord } from "./domain-desk.ts";
import { GovernanceDesk } from "./governance-desk.ts";
import { genesis, MarketDesk } from "./market-desk.ts";
import { MinerDesk } from "./miner-desk.ts";
import { StakingDesk } from "./staking-desk.ts";

/** All that parties can do, by counter. */
export interface EconomyDesk {
  domains: DomainDesk;
  miners: MinerDesk;
  backing: BackingDesk;
  staking: StakingDesk;
  governance: GovernanceDesk;
  market: MarketDesk;
  customers: CustomerDesk;
  /** Takes over what other hubs on the same database have changed. */
  catchUp(): Promise<void>;
  /** The running epoch. */
  epoch(): number;
  now(): Millis;
  /** Ed25519, base64url: what miners sign their requests for. */
  hubKey: string;
  /** What an owner has at stake, or may work for, is another. */
  changed(owner: OwnerId): Promise<void>;
}

const randomId = (): string => randomBytes(12).toString("base64url");

/** Reads what is settled already, and writes down what a fresh store lacks: the commons, genesis, the built-in models. */
export async function openEconomyDesk(
  parts: DeskParts,
  keys: Pick<KeyRing, "add" | "revoke">,
  models: readonly RegisteredModel[],
  { hubKey, changed, newId = randomId }: Pick<EconomyDesk, "hubKey" | "changed"> & { newId?: () => string },
): Promise<EconomyDesk> {
  const { store, clock, domains } = parts;
  const desk = new Desk(parts);
  const at = clock.now();
  const first: Written[] = [];
  if (!(await desk.one("domain", "commons"))) first.push(domainRecord(commonsBook(at)));
  const known = new Map((await desk.all("version")).map((one) => [one.id, one]));
  for (const { manifest } of models) {
    const model = modelKey(manifest.id, manifest.version);
    const before = known.get(model);
    const { creator, royaltyBasisPoints } = manifest;
    const body = before?.body ?? { model, domain: "commons", creator, royaltyBasisPoints, round: null };
    if (before?.state !== "minted") first.push(versionRecord(body, "minted"));
  }
  const parties = first.map((one) => ({ ...one, at, by: FOUNDATION }));
  await store.commit({ parties, transfers: [genesis(at)] });
  await desk.learnAll();
  return {
    domains: new DomainDesk(desk),
    miners: new MinerDesk(desk),
    backing: new BackingDesk(desk, newId),
    staking: new StakingDesk(desk),
    governance: new GovernanceDesk(desk, newId),
    market: new MarketDesk(desk, newId),
    customers: new CustomerDesk(desk, keys, newId),
    async catchUp() {
      const { epoch } = await store.settlement.running();
      await desk.learnAll(); // after the epoch: what holds in it was written before it began
      domains.epoch = Math.max(domains.epoch, epoch);
    },
    epoch: () => domains.epoch,
    now: clock.now,
    hubKey,
    changed,
  };
}
