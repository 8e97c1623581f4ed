import { mkdtemp, rm } from "node:fs/promises";
import { createServer, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import { type Manifest, manifestSchema } from "../../models/manifest.ts";
import { failure, type TabgridError } from "../../shared/errors.ts";
import type { AccountId, CaseId, CustomerId, ReceiptId, TaskId } from "../../shared/ids.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { type TensorSpec, totalBytes } from "../../shared/tensor.ts";
import { systemClock } from "../../shared/time.ts";
import { AgentDesk } from "../agents/desk.ts";
import type { CaseDesk } from "../cases/cases.ts";
import type {
  CaseDetail,
  Gateway,
  ImportRequest,
  InferRequest,
  ModelStatus,
  RegisterRequest,
  TaskView,
} from "../gateway/gateway.ts";
import { openStore } from "../store/open.ts";
import { type ApiConfig, createApi } from "./app.ts";
import { hashKey, KeyRing } from "./auth.ts";
import { createOpenAi } from "./openai/openai.ts";
import { defaultRateLimits } from "./rate-limit.ts";
import { scriptedEmbedding, scriptedText, type TextScript, textScript, vectors } from "./scripted-text.ts";

/** A gateway that answers from fixed values and echoes tensors, so that the API's tests see HTTP and nothing else. */

export const keys = { ann: "ann-key-0123456789", bob: "bob-key-0123456789", operator: "operator-token-0123456789" };
export const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

export function manifestOf(id: string, specs: TensorSpec[], more: Partial<Manifest> = {}): Manifest {
  return manifestSchema.parse({
    schema: 1,
    id,
    version: "1.0",
    title: id,
    description: "",
    task: "tensor",
    dtype: "fp32",
    opset: 14,
    files: [{ path: "model.onnx", role: "graph", sha256: "ab".repeat(32), bytes: 10 }],
    inputs: specs,
    outputs: specs.map(({ name, dtype, shape }) => ({ name: `${name}_out`, dtype, shape })),
    batch: { limit: 4, dimension: null, rowsIndependent: false },
    comparator: { kind: "dense", relL2Pass: 1e-4, relL2Fail: 1e-2, abs: 1e-5, rel: 1e-4 },
    work: { kind: "affine", base: 0, perRow: 2_000_000_000 },
    memoryBytes: 1,
    licence: "Apache-2.0",
    creator: "Tabgrid",
    royaltyBasisPoints: 0,
    ...more,
  });
}

/** float32 in 0–8, int64 and bool, `n` rows of each. */
export const mixed = manifestOf("mixed", [
  { name: "pixels", dtype: "float32", shape: ["n", 2] },
  { name: "ids", dtype: "int64", shape: ["n"] },
  { name: "flags", dtype: "bool", shape: ["n"] },
]);
mixed.inputs[0] = { name: "pixels", dtype: "float32", shape: ["n", 2], range: [0, 8] };
export const half = manifestOf("half", [{ name: "h", dtype: "float16", shape: [2] }]);
export const strict = manifestOf("single", [{ name: "x", dtype: "float32", shape: ["n"] }]);
const idle = manifestOf("idle", [{ name: "x", dtype: "float32", shape: ["n"] }], {
  version: "2.0",
  work: { kind: "by-shape" },
});

const annTask: TaskView = {
  task: "t_ann" as TaskId,
  customer: "c_ann" as CustomerId,
  model: "mixed@1.0",
  level: "verified",
  state: "settled",
  basis: "checked",
  price: 4_000n,
  submittedAt: 1,
  endedAt: 2,
  position: null,
  etaMs: null,
  error: null,
  receipt: "r_ann" as ReceiptId,
  timeline: [{ at: 1, what: "queued" }],
};
const views: TaskView[] = [
  annTask,
  { ...annTask, task: "t_open" as TaskId, state: "checking", endedAt: null, receipt: null },
  { ...annTask, task: "t_lost" as TaskId, state: "failed", receipt: null, error: failure("execution-failed", "no") },
];
const account = (id: string, balance: bigint, asset: "USDC" | "DN" = "USDC") => ({
  account: id as AccountId,
  asset,
  balance,
  entries: 1,
});
const ledgerAccounts = [
  account("customer:c_ann", 10n ** 20n),
  account("customer:c_ann:held", 5n),
  account("customer:c_bob", 7n),
  account("dn:customer:c_ann", 7n, "DN"),
  account("processor", 1n),
];

/** One open case about nobody in particular; only its id is known, and only Ann's settled task can be reported. */
const openCase: CaseDetail = {
  case: "c_one" as CaseId,
  kind: "suspension",
  party: "Party AB12",
  finable: true,
  openedAt: 1,
  dueAt: 2,
  evidence: { kind: "suspension", strikes: 9.2, exhibits: [], history: [] },
  state: "open",
  closedAt: null,
  ruling: null,
  reviewer: null,
  reason: null,
  stakes: {
    dismissed: { slashed: 0n, returned: 0n, interest: 3n, slashPercent: 0, returnPercent: 0 },
    minor: { slashed: 20n, returned: 0n, interest: 0n, slashPercent: 20, returnPercent: 0 },
    severe: { slashed: 60n, returned: 40n, interest: 0n, slashPercent: 60, returnPercent: 40 },
  },
  audit: [{ cursor: "1.1.hub", at: 1, actor: "hub", action: "case-opened", subject: "c_one", detail: {} }],
};
const scriptedCases: CaseDesk = {
  cases: async (state) => ({ data: state === "decided" ? [] : [openCase], hasMore: false }),
  case: async (id) => (id === "c_one" ? openCase : null),
  decideCase: async (id, { ruling, reviewer, reason }) => {
    if (id === "c_shut") return err(failure("case-closed", "case c_shut is decided", { field: "case" }));
    if (id !== "c_one") return err(failure("unknown-case", `no case ${id}`, { field: "case" }));
    return ok({ ...openCase, state: "decided", ruling, reviewer, reason, closedAt: 3, stakes: null });
  },
  reportAnswer: async (task) =>
    task.state === "settled" ? ok({ case: "c_two" as CaseId }) : err(failure("wrong-state", `${task.state}`)),
  audit: async (subject) => ({ data: subject === null ? openCase.audit : [], hasMore: false }),
};

/** Nothing of the economy: its own test has the real one. */
const scriptedParties = {
  domains: {},
  miners: {},
  backing: {},
  staking: {},
  governance: {},
  market: {},
  customers: {},
};

/** A request that `mixed` takes: 2 rows of each. */
export const mixedRequest = () => ({
  inputs: [
    { name: "pixels", datatype: "FP32", shape: [2, 2], data: [0, 0.5, 1, 8] },
    { name: "ids", datatype: "INT64", shape: [2], data: [1, "-9223372036854775808"] },
    { name: "flags", datatype: "BOOL", shape: [2], data: [true, false] },
  ] as Record<string, unknown>[],
});

/** The binary tensor extension: JSON, then bytes. */
export function binaryBody(json: unknown, ...parts: Uint8Array[]): { body: Buffer; headers: Record<string, string> } {
  const head = Buffer.from(JSON.stringify(json));
  return { body: Buffer.concat([head, ...parts]), headers: { "inference-header-content-length": String(head.length) } };
}

export interface Script {
  /** Instead of the echo. */
  infer: Gateway["infer"] | null;
  text: TextScript;
  modelFile: string | null;
  ready: Record<string, string | null>;
  inferred: InferRequest[];
  registered: RegisterRequest[];
  imported: ImportRequest[];
  cancelled: string[];
  blobs: Map<string, Uint8Array>;
}

export function scriptedGateway(extra: readonly Manifest[] = []): { gateway: Gateway; script: Script } {
  const statusOf = (manifest: Manifest): ModelStatus => ({
    manifest,
    publishedAt: 1_700_000_000_000,
    miners: manifest.id === "idle" ? 0 : 3,
    queued: 0,
    referenceServes: manifest.id !== "idle",
  });
  const models = [mixed, half, strict, idle, ...extra].map(statusOf);
  const script: Script = {
    infer: null,
    text: textScript(),
    modelFile: null,
    ready: { database: null },
    inferred: [],
    registered: [],
    imported: [],
    cancelled: [],
    blobs: new Map(),
  };
  const authorised = (session: string, token: string): Result<null, TabgridError> =>
    session === "s_1" && token === "0f".repeat(32) ? ok(null) : err(failure("bad-authentication", "no such session"));
  const gateway: Gateway = {
    models: () => models,
    model: (id, version) =>
      models.find(({ manifest }) => manifest.id === id && (version ?? manifest.version) === manifest.version) ?? null,
    ...scriptedText(script.text),
    infer: async (request, signal) => {
      script.inferred.push(request);
      if (script.infer) return script.infer(request, signal);
      const echo =
        request.model === vectors.id
          ? scriptedEmbedding(request)
          : request.inputs.map((tensor) => ({ ...tensor, name: `${tensor.name}_out` }));
      return ok({
        task: "t_ann" as TaskId,
        receipt: "r_ann" as ReceiptId,
        basis: "checked",
        level: request.level ?? "verified",
        price: 1_500n,
        model: { id: request.model, version: request.version ?? "1.0" },
        outputs: echo.filter(({ name }) => request.outputs.length === 0 || request.outputs.includes(name)),
      });
    },
    quote: async (request) => ok({ price: 2_000n, work: BigInt(totalBytes(request.inputs)) }),
    task: async (id) => views.find(({ task }) => task === id) ?? null,
    cancel: async (id) => {
      script.cancelled.push(id);
      return ok(null);
    },
    receipt: async (id) =>
      id === "r_ann"
        ? { receipt: id, leaf: "{}", path: ["aa"], index: 0, size: 2, root: "bb", signature: "sig", hubKey: "key" }
        : null,
    accounts: async ({ limit, after }) => {
      const rest = ledgerAccounts.slice(ledgerAccounts.findIndex((entry) => entry.account === after) + 1);
      return { data: rest.slice(0, limit), hasMore: rest.length > limit };
    },
    account: async (id) => ledgerAccounts.find((entry) => entry.account === id) ?? null,
    entries: async ({ account: of, task }) => ({
      data: [
        {
          seq: "1",
          cursor: "1.1.hub",
          transfer: "x_1",
          kind: `of ${of ?? "all"} ${task ?? "all"}`,
          at: 1,
          task: null,
          legs: [{ account: "issuer" as AccountId, asset: "USDC", amount: -(10n ** 20n) }],
          hash: "cc",
        },
      ],
      hasMore: false,
    }),
    imbalance: async () => ({ USDC: 0n, DN: 0n }),
    compatibility: () => [
      {
        model: "mixed@1.0" as never,
        runtime: "wasm",
        deviceClass: "ab",
        admitted: 2,
        refused: 1,
        quarantined: 0,
        lastAt: 9,
      },
    ],
    parties: { ...scriptedParties } as never,
    settlement: null as never,
    ...scriptedCases,
    network: () => ({ miners: 3, working: 1, attested: 2, queued: 0, inFlight: 1, verified: 9, perSecond: 0.5 }),
    readiness: async () => script.ready,
    metrics: async () => "ledger_imbalance 0\n",
    register: async (request) => {
      script.registered.push(request);
      if (request.id === "mixed") return err(failure("model-exists", "mixed@1.0 exists"));
      return ok(statusOf({ ...strict, id: request.id, version: request.version }));
    },
    importModel: async (request, onProgress) => {
      script.imported.push(request);
      if (request.id === "mixed") return err(failure("model-exists", "mixed@1.0 exists"));
      onProgress({ file: "onnx/model.onnx", received: 1, bytes: 2 });
      if (request.id === "gated") return err(failure("forbidden", "it is gated", { field: "source" }));
      return ok(statusOf({ ...strict, id: request.id, version: request.version }));
    },
    modelFile: (id, _version, path) =>
      script.modelFile !== null && id === "mixed" && path === "sub/model.onnx"
        ? { file: script.modelFile, bytes: 10, sha256: "ab".repeat(32) }
        : null,
    allowsBlob: (session, _method, _sha256, token) => authorised(session, token),
    getBlob: (sha256) => {
      const data = script.blobs.get(sha256);
      return data ? ok(data) : err(failure("unknown-blob", "no such blob"));
    },
    putBlob: (sha256, data) => {
      script.blobs.set(sha256, data);
      return ok(null);
    },
  };
  return { gateway, script };
}

export interface RawResponse {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface TestApi {
  url: string;
  script: Script;
  logged: unknown[];
  fetch: (path: string, init?: RequestInit) => Promise<Response>;
  /** GET without what `fetch` adds and unpacks. */
  raw: (path: string, headers?: Record<string, string>) => Promise<RawResponse>;
  /** POST …/infer with ann's key, unless the headers say otherwise. */
  infer: (body: unknown, model?: string, headers?: Record<string, string>) => Promise<Response>;
  close: () => Promise<void>;
}

/** The API on a free port of the loopback interface. */
export async function startApi(
  config: Partial<ApiConfig> = {},
  extra: readonly Manifest[] = [],
  { ring = new KeyRing(), ...real }: Partial<Gateway> & { ring?: KeyRing } = {},
): Promise<TestApi> {
  const { gateway: scripted, script } = scriptedGateway(extra);
  const gateway = { ...scripted, ...real };
  const dataDir = await mkdtemp(join(tmpdir(), "tabgrid-api-"));
  const store = await openStore({ kind: "sqlite", folder: dataDir, hub: "one" });
  await store.migrate();
  for (const customer of ["c_ann", "c_bob"] as CustomerId[]) {
    await store.addCustomer({ customer, name: customer, createdAt: 1 });
  }
  ring.add(hashKey(keys.ann), { kind: "customer", customer: "c_ann" as CustomerId, key: "k_ann" });
  ring.add(hashKey(keys.bob), { kind: "customer", customer: "c_bob" as CustomerId, key: "k_bob" });
  ring.add(hashKey(keys.operator), { kind: "operator" });
  const logged: unknown[] = [];
  const log = { error: (line: unknown) => void logged.push(line) } as unknown as Pick<Logger, "error">;
  const defaults = {
    trustProxy: false,
    version: "0.0.1",
    clientDir: null,
    rateLimits: defaultRateLimits,
    log,
  } as const;
  const clock = systemClock;
  const agents = new AgentDesk({ gateway, clock, store: store.agents, loopback: true });
  const openAi = createOpenAi({ gateway, store, dataDir, clock, log, agents });
  await openAi.start();
  const parts = { gateway, openAi, agents, replies: store.idempotency, clock, keys: ring };
  const server = createServer(createApi({ ...parts, config: { ...defaults, ...config } }));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    script,
    logged,
    fetch: (path, init) => fetch(`${url}${path}`, init),
    raw: (path, headers = {}) =>
      new Promise((resolve, reject) => {
        const call = httpRequest(`${url}${path}`, { headers }, (response) => {
          const parts: Buffer[] = [];
          response.on("data", (part: Buffer) => parts.push(part));
          response.on("end", () =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(parts) }),
          );
        });
        call.on("error", reject).end();
      }),
    infer: (body, model = "mixed", headers = {}) =>
      fetch(`${url}/v2/models/${model}/infer`, {
        method: "POST",
        headers: { "content-type": "application/json", ...bearer(keys.ann), ...headers },
        body: typeof body === "string" || body instanceof Uint8Array ? (body as BodyInit) : JSON.stringify(body),
      }),
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await openAi.close();
      await store.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
