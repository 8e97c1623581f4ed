import { randomBytes } from "node:crypto";
import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId, CustomerId } from "../../shared/ids.ts";
import { NANO_PER_UNIT, type Nano } from "../../shared/money.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import { hashKey, type KeyRing, makeKey } from "../api/auth.ts";
import { accounts } from "../economy/accounts.ts";
import { checkCovered, checkIssue } from "../economy/amount.ts";
import { legsOf, type Transfer } from "../economy/ledger.ts";
import type { ApiKey } from "../store/store.ts";
import { type Caller, type Desk, noCustomer, unknown } from "./desk.ts";

/** Customers of this hub, their API keys, and what the foundation gives them to begin with. */
const ISSUED_MOST: Nano = 1_000_000n * NANO_PER_UNIT;

export class CustomerDesk {
  readonly #desk: Desk;
  readonly #keys: Pick<KeyRing, "add" | "revoke">;
  readonly #newId: () => string;
  constructor(desk: Desk, keys: Pick<KeyRing, "add" | "revoke">, newId: () => string) {
    this.#desk = desk;
    this.#keys = keys;
    this.#newId = newId;
  }

  /** The key is shown here and never again. */
  async add(caller: Caller, name: string): Promise<Result<{ customer: CustomerId; key: string }, TabgridError>> {
    const wanted = `c_${randomBytes(9).toString("base64url")}` as CustomerId;
    const { id, presented } = makeKey();
    const made = await this.#desk.act(caller, "customer-added", { name }, async (_, createdAt) => {
      const apiKeys = [keyOf(id, presented, wanted, name, createdAt)];
      return ok({
        reply: wanted,
        subject: wanted,
        records: [],
        customers: [{ customer: wanted, name, createdAt }],
        apiKeys,
      });
    });
    if (!made.ok) return made;
    if (made.value !== wanted) return shownBefore(caller, `customer ${made.value}`);
    this.#keys.add(hashKey(presented), { kind: "customer", customer: wanted, key: id });
    return ok({ customer: wanted, key: presented });
  }

  /** A further key, shown here and never again: by the customer itself, or by the operator for one that lost its own. */
  async addKey(
    caller: Caller,
    customer: CustomerId,
    name: string,
  ): Promise<Result<{ id: string; key: string }, TabgridError>> {
    const { id, presented } = makeKey();
    const made = await this.#desk.act(caller, "key-added", { customer, name }, async (books, createdAt) => {
      if (!(await books.hasCustomer(customer))) {
        return noCustomer("customer", customer);
      }
      const apiKeys = [keyOf(id, presented, customer, name, createdAt)];
      return ok({ reply: id, subject: customer, records: [], apiKeys });
    });
    if (!made.ok) return made;
    if (made.value !== id) return shownBefore(caller, `API key ${made.value}`);
    this.#keys.add(hashKey(presented), { kind: "customer", customer, key: id });
    return ok({ id, key: presented });
  }

  keys(customer: CustomerId): Promise<ApiKey[]> {
    return this.#desk.store.apiKeys(customer);
  }

  /** For good, and on this hub at once. A customer's own; the operator may revoke any. */
  async revoke(caller: Caller, id: string): Promise<Result<null, TabgridError>> {
    let revoked: string | null = null;
    const done = await this.#desk.act(caller, "key-revoked", { key: id }, async (books, revokedAt) => {
      const key = await books.apiKey(id);
      const isTheirs = caller.customer === null || key?.customer === caller.customer;
      if (!key || !isTheirs || key.revokedAt !== null) return unknown("not-found")("key", id);
      revoked = key.secretHash;
      return ok({ reply: null, subject: key.customer, records: [], apiKeys: [{ ...key, revokedAt }] });
    });
    if (done.ok && revoked !== null) this.#keys.revoke(revoked);
    return done;
  }

  async self(customer: CustomerId) {
    const { store } = this.#desk;
    const of = async (account: AccountId) => (await store.account(account))?.balance ?? 0n;
    const party = accounts.customer(customer);
    let [staked, unbonding] = [0n, 0n];
    for (const { body } of await this.#desk.all("position", { party })) {
      staked += body.amount;
      unbonding += body.unbonding.reduce((sum, { amount }) => sum + amount, 0n);
    }
    const claims = await this.#desk.all("claim", { party, state: "open" });
    return {
      name: (await store.customer(customer))?.name ?? "",
      usdc: await of(party),
      held: await of(accounts.customerHeld(customer)),
      dn: await of(accounts.dn(party)),
      staked,
      unbonding,
      owed: claims.reduce((sum, { body }) => sum + body.left, 0n),
    };
  }

  /** Test USDC from its issuer, DN from the treasury. */
  grant(caller: Caller, customer: CustomerId, usdc: Nano, dn: Nano): Promise<Result<null, TabgridError>> {
    return this.#desk.act(caller, "granted", { customer, usdc, dn }, async (books, at) => {
      if (!(await books.hasCustomer(customer))) {
        return noCustomer("customer", customer);
      }
      const to = accounts.customer(customer);
      const gains = new Map([[accounts.issuer, 0n]]);
      if (usdc > 0n || dn === 0n) {
        const issued = checkIssue(usdc, -(await books.balance(accounts.issuer)), "usdc");
        if (!issued.ok) return issued;
        const bounded = checkCovered(usdc, ISSUED_MOST, accounts.issuer, "usdc");
        if (!bounded.ok) return bounded;
        gains.set(accounts.issuer, -usdc).set(to, usdc);
      }
      if (dn > 0n) {
        const held = checkCovered(dn, await books.balance(accounts.dnTreasury), accounts.dnTreasury, "dn");
        if (!held.ok) return held;
        gains.set(accounts.dnTreasury, -dn).set(accounts.dn(to), dn);
      }
      const id = `grant:${this.#newId()}`;
      const transfer: Transfer = { id, kind: "grant", at, task: null, legs: legsOf(gains) };
      return ok({ reply: null, subject: customer, transfers: [transfer], records: [] });
    });
  }
}

const keyOf = (id: string, presented: string, customer: CustomerId, name: string, createdAt: Millis): ApiKey => {
  return { id, secretHash: hashKey(presented), name, customer, scopes: [], createdAt, revokedAt: null };
};

const shownBefore = (caller: Caller, made: string) => {
  const detail = { field: "idempotency-key", expected: "a new key", got: caller.key ?? "" };
  const message = `this request has made ${made}; the key was shown then and is not kept`;
  return err(failure("already-claimed", message, detail));
};
