import type { Kysely, Transaction } from "kysely";
import type { ModelKey, OwnerId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Millis } from "../../shared/time.ts";
import type { AttestationFact } from "../core/witness.ts";
import type { Engine } from "./engine.ts";
import type { Tables } from "./tables.ts";

/** A validator's word that stands; `proof` is what it and the miner signed, for whoever wants to verify it. */
export interface AttestationRecord extends AttestationFact {
  proof: object | null;
}

/** One owner's attested availability for one model on one day of UTC. */
export interface Availability {
  day: string;
  owner: OwnerId;
  model: ModelKey;
  present: number;
  absent: number;
  /** Mean of the words that found it present; null where none did. */
  roundTripMs: number | null;
  /** Each word that found it present stands for the interval between two. */
  availableMs: number;
}

/** Signed words are kept for so long, sums for good. */
const PROOFS_KEPT_MS = 8 * 86_400_000;

export async function insertAttestations(
  trx: Transaction<Tables>,
  engine: Engine,
  words: readonly AttestationRecord[],
): Promise<void> {
  if (words.length === 0) return;
  const sums = new Map<string, Tables["availability"]>();
  for (const { at, owner, models, present, roundTripMs } of words) {
    const day = new Date(at).toISOString().slice(0, 10);
    for (const model of models) {
      const key = JSON.stringify([day, owner, model]);
      const sum = sums.get(key) ?? { day, owner, model, present: 0n, absent: 0n, round_trip_ms: 0n };
      sums.set(key, sum);
      sum[present ? "present" : "absent"] += 1n;
      if (present) sum.round_trip_ms += BigInt(roundTripMs);
    }
  }
  const rows = words.map(({ witness, at, by, owner, proof }) => {
    return { witness, at: BigInt(at), validator_owner: by, owner, proof: JSON.stringify(proof) };
  });
  await engine.insertRows(trx, "attestations", rows, "on conflict (witness) do nothing");
  await engine.insertRows(trx, "availability", [...sums.values()], addToAvailability);
  const newest = words.reduce((latest, { at }) => Math.max(latest, at), 0);
  await trx
    .deleteFrom("attestations")
    .where("at", "<", BigInt(newest - PROOFS_KEPT_MS))
    .execute();
}

const addToAvailability = `on conflict (day, owner, model) do update set ${["present", "absent", "round_trip_ms"]
  .map((column) => `${column} = availability.${column} + excluded.${column}`)
  .join(", ")}`;

export interface StoredAttestation {
  witness: string;
  at: Millis;
  /** Who gave the word. */
  by: OwnerId;
  owner: OwnerId;
  proof: object | null;
}

/** Newest first. */
export async function readAttestations(
  db: Kysely<Tables>,
  { owner, limit }: { owner: OwnerId; limit: number },
): Promise<StoredAttestation[]> {
  const query = db.selectFrom("attestations").selectAll().where("owner", "=", owner).orderBy("at", "desc");
  const rows = await query.orderBy("witness").limit(limit).execute();
  return rows.map((row) => ({
    witness: row.witness,
    at: Number(row.at),
    by: row.validator_owner as OwnerId,
    owner: row.owner as OwnerId,
    proof: JSON.parse(row.proof),
  }));
}

/** Days `from` to `to` of UTC, both included. */
export async function readAvailability(
  db: Kysely<Tables>,
  { from, to, owner }: { from: Millis; to: Millis; owner?: OwnerId },
): Promise<Availability[]> {
  const [first, last] = [from, to].map((at) => new Date(at).toISOString().slice(0, 10)) as [string, string];
  let query = db.selectFrom("availability").selectAll().where("day", ">=", first).where("day", "<=", last);
  if (owner !== undefined) query = query.where("owner", "=", owner);
  const rows = await query.orderBy("day").orderBy("owner").orderBy("model").execute();
  return rows.map((row) => {
    const [present, absent] = [Number(row.present), Number(row.absent)];
    return {
      day: row.day,
      owner: row.owner as OwnerId,
      model: row.model as ModelKey,
      present,
      absent,
      roundTripMs: present > 0 ? Number(row.round_trip_ms) / present : null,
      availableMs: present * limits.witnessEveryMs,
    };
  });
}
