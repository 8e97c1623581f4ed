import {
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
  sign,
  verify,
} from "node:crypto";
import { EventEmitter, once } from "node:events";
import { io, type Socket } from "socket.io-client";
import * as msgpack from "socket.io-msgpack-parser";
import {
  type AccountUpdate,
  type Assign,
  type Attest,
  type Challenge,
  type Device,
  type HelloAnswer,
  type HubToMiner,
  type MinerToHub,
  PROTOCOL_VERSION,
  type Prepare,
  preimages,
  type Refused,
  type SessionRole,
  type Testimony,
  type Welcome,
  type WireTensor,
} from "../../shared/protocol.ts";
import { canonicalBytes, type Tensor } from "../../shared/tensor.ts";

/**
 * A miner without a browser: the protocol of docs/protocol.md on plain node:crypto, with the computing passed in. The
 * journey test, the socket tests and the load bench drive the hub with it; it shares no code with the real client.
 */
export interface WireMinerOptions {
  url: string;
  compute(model: string, inputs: Tensor[]): Promise<Tensor[]> | Tensor[];
  /** Makes and scores texts; `emit` streams outputs of a `generate` of further tokens. */
  text?(
    mode: "generate" | "score",
    inputs: Tensor[],
    emit: (outputs: Tensor[]) => void,
    model: string,
  ): Promise<Tensor[]> | Tensor[];
  role?: SessionRole;
  device?: Partial<Device>;
  slots?: number;
  /** Sent as X-Forwarded-For, for hubs that trust it. */
  address?: string;
  /** How long a result waits for its signature; short, so that tests need not wait for pay. */
  chainEveryMs?: number;
}

const testDevice: Device = {
  runtime: "wasm",
  adapter: "node",
  fallback: false,
  features: [],
  memoryBytes: 4 * 1024 ** 3,
  agent: "wire-miner",
  ortVersion: "1.30.0",
};

/** Binary is sent as Buffer: only that is plain MessagePack `bin` in this parser on Node. */
const raw = (key: ReturnType<typeof createPublicKey>): Buffer =>
  Buffer.from(key.export({ format: "jwk" }).x as string, "base64url");
const wire = (tensors: readonly Tensor[]) =>
  tensors.map((tensor) => ({
    ...tensor,
    data: Buffer.from(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength),
  }));

/** Events: `prepared` (model), `assigned` (Assign), `account` (AccountUpdate), `refused` (Refused), `disconnect`. */
export class WireMiner extends EventEmitter {
  readonly identity = generateKeyPairSync("ed25519");
  readonly publicKey = raw(this.identity.publicKey);
  readonly refusals: Refused[] = [];
  account: AccountUpdate | null = null;
  welcome: Welcome | null = null;
  /** Computes and answers assignments by itself; a test may set it to false and answer by hand. */
  automatic = true;
  socket: Socket<HubToMiner, MinerToHub> | null = null;
  sessionKey: Uint8Array = new Uint8Array(32);
  seq = 0;
  link: Buffer = Buffer.alloc(32);
  readonly resident = new Set<string>();
  readonly #options: WireMinerOptions;
  readonly #asked = new Map<string, { subject: Attest; nonce: Uint8Array; since: number }>();
  #streams = new Map<string, { position: number; hash: Buffer }>();
  #unsigned = 0;
  #chainTimer: NodeJS.Timeout | null = null;
  #previous: { session: string; chain: ReturnType<WireMiner["chainSignature"]> } | null = null;

  constructor(options: WireMinerOptions) {
    super();
    this.#options = options;
  }

