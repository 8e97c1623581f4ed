import { randomBytes } from "node:crypto";
import type { Namespace, Socket } from "socket.io";
import type { z } from "zod";
import { failure, type TabgridError } from "../../shared/errors.ts";
import {
  type AssignmentId,
  type MinerId,
  type ModelKey,
  type OwnerId,
  ownerOf,
  type SessionId,
} from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import {
  type AccountUpdate,
  type ChainSignature,
  type Hello,
  type HelloAnswer,
  type HubToMiner,
  type MinerToHub,
  PROTOCOL_VERSION,
  preimages,
  protocolSchemas,
  type WireTensor,
} from "../../shared/protocol.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { Clock } from "../../shared/time.ts";
import type { HubEffect, HubEvent, Standing } from "../core/events.ts";
import { trustOf } from "../core/trust.ts";
import type { BlobStore } from "./blobs.ts";
import {
  asBuffer,
  commitmentOf,
  ed25519PublicKey,
  ephemeralKey,
  type HubKey,
  minerIdOf,
  sessionKeyOf,
  verifyEd25519,
} from "./identity.ts";
import { MinerLink } from "./miner-link.ts";
import { clientAddress, networkOf } from "./network.ts";
import { WitnessDesk, type WitnessEffect } from "./witness.ts";

/**
 * Namespace `/miner`: messages become hub events, hub effects become messages. Everything that arrives is parsed with the
 * protocol's schemas and authenticated here; the core only ever sees what passed. A refused message changes nothing.
 */

type MinerSocket = Socket<MinerToHub, HubToMiner>;
export type MinerEffect = Extract<
  HubEffect,
  { kind: "prepare" | "assign" | "cancel" | "refuse" | "kept" | "disconnect" | WitnessEffect["kind"] }
>;

export interface MinerSocketsOptions {
  namespace: Namespace<MinerToHub, HubToMiner>;
  hubKey: HubKey;
  blobs: BlobStore;
  clock: Clock;
  trusts: (address: string, hop: number) => boolean;
  report(event: HubEvent): void;
  /** What is known of an owner; remembers the identity. */
  admit(identity: { miner: MinerId; owner: OwnerId; publicKey: Uint8Array }): Promise<Standing | null>;
  goldenInputs(model: ModelKey): Tensor[][];
  /** Keeps a verified chain signature, the miner's own proof of its work. */
  keepChain(session: SessionId, miner: MinerId, chain: ChainSignature): void;
  warn(message: string, detail: Record<string, unknown>): void;
}

interface Connection {
  socket: MinerSocket;
  link: MinerLink;
  welcome: ((keep: AssignmentId[]) => void) | null;
}

/** A connection that only sends rubbish is closed after this many refusals. */
const REFUSALS_MAX = 100;

export class MinerSockets {
  readonly #options: MinerSocketsOptions;
  readonly #connections = new Map<SessionId, Connection>();
  readonly #byOwner = new Map<OwnerId, SessionId>();
  readonly witnesses = new WitnessDesk();
  /** Sessions that ended with unsigned results; their chains may still be signed in the next hello. */
  readonly #ended = new Map<SessionId, { link: MinerLink; until: number }>();

