import type { CustomerId } from "../../shared/ids.ts";
import type { Millis } from "../../shared/time.ts";
import type { Shelf } from "./shelf.ts";

/** Replies kept for requests that come again with the same Idempotency-Key (draft-ietf-httpapi-idempotency-key-header). */
export interface IdempotencyStore {
  /** Takes a key for a request, or says what became of the one that has it. Keys from before `since` are forgotten. */
  claim(request: KeyedRequest, since: Millis): Promise<KeyClaim>;
  /** Keeps the reply of a claimed key. */
  answer(request: KeyedRequest, reply: KeptReply): Promise<void>;
  /** The request changed nothing: its key may be used anew. */
  release(request: KeyedRequest): Promise<void>;
  /** At start: what was under way when this hub last ended. */
  releaseOwn(): Promise<void>;
}

export interface KeyedRequest {
  customer: CustomerId;
  key: string;
  /** SHA-256 of what was asked, hex. */
  fingerprint: string;
  at: Millis;
}

export interface KeptReply {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export type KeyClaim =
  | { kind: "claimed" }
  | { kind: "in-flight" }
  | { kind: "mismatch" }
  | { kind: "answered"; reply: KeptReply };

export const sqlIdempotency = ({ write, insertRows }: Shelf, hub: string): IdempotencyStore => ({
  claim: ({ customer, key, fingerprint, at }, since) =>
    write(async (trx) => {
      await trx.deleteFrom("idempotency_keys").where("created_at", "<", BigInt(since)).execute();
      const claim = { customer, idempotency_key: key, fingerprint, hub, created_at: BigInt(at) };
      const row = { ...claim, status: null, headers: null, body: null };
      const find = trx.selectFrom("idempotency_keys").selectAll().where("customer", "=", customer);
      const before = await find.where("idempotency_key", "=", key).executeTakeFirst();
      if (!before) {
        await insertRows(trx, "idempotency_keys", [row]);
        return { kind: "claimed" };
      }
      if (before.fingerprint !== fingerprint) return { kind: "mismatch" };
      if (before.status === null) return { kind: "in-flight" };
      const headers = JSON.parse(before.headers ?? "{}");
      return { kind: "answered", reply: { status: Number(before.status), headers, body: before.body ?? "" } };
    }),

  answer: ({ customer, key }, { status, headers, body }) =>
    write(async (trx) => {
      const reply = { status: BigInt(status), headers: JSON.stringify(headers), body };
      const query = trx.updateTable("idempotency_keys").set(reply).where("customer", "=", customer);
      await query.where("idempotency_key", "=", key).execute();
    }),

  release: ({ customer, key }) =>
    write(async (trx) => {
      const query = trx.deleteFrom("idempotency_keys").where("customer", "=", customer);
      await query.where("idempotency_key", "=", key).where("status", "is", null).execute();
    }),

  releaseOwn: () =>
    write(async (trx) => {
      await trx.deleteFrom("idempotency_keys").where("hub", "=", hub).where("status", "is", null).execute();
    }),
});
