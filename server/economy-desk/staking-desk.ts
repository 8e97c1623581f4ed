import { failure, type TabgridError } from "../../shared/errors.ts";
import type { CustomerId, OwnerId } from "../../shared/ids.ts";
import type { Nano } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { accounts } from "../economy/accounts.ts";
import type { Transfer } from "../economy/ledger.ts";
import { openPosition, type Position, releaseStake, stake, unstake } from "../economy/staking.ts";
import type { Books } from "../store/party-store.ts";
import { type Caller, type Desk, unknown, type Written } from "./desk.ts";
import { parametersNow } from "./governance-desk.ts";

/** DN that customers stake on a domain or delegate to a validator of it. */
type Staker = Caller & { customer: CustomerId };
/** What is staked on. */
export interface Target {
  domain: string;
  validator: OwnerId | null;
}

const positionId = ({ domain, validator, party }: Pick<Position, "domain" | "validator" | "party">): string =>
  `${domain}/${validator ?? ""}/${party}`;

export const positionRecord = (of: Position): Written<"position"> => ({
  kind: "position",
  id: positionId(of),
  party: of.party,
  subject: of.validator ?? of.domain,
  state: of.amount > 0n ? "staked" : of.unbonding.length > 0 ? "unbonding" : "empty",
  from: null,
  body: of,
});

export class StakingDesk {
  readonly #desk: Desk;
  constructor(desk: Desk) {
    this.#desk = desk;
  }

  stake(caller: Staker, target: Target, amount: Nano): Promise<Result<Position, TabgridError>> {
    return this.#move(caller, "staked", target, { amount }, async (position, books, at) => {
      const { validator } = target;
      if (validator !== null && !(await books.hasWorked(validator))) {
        const detail = { field: "validator", expected: "an owner who has worked here", got: validator };
        return err(failure("unknown-account", `no validator ${validator}`, detail));
      }
      return stake(position, amount, await books.balance(accounts.dn(position.party)), at);
    });
  }

  unstake(caller: Staker, target: Target, amount: Nano): Promise<Result<Position, TabgridError>> {
    return this.#move(caller, "unstaked", target, { amount }, async (position, books, at) => {
      const parameters = await parametersNow(books, this.#desk.domains.epoch);
      return unstake(position, amount, parameters["staking.unbondingMs"], at);
    });
  }

  release(caller: Staker, target: Target): Promise<Result<Position, TabgridError>> {
    return this.#move(caller, "stake-released", target, {}, async (position, books, at) =>
      releaseStake(position, target.validator !== null && (await books.hasOpenCase(target.validator)), at),
    );
  }

  #move(
    caller: Staker,
    action: string,
    target: Target,
    input: Record<string, unknown>,
    move: (
      position: Position,
      books: Books,
      at: number,
    ) => Promise<Result<{ position: Position; transfer: Transfer }, TabgridError>>,
  ): Promise<Result<Position, TabgridError>> {
    const party = accounts.customer(caller.customer);
    return this.#desk.act(caller, action, { ...target, ...input }, async (books, at) => {
      if (!(await books.one("domain", target.domain))) return unknown("unknown-domain")("domain", target.domain);
      const id = positionId({ ...target, party });
      const before = (await books.one("position", id))?.body;
      const moved = await move(before ?? openPosition(target.domain, target.validator, party, at), books, at);
      if (!moved.ok) return moved;
      const { position, transfer } = moved.value;
      return ok({ reply: position, subject: id, transfers: [transfer], records: [positionRecord(position)] });
    });
  }

  async of(customer: CustomerId): Promise<Position[]> {
    return (await this.#desk.all("position", { party: accounts.customer(customer) })).map(({ body }) => body);
  }
}