  constructor(options: MinerSocketsOptions) {
    this.#options = options;
    options.namespace.on("connection", (socket) => this.#connect(socket));
  }

  deliver(effect: MinerEffect): void {
    const connection = this.#connections.get(effect.session);
    if (!connection) return; // gone meanwhile: its lease ends by itself
    const { socket } = connection;
    switch (effect.kind) {
      case "prepare":
        return void socket.emit("prepare", this.#prepareMessage(effect));
      case "assign":
        return void socket.emit("assign", {
          model: effect.model,
          items: effect.items.map(({ assignment, inputs, mode, leaseMs }) => ({
            assignment,
            inputs: this.#toWire(inputs, effect.items.length),
            ...(mode !== "run" && { mode }),
            leaseMs,
          })),
        });
      case "cancel":
        return void socket.emit("cancel", { assignments: effect.assignments });
      case "refuse":
        return this.#refuse(socket, effect.event, effect.error, effect.assignment);
      case "kept":
        connection.welcome?.(effect.assignments);
        connection.welcome = null;
        return;
      case "disconnect":
        this.#refuse(socket, "hello", effect.error, null);
        return void socket.disconnect(true);
      default:
        return this.witnesses.deliver(effect, connection, this.#connections, this.#options.clock.now());
    }
  }

  sendAccount(owner: OwnerId, update: AccountUpdate): void {
    const session = this.#byOwner.get(owner);
    if (session) this.#connections.get(session)?.socket.emit("account", update);
  }

  allowsBlob(session: string, method: "GET" | "PUT", hash: string, token: string): Result<null, TabgridError> {
    const link = this.#connections.get(session as SessionId)?.link;
    if (link?.allowsBlob(method, hash, token)) return ok(null);
    return err(
      failure("bad-authentication", "no such session, or the token does not match", { field: "authorization" }),
    );
  }

  #prepareMessage({ model, runtime, probes = [] }: Extract<MinerEffect, { kind: "prepare" }>) {
    const at = model.lastIndexOf("@");
    const base = `/models/${model.slice(0, at)}/${model.slice(at + 1)}`;
    const inputs = [...this.#options.goldenInputs(model), ...probes];
    const vectors = inputs.map((vector) => this.#toWire(vector, limits.goldenVectors + limits.probeVectors));
    return { model, manifest: `${base}/manifest.json`, files: `${base}/files`, vectors, ...(runtime && { runtime }) };
  }

  /** Inline while the message stays small, else by blob. `sharing` items share one message. */
  #toWire(tensors: readonly Tensor[], sharing: number): WireTensor[] {
    let room = limits.inlineTensorBytes / Math.max(1, sharing);
    return tensors.map(({ name, dtype, shape, data }) => {
      room -= data.byteLength;
      if (room >= 0) return { name, dtype, shape, data: asBuffer(data) };
      return { name, dtype, shape, blob: this.#options.blobs.put(data) };
    });
  }

  #fromWire(tensors: readonly WireTensor[], field: string): Result<Tensor[], TabgridError> {
    const out: Tensor[] = [];
    for (const [index, { name, dtype, shape, data, blob }] of tensors.entries()) {
      const bytes = data ?? (blob && this.#options.blobs.get(blob));
      if (!bytes) {
        return err(
          failure("unknown-blob", "no such blob; put it before the result", {
            field: `${field}[${index}].blob`,
            got: blob ?? "",
          }),
        );
      }
      out.push({ name, dtype, shape, data: bytes });
    }
    return ok(out);
  }

  #refuse(socket: MinerSocket, event: string, error: TabgridError, assignment: string | null): void {
    socket.emit("refused", assignment === null ? { event, error } : { event, assignment, error });
    const refusals = ((socket.data as { refusals?: number }).refusals ?? 0) + 1;
    (socket.data as { refusals?: number }).refusals = refusals;
    if (refusals >= REFUSALS_MAX) socket.disconnect(true);
  }

  #connect(socket: MinerSocket): void {
    const nonce = new Uint8Array(randomBytes(32));
    const ephemeral = ephemeralKey();
    let greeted = false;
    const timeout = setTimeout(() => socket.disconnect(true), limits.helloTimeoutMs);
    socket.on("disconnect", () => clearTimeout(timeout));
    socket.on("hello", (message, answer) => {
      if (typeof answer !== "function") return;
      if (greeted)
        return answer({
          ok: false,
          error: failure("stale-nonce", "this connection has said hello already", { field: "hello" }),
        });
      const hello = this.#checkHello(message, nonce, ephemeral.publicKey);
      if (!hello.ok) return answer({ ok: false, error: hello.error });
      greeted = true;
      clearTimeout(timeout);
      this.#welcome(socket, hello.value, nonce, ephemeral.agree, answer).catch((error: Error) => {
        this.#options.warn("hello failed", { error: error.message });
        answer({ ok: false, error: failure("internal", "the hub could not take this miner in") });
        socket.disconnect(true);
      });
    });
    for (const event of ["status", "prepared", "prepareFailed", "result", "tokens", "failed", "chain"] as const) {
      const error = failure("unauthenticated", `${event} before hello`, { field: event, expected: "hello first" });
      socket.on(event, () => {
        if (!greeted) this.#refuse(socket, event, error, null);
      });
    }
    socket.emit("challenge", {
      protocol: PROTOCOL_VERSION,
      hubKey: asBuffer(this.#options.hubKey.publicKey),
      nonce: asBuffer(nonce),
      ephemeral: asBuffer(ephemeral.publicKey),
    });
  }

  #checkHello(message: unknown, nonce: Uint8Array, hubEphemeral: Uint8Array): Result<Hello, TabgridError> {
    const version = (message as { protocol?: unknown } | null)?.protocol;
    if (version !== PROTOCOL_VERSION) {
      return err(
        failure("protocol-mismatch", `this hub speaks protocol ${PROTOCOL_VERSION}; reload the page`, {
          field: "protocol",
          expected: String(PROTOCOL_VERSION),
          got: String(version),
        }),
      );
    }
    const parsed = parse(protocolSchemas.minerToHub.hello, message);
    if (!parsed.ok) return parsed;
    const hello = parsed.value;
    const preimage = preimages.hello(nonce, this.#options.hubKey.publicKey, hubEphemeral, hello.ephemeral);
    if (!verifyEd25519(ed25519PublicKey(hello.publicKey), preimage, hello.signature)) {
      return err(
        failure("bad-signature", "the hello is not signed by its key over this connection's nonce", {
          field: "signature",
          expected: "Ed25519 over the hello preimage",
        }),
      );
    }
    return ok(hello);
  }

  async #welcome(
    socket: MinerSocket,
    hello: Hello,
    nonce: Uint8Array,
    agree: (other: Uint8Array) => Uint8Array,
    answer: (answer: HelloAnswer) => void,
  ): Promise<void> {
    const { clock, report } = this.#options;
    const miner = minerIdOf(hello.publicKey);
    const owner = ownerOf(miner);
    const standing = await this.#options.admit({ miner, owner, publicKey: hello.publicKey });
    if (standing?.suspended) {
      const error = failure(
        "suspended",
        "this identity is suspended: its results differed from the reference too often",
      );
      answer({ ok: false, error });
      socket.disconnect(true);
      return;
    }
    if (!socket.connected) return;
    const session = `s_${randomBytes(16).toString("base64url")}` as SessionId;
    const key = sessionKeyOf(agree(hello.ephemeral), nonce, hello.publicKey);
    const link = new MinerLink({ session, miner, owner, publicKey: ed25519PublicKey(hello.publicKey), key });
    if (hello.previous) this.#signPrevious(link, hello.previous);
    const connection: Connection = { socket, link, welcome: null };
    connection.welcome = (keep) =>
      answer({ ok: true, welcome: { session, miner, owner, keep, trust: standing ? trustOf(standing) : 0.5 } });
    this.#connections.set(session, connection);
    this.#byOwner.set(owner, session);
    this.#listen(connection);
    const { role, device, slots } = hello;
    report({
      kind: "miner.joined",
      at: clock.now(),
      session,
      miner,
      owner,
      network: this.#networkOf(socket),
      role,
      device,
      slots,
      standing,
    });
  }

