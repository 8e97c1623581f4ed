import type { CustomerId, OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { assert } from "../../shared/result.ts";
import type { CaseDecided } from "../core/events.ts";
import { accounts, spendingCustomer } from "../economy/accounts.ts";
import { slash } from "../economy/collateral.ts";
import { commonsSettings } from "../economy/domains.ts";
import type { Transfer } from "../economy/ledger.ts";
import type { Position } from "../economy/staking.ts";
import { positionRecord } from "../economy-desk/staking-desk.ts";
import type { DomainMap } from "../settlement/domain-map.ts";
import type { PartyRecord } from "../store/party-records.ts";
import type { Books } from "../store/party-store.ts";

/** What a ruling took of a customer's stake that was delegated to its owner. */
export interface StakeLoss {
  customer: CustomerId;
  domain: string;
  validator: OwnerId;
  /** nano-DN. */
  slashed: Nano;
}

/**
 * What an upheld case takes of its owner's deposits and of the stake that is delegated to it, in every domain where it is
 * registered or has delegates, by that domain's e. Called by a decided case, and nowhere else.
 */
export async function slashCollateral(
  decision: CaseDecided,
  books: Pick<Books, "all">,
  domains: DomainMap,
): Promise<{ transfers: Transfer[]; parties: PartyRecord[]; losses: StakeLoss[] }> {
  const transfers: Transfer[] = [];
  const losses: StakeLoss[] = [];
  const parties: PartyRecord[] = [];
  const { owner, at, reviewer } = decision;
  const registrations = await books.all("registration", { party: accounts.miner(owner) });
  const delegated = (await books.all("position", { subject: owner })).filter(({ body }) => body.validator === owner);
  const among = new Set([...registrations, ...delegated].map(({ body }) => body.domain));
  for (const domain of [...among].sort()) {
    const found = registrations.find(({ body }) => body.domain === domain);
    const positions = delegated.filter(({ body }) => body.domain === domain);
    const none = { domain, owner, state: "left", deposit: 0n, ask: null, round: 0, leftAt: null } as const;
    const { severePercent } = domains.settings(domain) ?? commonsSettings;
    const slashed = slash(
      decision,
      found?.body ?? none,
      positions.map(({ body }) => body),
      severePercent,
    );
    assert(slashed.ok, `an upheld case slashes, yet: ${slashed.ok ? "" : slashed.error.message}`);
    const { transfer, registration, positions: after } = slashed.value;
    if (transfer) transfers.push(transfer);
    if (found) {
      const body = { ...found.body, ...registration };
      parties.push({ ...found, state: registration.state, at, by: reviewer, body });
    }
    positions.forEach((position, i) => {
      const body = after[i];
      if (!body) return;
      parties.push({ ...positionRecord(body), at, by: reviewer });
      const taken = stakedIn(position.body) - stakedIn(body);
      const customer = spendingCustomer(body.party);
      if (taken > 0n && customer) losses.push({ customer, domain, validator: owner, slashed: taken });
    });
  }
  return { transfers, parties, losses };
}

const stakedIn = ({ amount, unbonding }: Position): Nano => unbonding.reduce((sum, one) => sum + one.amount, amount);
