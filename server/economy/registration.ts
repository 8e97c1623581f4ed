import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId, OwnerId } from "../../shared/ids.ts";
import { ceilDiv, type Nano } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { accounts } from "./accounts.ts";
import { checkCovered } from "./amount.ts";
import { greatest, least } from "./apportion.ts";
import type { DomainSettings } from "./domains.ts";
import { legsOf, type Transfer } from "./ledger.ts";
import { PRICE_ONE, type Price, toDn } from "./market.ts";

/**
 * A miner's place in a domain (../shared/money.md, "Collateral").
 *
 *   (none) → registered   fee to the domain's treasury, deposit in DN; what is missing is earned as a bond
 *          → leaving      no more work; the deposit is back after the unbonding delay
 *          → left         and may register again
 *   registered, leaving → expelled   by a severe case (collateral.ts)
 */
export interface Registration {
  domain: string;
  owner: OwnerId;
  state: "registered" | "leaving" | "left" | "expelled";
  /** nano-DN in `accounts.collateral`. */
  deposit: Nano;
  /** Least it works for, nano-USDC per GFLOP: filters assignments, changes no price. */
  ask: Nano | null;
  /** Grows with every registration of the owner: names its transfers. */
  round: number;
  leftAt: Millis | null;
}

interface Registered {
  registration: Registration;
  transfer: Transfer | null;
}

/** What the owner can spend: matured pay in USDC, and DN. */
export interface Funds {
  usdc: Nano;
  dn: Nano;
}

export function register(
  domain: string,
  owner: OwnerId,
  settings: DomainSettings,
  { deposit, ask }: { deposit: Nano; ask: Nano | null },
  funds: Funds,
  before: Registration | null,
  at: Millis,
): Result<Registered, TabgridError> {
  if (before && before.state !== "left") return err(wrongState(before, "not registered, or left"));
  const payer = accounts.miner(owner);
  const gains = new Map<AccountId, Nano>();
  if (settings.registrationFee > 0n) {
    const fee = checkCovered(settings.registrationFee, funds.usdc, payer, "registrationFee");
    if (!fee.ok) return fee;
    gains.set(payer, -fee.value).set(accounts.domain(domain), fee.value);
  }
  if (deposit !== 0n) {
    const covered = checkCovered(deposit, funds.dn, accounts.dn(payer), "deposit");
    if (!covered.ok) return covered;
    gains.set(accounts.dn(payer), -deposit).set(accounts.collateral(domain, owner), deposit);
  }
  const round = (before?.round ?? 0) + 1;
  const id = `register:${domain}:${owner}:${round}`;
  const legs = legsOf(gains);
  const transfer: Transfer | null = legs.length > 0 ? { id, kind: "registration", at, task: null, legs } : null;
  return ok({ registration: { domain, owner, state: "registered", deposit, ask, round, leftAt: null }, transfer });
}

/** `n` counts the owner's further deposits, so that a repeated call moves nothing twice. */
export function depositMore(
  registration: Registration,
  amount: Nano,
  funds: Funds,
  n: number,
  at: Millis,
): Result<Registered, TabgridError> {
  if (registration.state !== "registered") return err(wrongState(registration, "registered"));
  const { domain, owner, round } = registration;
  const from = accounts.dn(accounts.miner(owner));
  const covered = checkCovered(amount, funds.dn, from, "amount");
  if (!covered.ok) return covered;
  const gains = new Map([
    [from, -amount],
    [accounts.collateral(domain, owner), amount],
  ]);
  const id = `deposit:${domain}:${owner}:${round}:${n}`;
  const transfer: Transfer = { id, kind: "deposit", at, task: null, legs: legsOf(gains) };
  return ok({ registration: { ...registration, deposit: registration.deposit + amount }, transfer });
}

export function leave(registration: Registration, at: Millis): Result<Registration, TabgridError> {
  if (registration.state !== "registered") return err(wrongState(registration, "registered"));
  return ok({ ...registration, state: "leaving", leftAt: at });
}

/** Gives the deposit back, once the delay has passed and no case is open. */
export function release(
  registration: Registration,
  unbondingMs: bigint,
  hasOpenCase: boolean,
  at: Millis,
): Result<Registered, TabgridError> {
  const { domain, owner, round, deposit, leftAt } = registration;
  if (registration.state !== "leaving" || leftAt === null) return err(wrongState(registration, "leaving"));
  const due = leftAt + Number(unbondingMs);
  if (at < due || hasOpenCase) {
    const expected = hasOpenCase ? "the decision of the open case" : `${due}`;
    const detail = { field: "at", expected, got: String(at) };
    return err(failure("time-locked", "the deposit is still bonded", detail));
  }
  const gains = new Map([
    [accounts.collateral(domain, owner), -deposit],
    [accounts.dn(accounts.miner(owner)), deposit],
  ]);
  const legs = legsOf(gains);
  const id = `release:${domain}:${owner}:${round}`;
  const transfer: Transfer | null = legs.length > 0 ? { id, kind: "release", at, task: null, legs } : null;
  return ok({ registration: { ...registration, state: "left", deposit: 0n }, transfer });
}

/** DN, and held USDC at half its value. Without a price held pay counts for nothing. */
export const bondOf = (deposit: Nano, held: Nano, twap: Price | null): Nano =>
  deposit + (twap === null ? 0n : toDn(held, twap) / 2n);

/** How much of the held pay must stay for the domain's minimum: it does not mature. */
export function bondedPay(minimum: Nano, deposit: Nano, held: Nano, twap: Price | null): Nano {
  const missing = greatest(minimum - deposit, 0n);
  if (missing === 0n) return 0n;
  return twap === null ? held : least(held, ceilDiv(2n * missing * twap, PRICE_ONE));
}

const wrongState = ({ state, domain }: Registration, expected: string): TabgridError =>
  failure("wrong-state", `the registration in ${domain} is ${state}`, { field: "state", expected, got: state });