  #networkOf(socket: MinerSocket): string | null {
    const forwarded = socket.handshake.headers["x-forwarded-for"];
    const header = Array.isArray(forwarded) ? forwarded.join(",") : forwarded;
    return networkOf(clientAddress(socket.handshake.address, header, this.#options.trusts));
  }

  #signPrevious(now: MinerLink, previous: NonNullable<Hello["previous"]>): void {
    const ended = this.#ended.get(previous.session as SessionId);
    if (ended?.link.miner !== now.miner) return;
    this.#signChain(ended.link, previous.chain);
  }

  #signChain(link: MinerLink, chain: ChainSignature): Result<number, TabgridError> {
    const signed = link.sign(chain);
    if (signed.ok) {
      this.#options.keepChain(link.session, link.miner, chain);
      this.#options.report({
        kind: "chain.signed",
        at: this.#options.clock.now(),
        session: link.session,
        seq: chain.seq,
      });
    }
    return signed;
  }

  #listen(connection: Connection): void {
    const { socket, link } = connection;
    const { clock, report } = this.#options;
    const { session } = link;
    const on = <Schema extends z.ZodType>(
      event: keyof MinerToHub,
      schema: Schema,
      handle: (message: z.infer<Schema>) => void,
    ) => {
      socket.on(event, ((message: unknown) => {
        const parsed = parse(schema, message);
        if (parsed.ok) handle(parsed.value);
        else this.#refuse(socket, event, parsed.error, null);
      }) as never);
    };
    const { minerToHub } = protocolSchemas;
    on("status", minerToHub.status, ({ accepting, slots, reason, resident }) =>
      report({
        kind: "miner.status",
        at: clock.now(),
        session,
        accepting,
        slots,
        reason: reason ?? null,
        resident: resident as ModelKey[],
      }),
    );
    on("prepared", minerToHub.prepared, ({ model, outputs, loadMs, runMs, runtime }) => {
      const vectors: Tensor[][] = [];
      for (const [index, wire] of outputs.entries()) {
        const tensors = this.#fromWire(wire, `outputs[${index}]`);
        if (!tensors.ok) return this.#refuse(socket, "prepared", tensors.error, null);
        vectors.push(tensors.value);
      }
      const fixed = this.#options.goldenInputs(model as ModelKey).length;
      report({
        kind: "miner.prepared",
        at: clock.now(),
        session,
        model: model as ModelKey,
        outputs: vectors,
        digest: digestOf(vectors.slice(0, fixed)),
        ...(vectors.length > fixed && { renewed: digestOf(vectors.slice(fixed)) }),
        loadMs,
        runMs,
        runtime,
      });
    });
    on("prepareFailed", minerToHub.prepareFailed, ({ model, fault, message }) =>
      report({ kind: "miner.prepare-failed", at: clock.now(), session, model: model as ModelKey, fault, message }),
    );
    on("result", minerToHub.result, ({ items }) => {
      for (const [index, item] of items.entries()) {
        const outputs = this.#fromWire(item.outputs, `items[${index}].outputs`);
        if (!outputs.ok) return this.#refuse(socket, "result", outputs.error, item.assignment);
        const commitment = link.admit(item, outputs.value);
        if (!commitment.ok) return this.#refuse(socket, "result", commitment.error, item.assignment);
        report({
          kind: "result",
          at: clock.now(),
          session,
          assignment: item.assignment as AssignmentId,
          seq: item.seq,
          outputs: outputs.value,
          commitment: commitment.value.toString("hex"),
          computeMs: item.computeMs,
        });
      }
    });
    on("tokens", minerToHub.tokens, ({ items }) => {
      for (const item of items) {
        const stream = link.tokens.admit(item);
        const assignment = item.assignment as AssignmentId;
        // Each is a stream of its own: one that is refused stops no other.
        if (!stream.ok) this.#refuse(socket, "tokens", stream.error, assignment);
        else report({ kind: "tokens", at: clock.now(), session, assignment, position: item.position, ...stream.value });
      }
    });
    on("failed", minerToHub.failed, ({ assignments, fault, message }) =>
      report({
        kind: "assignments.failed",
        at: clock.now(),
        session,
        assignments: assignments as AssignmentId[],
        fault,
        message,
      }),
    );
    on("chain", minerToHub.chain, (chain) => {
      const signed = this.#signChain(link, chain);
      if (!signed.ok) this.#refuse(socket, "chain", signed.error, null);
    });
    for (const event of ["nonce", "witnessed", "attested"] as const) {
      on(event, minerToHub[event], (message) => {
        const heard = this.witnesses[event](link, message as never, clock.now());
        if (!heard.ok) this.#refuse(socket, event, heard.error, null);
        else if (heard.value) report(heard.value);
      });
    }
    socket.on("disconnect", () => this.#lost(connection));
  }

  #lost({ link }: Connection): void {
    const now = this.#options.clock.now();
    this.#connections.delete(link.session);
    if (this.#byOwner.get(link.owner) === link.session) this.#byOwner.delete(link.owner);
    for (const [session, { until }] of this.#ended) if (until <= now) this.#ended.delete(session);
    if (link.unsignedResults > 0) this.#ended.set(link.session, { link, until: now + limits.chainGraceMs });
    this.#options.report({ kind: "miner.lost", at: now, session: link.session });
  }
}

const digestOf = (vectors: Tensor[][]): string => commitmentOf(vectors.flat()).toString("hex");

/** The first fault of a message, with its path and what was expected there. */
function parse<Schema extends z.ZodType>(schema: Schema, message: unknown): Result<z.infer<Schema>, TabgridError> {
  const parsed = schema.safeParse(message);
  if (parsed.success) return ok(parsed.data);
  const issue = parsed.error.issues[0];
  const field = issue?.path.reduce<string>(
    (at, key) => (typeof key === "number" ? `${at}[${key}]` : `${at}${at && "."}${String(key)}`),
    "",
  );
  return err(
    failure("malformed-message", `${field || "message"}: ${issue?.message ?? "invalid"}`, {
      field: field || "message",
      expected: issue?.message,
    }),
  );
}
