import { limits } from "../../shared/limits.ts";
import {
  type Challenge,
  type Hello,
  type HelloAnswer,
  type MinerToHub,
  PROTOCOL_VERSION,
  type Prepared,
  type ResultMessage,
} from "../../shared/protocol.ts";
import type { Tensor } from "../../shared/tensor.ts";
import { inlineBytesOf, toWireTensors } from "./blobs.ts";
import { dialHub, type HubHandlers, type HubSocket } from "./hub-socket.ts";
import { answerChallenge, type Identity } from "./identity.ts";
import { createSeal, type Seal } from "./seal.ts";
import type { TokenChunk } from "./token-stream.ts";
import { Witnessing } from "./witnessing.ts";

/** Answered here: no decision of the miner's is in it. */
type WitnessEvent = "attest" | "witness" | "testimony";

/** A result before it is numbered and authenticated. */
export interface UnsealedResult {
  assignment: string;
  outputs: Tensor[];
  computeMs: number;
  /** Of `outputs`. */
  commitment: Uint8Array;
}

/** A Socket.IO server drops messages that it reads in the same moment as the end of their connection. */
const LINGER_MS = 250;

/**
 * One connection with its session key. MACs and signatures are made asynchronously, so everything that leaves goes through
 * one queue: messages keep their order, results that of their `seq`, and hanging up comes last.
 */
export class HubLink {
  readonly #socket: HubSocket;
  readonly #identity: Identity;
  readonly #lost: (reason: string) => void;
  #challenge: Challenge | null = null;
  #queue: Promise<void> = Promise.resolve();
  #hangingUp = false;
  #closed = false;
  #witnessing: Witnessing | null = null;
  seal: Seal | null = null;

  constructor(origin: string, identity: Identity, handlers: Omit<HubHandlers, WitnessEvent>) {
    this.#identity = identity;
    const open =
      <Args extends unknown[]>(handle: (...args: Args) => void) =>
      (...args: Args) => {
        if (!this.#hangingUp) handle(...args);
      };
    const guarded = Object.fromEntries(Object.entries(handlers).map(([name, handle]) => [name, open(handle as never)]));
    this.#lost = open(handlers.lost);
    this.#socket = dialHub(origin, {
      ...(guarded as unknown as Omit<HubHandlers, WitnessEvent>),
      witness: open((message) => void this.#witnessing?.sign(message)),
      attest: open((message) => this.#witnessing?.ask(message)),
      testimony: open((message) => void this.#witnessing?.hear(message)),
      challenge: open((challenge) => {
        this.#challenge = challenge;
        handlers.challenge(challenge);
      }),
    });
  }

  /** Answers the challenge. `previous` is an earlier session whose last results are not signed yet. */
  async greet(who: Pick<Hello, "role" | "device" | "slots">, previous: Seal | null): Promise<HelloAnswer | null> {
    if (!this.#challenge) return null;
    const { proof, sessionKey } = await answerChallenge(this.#identity, this.#challenge);
    const unsigned = previous && previous.unsigned > 0 ? previous : null;
    const answer = await this.#socket.hello({
      protocol: PROTOCOL_VERSION,
      ...proof,
      ...who,
      ...(unsigned && { previous: { session: unsigned.session, chain: await unsigned.signChain() } }),
    });
    if (this.#hangingUp) return null;
    if (answer.ok) {
      const { session } = answer.welcome;
      this.seal = createSeal(session, sessionKey, this.#identity);
      this.#witnessing = new Witnessing(session, this.#identity, this.#socket.send);
    }
    return answer;
  }

  send<Event extends Exclude<keyof MinerToHub, "hello">>(
    event: Event,
    message: Parameters<MinerToHub[Event]>[0],
  ): void {
    this.#enqueue(() => this.#socket.send(event, message));
  }

  sendPrepared({ outputs, ...message }: Omit<Prepared, "outputs"> & { outputs: Tensor[][] }): void {
    this.#enqueue(async (seal) => {
      const sent: Prepared = { ...message, outputs: [] };
      let inlineBytes: number = limits.inlineTensorBytes;
      for (const tensors of outputs) {
        const wire = await toWireTensors(tensors, seal, inlineBytes);
        if (!wire.ok) throw new Error(wire.error);
        inlineBytes -= inlineBytesOf(wire.value);
        sent.outputs.push(wire.value);
      }
      this.#socket.send("prepared", sent);
    });
  }

  sendResults(results: { seq: number; result: UnsealedResult }[]): void {
    this.#enqueue(async (seal) => {
      let items: ResultMessage["items"] = [];
      let bytes = 0;
      for (const { seq, result } of results) {
        const { assignment, computeMs, commitment } = result;
        const outputs = await toWireTensors(result.outputs, seal);
        if (!outputs.ok) throw new Error(outputs.error);
        const mac = await seal.seal(assignment, seq, commitment);
        const inline = inlineBytesOf(outputs.value);
        if (items.length > 0 && bytes + inline > limits.inlineTensorBytes) {
          this.#socket.send("result", { items });
          [items, bytes] = [[], 0];
        }
        items.push({ assignment, seq, outputs: outputs.value, mac, computeMs });
        bytes += inline;
      }
      if (items.length > 0) this.#socket.send("result", { items });
    });
  }

  sendTokens(chunks: readonly TokenChunk[]): void {
    this.#enqueue(async (seal) => {
      const items = await Promise.all(
        chunks.map(async ({ hash, ...chunk }) => ({
          ...chunk,
          mac: await seal.sealTokens(chunk.assignment, chunk.position, hash),
        })),
      );
      for (let at = 0; at < items.length; at += limits.assignmentsPerMessage) {
        this.#socket.send("tokens", { items: items.slice(at, at + limits.assignmentsPerMessage) });
      }
    });
  }

  sign(): void {
    this.#enqueue(async (seal) => this.#socket.send("chain", await seal.signChain()));
  }

  /** After everything above has left; nothing more is heard from here on. */
  hangUp(): void {
    this.#hangingUp = true;
    void this.#queue.then(() => setTimeout(() => this.drop(), LINGER_MS));
  }

  /** The socket is gone, or nothing more of it is wanted. */
  drop(): void {
    this.#hangingUp = true;
    this.#closed = true;
    this.#witnessing?.end();
    this.#socket.close();
  }

  /** What cannot be sent (a blob that the hub did not take) ends the link: the next one sends again what the hub kept. */
  #enqueue(task: (seal: Seal) => void | Promise<void>): void {
    this.#queue = this.#queue.then(async () => {
      if (this.#closed || !this.seal) return;
      try {
        await task(this.seal);
      } catch (error) {
        this.#lost(error instanceof Error ? error.message : String(error));
      }
    });
  }
}
