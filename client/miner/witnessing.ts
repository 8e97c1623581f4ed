import { limits } from "../../shared/limits.ts";
import { type Attest, preimages, type Testimony, type WitnessNonce } from "../../shared/protocol.ts";
import type { HubSocket } from "./hub-socket.ts";
import type { Identity } from "./identity.ts";

/**
 * Both ends of an attested availability (docs/protocol.md, "Attested availability"). As a miner: signs a nonce that a
 * validator made. As a validator: makes one, and gives its word on whether and how soon the signature came. Answers go past
 * the queue of results: how long an upload takes says nothing about whether the key is there.
 */
export class Witnessing {
  readonly #session: string;
  readonly #identity: Identity;
  readonly #send: HubSocket["send"];
  /** What this validator waits for, by witness. */
  readonly #open = new Map<string, { subject: Attest; nonce: Uint8Array; since: number; timer: number }>();

  constructor(session: string, identity: Identity, send: HubSocket["send"]) {
    this.#session = session;
    this.#identity = identity;
    this.#send = send;
  }

  /** The hub passes on a validator's nonce. */
  async sign({ witness, nonce }: WitnessNonce): Promise<void> {
    const signature = await this.#identity.sign(preimages.witness(this.#session, nonce));
    this.#send("witnessed", { witness, signature });
  }

  /** The hub asks whether the miner with this key is there. */
  ask(subject: Attest): void {
    const { witness } = subject;
    const nonce = crypto.getRandomValues(new Uint8Array(32));
    const timer = setTimeout(() => void this.#conclude(witness, false), limits.witnessAnswerMs) as unknown as number;
    this.#open.set(witness, { subject, nonce, since: performance.now(), timer });
    this.#send("nonce", { witness, nonce });
  }

  /** The miner's signature, which is worth what its key says. */
  async hear({ witness, signature }: Testimony): Promise<void> {
    const asked = this.#open.get(witness);
    if (!asked) return;
    const { session, publicKey } = asked.subject;
    const heardAt = performance.now();
    const key = await crypto.subtle.importKey("raw", new Uint8Array(publicKey), "Ed25519", false, ["verify"]);
    const said = preimages.witness(session, asked.nonce);
    const present = await crypto.subtle.verify("Ed25519", key, new Uint8Array(signature), said);
    await this.#conclude(witness, present, heardAt);
  }

  async #conclude(witness: string, present: boolean, heardAt = performance.now()): Promise<void> {
    const asked = this.#open.get(witness);
    if (!asked) return;
    this.#open.delete(witness);
    clearTimeout(asked.timer);
    const word = { present, roundTripMs: Math.ceil(heardAt - asked.since), at: Date.now() };
    const signature = await this.#identity.sign(preimages.attestation(asked.subject.publicKey, asked.nonce, word));
    this.#send("attested", { witness, ...word, signature });
  }

  /** The connection is gone: nobody waits for a word. */
  end(): void {
    for (const { timer } of this.#open.values()) clearTimeout(timer);
    this.#open.clear();
  }
}