  /** Opens a connection and waits for its challenge; nothing is said yet. */
  async open(): Promise<Challenge> {
    const socket: Socket<HubToMiner, MinerToHub> = io(`${this.#options.url}/miner`, {
      parser: msgpack,
      transports: ["websocket"],
      reconnection: false,
      forceNew: true,
      ...(this.#options.address && { extraHeaders: { "x-forwarded-for": this.#options.address } }),
    });
    this.socket = socket;
    socket.on("prepare", (message) => void this.#prepare(message).catch((error) => this.emit("error", error)));
    socket.on("assign", (message) => void this.#assign(message).catch((error) => this.emit("error", error)));
    socket.on("account", (account) => {
      this.account = account;
      this.emit("account", account);
    });
    socket.on("refused", (refused) => {
      this.refusals.push(refused);
      this.emit("refused", refused);
    });
    socket.on("disconnect", () => this.emit("disconnect"));
    socket.on("witness", ({ witness, nonce }) => {
      const preimage = preimages.witness(this.welcome?.session ?? "", nonce);
      socket.emit("witnessed", { witness, signature: sign(null, preimage, this.identity.privateKey) });
    });
    socket.on("attest", (subject) => {
      const nonce = randomBytes(32);
      this.#asked.set(subject.witness, { subject, nonce, since: performance.now() });
      socket.emit("nonce", { witness: subject.witness, nonce });
    });
    socket.on("testimony", (said) => this.#attest(said));
    return new Promise((resolve, reject) => {
      socket.once("challenge", resolve);
      socket.once("connect_error", reject);
    });
  }

  /** Resolves when welcomed; rejects with the hub's error. */
  async connect(): Promise<Welcome> {
    const challenge = await this.open();
    const answer = await this.hello(challenge);
    if (!answer.ok) throw Object.assign(new Error(answer.error.message), { error: answer.error });
    this.welcome = answer.welcome;
    this.seq = 0;
    this.#unsigned = 0;
    this.#previous = null;
    this.link = sha256(preimages.chainStart(answer.welcome.session));
    this.status(true);
    return answer.welcome;
  }

  /** Says hello; `change` lets a test say something else than it should. */
  hello(challenge: Challenge, change: Record<string, unknown> = {}): Promise<HelloAnswer> {
    const ephemeral = generateKeyPairSync("x25519");
    const ephemeralPublic = raw(ephemeral.publicKey);
    const hubEphemeral = createPublicKey({
      key: { kty: "OKP", crv: "X25519", x: Buffer.from(challenge.ephemeral).toString("base64url") },
      format: "jwk",
    });
    const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey: hubEphemeral });
    this.sessionKey = new Uint8Array(
      hkdfSync("sha256", shared, challenge.nonce, preimages.sessionInfo(this.publicKey), 32),
    );
    const preimage = preimages.hello(challenge.nonce, challenge.hubKey, challenge.ephemeral, ephemeralPublic);
    const hello = {
      protocol: PROTOCOL_VERSION,
      publicKey: this.publicKey,
      ephemeral: ephemeralPublic,
      signature: sign(null, preimage, this.identity.privateKey),
      role: this.#options.role ?? "miner",
      device: { ...testDevice, ...this.#options.device },
      slots: this.#options.slots ?? 1,
      ...(this.#previous && { previous: this.#previous }),
      ...change,
    };
    return new Promise((resolve) => this.socket?.emit("hello", hello, resolve));
  }

  #attest({ witness, signature }: Testimony): void {
    const asked = this.#asked.get(witness);
    if (!asked) return;
    this.#asked.delete(witness);
    const { session, publicKey } = asked.subject;
    const key = createPublicKey({
      key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(publicKey).toString("base64url") },
      format: "jwk",
    });
    const present = verify(null, preimages.witness(session, asked.nonce), key, signature);
    const word = { present, roundTripMs: Math.ceil(performance.now() - asked.since), at: Date.now() };
    const preimage = preimages.attestation(publicKey, asked.nonce, word);
    this.socket?.emit("attested", { witness, ...word, signature: sign(null, preimage, this.identity.privateKey) });
  }

  status(accepting: boolean): void {
    this.socket?.emit("status", { accepting, slots: this.#options.slots ?? 1, resident: [...this.resident] });
  }

  /** One result, numbered and authenticated; `change` lets a test spoil it. */
  answer(assignment: string, outputs: Tensor[], change: Record<string, unknown> = {}): void {
    const commitment = commitmentOf(outputs);
    const seq = this.seq + 1;
    const preimage = preimages.result(assignment, seq, commitment);
    const mac = createHmac("sha256", this.sessionKey).update(preimage).digest();
    const item = { assignment, seq, outputs: wire(outputs), mac, computeMs: 1, ...change };
    if (Object.keys(change).length === 0) {
      this.seq = seq;
      this.link = sha256(preimages.chainLink(this.link, assignment, commitment));
      this.#unsigned++;
    }
    this.socket?.emit("result", { items: [item] });
    if (this.#unsigned >= 64) this.signChain();
    else this.#chainTimer ??= setTimeout(() => this.signChain(), this.#options.chainEveryMs ?? 200);
  }

  /** Tokens as they come, after those that were streamed before; `change` lets a test spoil them. */
  stream(assignment: string, part: Tensor[], change: Record<string, unknown> = {}): void {
    const bytesOf = (name: string) => Buffer.from(part.find((one) => one.name === name)?.data ?? []);
    const [tokens, logProbabilities] = [bytesOf("tokens"), bytesOf("log_probabilities")];
    const before = this.#streams.get(assignment) ?? { position: 0, hash: sha256(preimages.tokensStart(assignment)) };
    const hash = sha256(preimages.tokensLink(before.hash, tokens, logProbabilities));
    const { position } = before;
    const mac = createHmac("sha256", this.sessionKey)
      .update(preimages.tokens(assignment, position, hash))
      .digest();
    this.#streams.set(assignment, { position: position + tokens.byteLength / 4, hash });
    this.socket?.emit("tokens", { items: [{ assignment, position, tokens, logProbabilities, mac, ...change }] });
  }

  chainSignature() {
    const session = this.welcome?.session ?? "";
    const preimage = preimages.chainSignature(session, this.seq, this.link);
    return {
      seq: this.seq,
      link: this.link,
      signature: sign(null, preimage, this.identity.privateKey),
    };
  }

  signChain(): void {
    if (this.#chainTimer) clearTimeout(this.#chainTimer);
    this.#chainTimer = null;
    if (this.#unsigned === 0) return;
    this.#unsigned = 0;
    this.socket?.emit("chain", this.chainSignature());
  }

  /** Drops the connection without a word; `connect` again resumes with the same identity. */
  async drop(): Promise<void> {
    if (this.#chainTimer) clearTimeout(this.#chainTimer);
    this.#chainTimer = null;
    if (this.#unsigned > 0) this.#previous = { session: this.welcome?.session ?? "", chain: this.chainSignature() };
    const { socket } = this;
    if (!socket?.connected) return;
    const gone = once(this, "disconnect");
    socket.disconnect();
    await gone;
  }

  async #prepare(message: Prepare): Promise<void> {
    const outputs: Tensor[][] = [];
    const started = performance.now();
    for (const vector of message.vectors) {
      outputs.push(
        await this.#options.compute(message.model, await Promise.all(vector.map((tensor) => this.#toTensor(tensor)))),
      );
    }
    const runMs = (performance.now() - started) / Math.max(1, outputs.length);
    this.resident.add(message.model);
    this.socket?.emit("prepared", { model: message.model, outputs: outputs.map(wire), loadMs: 0, runMs });
    this.emit("prepared", message.model);
  }

  async #assign(message: Assign): Promise<void> {
    this.emit("assigned", message);
    if (!this.automatic) return;
    for (const { assignment, inputs, mode = "run" } of message.items) {
      const tensors = await Promise.all(inputs.map((tensor) => this.#toTensor(tensor)));
      const { text, compute } = this.#options;
      if (mode !== "run" && !text) continue;
      const emit = (part: Tensor[]) => this.stream(assignment, part);
      const outputs = mode === "run" ? compute(message.model, tensors) : text?.(mode, tensors, emit, message.model);
      this.answer(assignment, (await outputs) as Tensor[]);
    }
  }

  async #toTensor({ name, dtype, shape, data, blob }: WireTensor): Promise<Tensor> {
    if (data) return { name, dtype, shape, data };
    const token = createHmac("sha256", this.sessionKey)
      .update(preimages.blob("GET", blob as string))
      .digest("hex");
    const headers = { "x-tabgrid-session": this.welcome?.session ?? "", authorization: `Tabgrid ${token}` };
    const reply = await fetch(`${this.#options.url}/miner/blobs/${blob}`, { headers });
    if (!reply.ok) throw new Error(`blob ${blob}: ${reply.status}`);
    return { name, dtype, shape, data: new Uint8Array(await reply.arrayBuffer()) };
  }
}

const sha256 = (data: Uint8Array): Buffer => createHash("sha256").update(data).digest();

export function commitmentOf(tensors: readonly Tensor[]): Uint8Array {
  const hash = createHash("sha256");
  for (const piece of canonicalBytes(tensors)) hash.update(piece);
  return new Uint8Array(hash.digest());
}
