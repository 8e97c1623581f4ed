import type { Socket } from "socket.io";
import { failure, type TabgridError } from "../../shared/errors.ts";
import type { SessionId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import {
  type Attested,
  type HubToMiner,
  type MinerToHub,
  preimages,
  type Testimony,
  type WitnessNonce,
} from "../../shared/protocol.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Millis } from "../../shared/time.ts";
import type { HubEffect } from "../core/events.ts";
import type { WitnessEvent } from "../core/witness.ts";
import { asBuffer, rawPublicKey, verifyEd25519 } from "./identity.ts";
import type { MinerLink } from "./miner-link.ts";

/**
 * The cryptography of attested availability: what miner and validator sign is verified here, so that the core hears only
 * what is true, and kept with its word as the proof. A message of a challenge that is over crossed its end: it is dropped.
 */
export type WitnessEffect = Extract<HubEffect, { kind: "witness-ask" | "witness-relay" | "witness-answer" }>;

/** All that a third party needs to verify a validator's word; bytes as base64url. */
export interface AttestationProof {
  witness: string;
  /** Of the miner, and who it is. */
  session: SessionId;
  miner: string;
  publicKey: string;
  validator: string;
  nonce: string;
  /** The miner's signature; null where none came. */
  testimony: string | null;
  present: boolean;
  roundTripMs: number;
  /** By the validator's clock. */
  at: Millis;
  signature: string;
}

interface Connected {
  socket: Socket<MinerToHub, HubToMiner>;
  link: MinerLink;
}

interface Challenge {
  subject: MinerLink;
  validator: MinerLink;
  nonce: Uint8Array | null;
  testimony: Uint8Array | null;
  askedAt: Millis;
}

export class WitnessDesk {
  readonly #challenges = new Map<string, Challenge>();
  readonly #proofs = new Map<string, AttestationProof>();

  /** Sends on what the core relays. */
  deliver(effect: WitnessEffect, to: Connected, connections: ReadonlyMap<SessionId, Connected>, now: Millis): void {
    const { kind, witness } = effect;
    if (kind === "witness-relay") to.socket.emit("witness", { witness, nonce: asBuffer(effect.nonce) });
    else if (kind === "witness-answer") {
      to.socket.emit("testimony", { witness, signature: asBuffer(effect.signature) });
    } else {
      const subject = connections.get(effect.subject)?.link;
      if (!subject) return; // just gone: the challenge lapses
      this.#open(witness, subject, to.link, now);
      const publicKey = asBuffer(rawPublicKey(subject.publicKey));
      to.socket.emit("attest", { witness, session: subject.session, publicKey });
    }
  }

  #open(witness: string, subject: MinerLink, validator: MinerLink, now: Millis): void {
    for (const [old, { askedAt }] of this.#challenges) {
      if (askedAt + limits.witnessOpenMs > now) break; // in the order in which they were asked
      this.#challenges.delete(old);
    }
    this.#challenges.set(witness, { subject, validator, nonce: null, testimony: null, askedAt: now });
  }

  nonce(from: MinerLink, { witness, nonce }: WitnessNonce, at: Millis): Result<WitnessEvent | null, TabgridError> {
    const challenge = this.#challenges.get(witness);
    if (!challenge) return ok(null);
    if (challenge.validator !== from) return err(notYours(witness));
    if (challenge.nonce) return err(failure("wrong-state", "one nonce a challenge", { field: "nonce" }));
    challenge.nonce = nonce;
    return ok({ kind: "witness.nonce", at, session: from.session, witness, nonce });
  }

  witnessed(from: MinerLink, said: Testimony, at: Millis): Result<WitnessEvent | null, TabgridError> {
    const { witness, signature } = said;
    const challenge = this.#challenges.get(witness);
    if (!challenge) return ok(null);
    if (challenge.subject !== from || !challenge.nonce) return err(notYours(witness));
    if (!verifyEd25519(from.publicKey, preimages.witness(from.session, challenge.nonce), signature)) {
      return err(failure("bad-signature", "the nonce is not signed by this miner's key", { field: "signature" }));
    }
    challenge.testimony = signature;
    return ok({ kind: "witness.signed", at, session: from.session, witness, signature });
  }

  attested(from: MinerLink, word: Attested, at: Millis): Result<WitnessEvent | null, TabgridError> {
    const { witness, present, roundTripMs, signature } = word;
    const challenge = this.#challenges.get(witness);
    if (!challenge) return ok(null);
    const { subject, validator, nonce, testimony } = challenge;
    if (validator !== from || !nonce) return err(notYours(witness));
    const publicKey = rawPublicKey(subject.publicKey);
    if (!verifyEd25519(from.publicKey, preimages.attestation(publicKey, nonce, word), signature)) {
      return err(failure("bad-signature", "the word is not signed by this validator's key", { field: "signature" }));
    }
    this.#challenges.delete(witness);
    this.#proofs.set(witness, {
      witness,
      session: subject.session,
      miner: subject.miner,
      publicKey: text(publicKey),
      validator: from.miner,
      nonce: text(nonce),
      testimony: testimony && text(testimony),
      present,
      roundTripMs,
      at: word.at,
      signature: text(signature),
    });
    if (this.#proofs.size > PROOFS_KEPT) this.#proofs.delete(this.#proofs.keys().next().value as string);
    return ok({ kind: "witness.attested", at, session: from.session, witness, present, roundTripMs });
  }

  /** Of a word that the core let stand; given once. */
  takeProof(witness: string): AttestationProof | null {
    const proof = this.#proofs.get(witness) ?? null;
    this.#proofs.delete(witness);
    return proof;
  }
}

/** Words on their way through the core; those that it does not let stand are pushed out by later ones. */
const PROOFS_KEPT = 1_000;

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");

const notYours = (witness: string): TabgridError =>
  failure("forbidden", "this challenge does not wait for that from you", { field: "witness", got: witness });
