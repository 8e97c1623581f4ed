import { failure, type TabgridError } from "../../shared/errors.ts";
import { type ModelKey, modelKey, receiptOf } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import type { Nano } from "../../shared/money.ts";
import { priceOf, type ServiceLevel } from "../../shared/pricing.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import { matchSpecs } from "../../shared/tensor.ts";
import type { Clock, Millis } from "../../shared/time.ts";
import { createCaseDesk } from "../cases/cases.ts";
import { revisionsOf } from "../cases/receipt-revisions.ts";
import type { CoreModel, TaskSpec } from "../core/events.ts";
import type { HubState } from "../core/state.ts";
import { levelIn } from "../economy/verification-terms.ts";
import type { EconomyDesk } from "../economy-desk/economy-desk.ts";
import type { Importer } from "../import/importer.ts";
import type { RegisteredModel } from "../registry/files.ts";
import type { Registry } from "../registry/registry.ts";
import type { Compatibility } from "../runtime/compatibility.ts";
import type { LiveTask } from "../runtime/live-task.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Statistics } from "../runtime/statistics.ts";
import { COMMONS, checksUnder, type DomainMap } from "../settlement/domain-map.ts";
import type { Settlement } from "../settlement/open-settlement.ts";
import type { BlobStore } from "../sockets/blobs.ts";
import { commitmentOf } from "../sockets/identity.ts";
import type { MinerSockets } from "../sockets/miners.ts";
import type { Store } from "../store/store.ts";
import { newTaskId } from "../store/task-id.ts";
import { createModelTexts } from "../text/load-model-text.ts";
import type { Gateway, InferRequest, ModelStatus, NetworkView, RegisterRequest, TaskView } from "./gateway.ts";
import { createTextGateway } from "./text-gateway.ts";

/** The API's view of the hub: turns requests into tasks, and what the core and the store hold into views. */

export interface GatewayParts {
  state: HubState;
  runtime: Runtime;
  store: Store;
  registry: Registry;
  importer: Importer;
  sockets: MinerSockets;
  blobs: BlobStore;
  statistics: Statistics;
  compatibility: Compatibility;
  domains: DomainMap;
  parties: EconomyDesk;
  settlement: Settlement;
  clock: Clock;
  /** base64url. */
  hubKey: string;
  /** Known to this hub alone: the seeds of texts come from it. */
  seedKey: Uint8Array;
}

/** `commons`: tensors and embeddings are verified before they are answered, text after (../shared/policy.md). */
const defaultLevel = (task: string): ServiceLevel => (task === "text-generation" ? "fast" : "verified");

export function createGateway(parts: GatewayParts): Gateway & { publish(model: RegisteredModel): ModelStatus } {
  const { state, runtime, store, registry, sockets, blobs, statistics, domains, clock } = parts;
  const published: RegisteredModel[] = [];
  const texts = createModelTexts();

  function publish(model: RegisteredModel): ModelStatus {
    const { manifest, golden, referenceMs } = model;
    const core: CoreModel = {
      key: modelKey(manifest.id, manifest.version),
      memoryBytes: manifest.memoryBytes,
      downloadBytes: manifest.files.reduce((sum, file) => sum + file.bytes, 0),
      batchLimit: manifest.batch.limit,
      rowsIndependent: manifest.batch.rowsIndependent,
      comparator: manifest.comparator,
      outputs: manifest.outputs,
      nonFiniteOutputs: manifest.nonFiniteOutputs,
      golden,
      creator: manifest.creator,
      royaltyBasisPoints: manifest.royaltyBasisPoints,
      referenceMs: referenceMs <= REFERENCE_LIMIT_MS ? referenceMs : null,
      text: manifest.text,
    };
    published.push(model);
    runtime.report({ kind: "model.published", at: clock.now(), model: core });
    return statusOf(model);
  }

  function statusOf({ manifest, publishedAt, referenceMs }: RegisteredModel): ModelStatus {
    const key = modelKey(manifest.id, manifest.version);
    return {
      manifest,
      publishedAt,
      miners: state.roster.able(key).length,
      queued: state.queue.byModel.get(key)?.size ?? 0,
      referenceServes: state.options.referenceServes && referenceMs <= REFERENCE_LIMIT_MS,
    };
  }

  /** Newest first where no version is named: the last one published. */
  const modelText: Gateway["modelText"] = async (id, version) => {
    const model = find(id, version);
    return model ? texts.of(model) : err(unknownModel(id, version));
  };
  const find = (id: string, version?: string): RegisteredModel | undefined =>
    published.findLast(({ manifest }) => manifest.id === id && (version === undefined || manifest.version === version));

  async function specOf(request: InferRequest): Promise<Result<TaskSpec, TabgridError>> {
    const model = find(request.model, request.version);
    if (!model) return err(unknownModel(request.model, request.version));
    const { manifest } = model;
    const matched = matchSpecs(request.inputs, manifest.inputs, "inputs");
    if (!matched.ok) return matched;
    const deadlineMs = request.deadlineMs ?? limits.deadlineDefaultMs;
    if (deadlineMs <= 0) {
      const detail = { field: "parameters.deadline_ms", expected: "more than 0", got: String(deadlineMs) };
      return err(failure("deadline-expired", "the deadline has passed already", detail));
    }
    const key = modelKey(manifest.id, manifest.version);
    const work = await registry.workOf(key, request.inputs);
    if (!work.ok) return work;
    const settings = domains.settingsOf(key);
    // Raw tensors of a text model are tensors.
    const level = levelIn(settings.verification, request.level, defaultLevel("tensor"));
    if (!level.ok) return level;
    const { dimension } = manifest.batch;
    return ok({
      task: newTaskId(clock.now()),
      customer: request.customer,
      model: key,
      inputs: request.inputs,
      inputHash: commitmentOf(request.inputs).toString("hex"),
      rows: dimension === null ? 1 : (matched.dims.get(dimension) ?? 1),
      dims: Object.fromEntries(matched.dims),
      work: work.value,
      price: priceOf(work.value, level.value, settings.tariff, request.preemptible),
      level: level.value,
      checks: checksUnder(settings),
      deadlineAt: clock.now() + deadlineMs,
      ...(request.preemptible && { preemptible: true }),
    });
  }

  /** A model version with its place in the economy. */
  async function mint(
    {
      id,
      version,
      creator,
      royaltyBasisPoints,
      domain = COMMONS,
    }: Pick<RegisterRequest, "id" | "version" | "creator" | "royaltyBasisPoints" | "domain">,
    register: () => Promise<Result<RegisteredModel, TabgridError>>,
  ): Promise<Result<ModelStatus, TabgridError>> {
    const minting = { model: modelKey(id, version), domain, creator, royaltyBasisPoints, round: null };
    const drafted = await parts.parties.domains.draft(foundation, minting);
    if (!drafted.ok) {
      const { field = "" } = drafted.error;
      const isRoyalty = ["royaltyBasisPoints", "revenue.miners"].includes(field);
      return isRoyalty ? err({ ...drafted.error, field: "royalty_basis_points" }) : drafted;
    }
    const registered = await register();
    if (!registered.ok) return registered;
    await parts.parties.domains.mint(foundation, minting);
    const status = publish(registered.value);
    await runtime.settled();
    return ok(status);
  }

  const gateway: Gateway & { publish: typeof publish } = {
    publish,
    models: () => published.map(statusOf),
    model(id, version) {
      const model = find(id, version);
      return model ? statusOf(model) : null;
    },

    async quote(request) {
      const spec = await specOf(request);
      return spec.ok ? ok({ price: spec.value.price, work: spec.value.work }) : spec;
    },

    async infer(request, signal) {
      const built = await specOf(request);
      if (!built.ok) return built;
      const spec = built.value;
      const cancel = () => runtime.report({ kind: "task.cancelled", at: clock.now(), task: spec.task });
      signal.addEventListener("abort", cancel, { once: true });
      const result = await runtime.submit(spec);
      signal.removeEventListener("abort", cancel);
      if (!result.ok) return result;
      const at = spec.model.lastIndexOf("@");
      const wanted = new Set(request.outputs);
      return ok({
        task: spec.task,
        receipt: receiptOf(spec.task),
        basis: result.basis,
        level: spec.level,
        price: spec.price,
        model: { id: spec.model.slice(0, at), version: spec.model.slice(at + 1) },
        outputs: result.outputs.filter(({ name }) => wanted.size === 0 || wanted.has(name)),
      });
    },

    ...createTextGateway({
      find: (id, version) => {
        const model = find(id, version);
        return model ? ok(model) : err(unknownModel(id, version));
      },
      runtime,
      domains,
      clock,
      seedKey: parts.seedKey,
    }),
    modelText,

    async task(id) {
      const live = runtime.live.get(id);
      if (live) return viewOfLive(state, live, clock.now());
      const record = await store.task(id);
      if (!record) return null;
      const receipt = record.state === "settled" || record.state === "overturned" ? receiptOf(id) : null;
      return { ...record, model: record.model, position: null, etaMs: null, receipt };
    },

    async cancel(id) {
      const live = runtime.live.get(id);
      if (!live) return err(failure("unknown-task", `${id} is not open`, { field: "task", got: id }));
      runtime.report({ kind: "task.cancelled", at: clock.now(), task: id });
      await runtime.settled();
      return ok(null);
    },

    async receipt(id) {
      const revisions = await revisionsOf(store, id);
      const receipt = (await store.receipt(id)) ?? revisions[0];
      if (!receipt) return null;
      const epoch = await parts.settlement.epochs.placeOf(receipt.root);
      return { ...receipt, hubKey: parts.hubKey, revisions, epoch };
    },

    accounts: (page) => store.accounts(page),
    account: (id) => store.account(id),
    entries: (filter, page) => store.entries(filter, page),
    imbalance: () => store.imbalance(),
    network: () => networkOf(state, statistics, clock.now()),
    compatibility: () => parts.compatibility.all(),
    parties: parts.parties,
    settlement: parts.settlement,
    ...createCaseDesk({ runtime, store, clock, domains, textOf: modelText }),
    async readiness() {
      const database = await store.counts().then(
        () => null,
        (error: Error) => error.message,
      );
      return { database, models: published.length > 0 ? null : "no model is published" };
    },
    metrics: async () => statistics.metrics(await store.imbalance()),

    register: (request) => mint(request, () => registry.register(request)),
    importModel: (request, onProgress, signal) =>
      mint(request, async () => {
        const fetched = await parts.importer.fetch(request, onProgress, signal);
        if (!fetched.ok) return fetched;
        const { task, discard, ...model } = fetched.value;
        const registered = await registry.adopt({ ...request, task: request.task ?? task, ...model });
        if (registered.ok) await discard();
        return registered;
      }),

    modelFile: (id, version, path) => registry.file(id, version, path),
    allowsBlob: (session, method, sha256, token) => sockets.allowsBlob(session, method, sha256, token),
    getBlob(sha256) {
      const data = blobs.get(sha256);
      return data ? ok(data) : err(failure("unknown-blob", `no blob ${sha256}`, { field: "sha256" }));
    },
    putBlob: (sha256, data) => blobs.putAs(sha256, data),
  };
  return gateway;
}

function unknownModel(id: string, version?: string): TabgridError {
  const wanted = version === undefined ? id : `${id} version ${version}`;
  return failure("unknown-model", `no model ${wanted}`, { field: "model", got: wanted });
}

/** Models are registered by the operator. */
const foundation = { customer: null, key: null };

/** A model that the reference node runs slower than this is decided by miners alone. */
const REFERENCE_LIMIT_MS = 10_000;

function viewOfLive(state: HubState, live: LiveTask, now: Millis): TaskView {
  const { spec, timeline, error, submittedAt, endedAt, basis } = live;
  const position = live.state === "queued" ? (state.queue.byModel.get(spec.model)?.position(spec.task) ?? null) : null;
  return {
    task: spec.task,
    customer: spec.customer,
    model: spec.model,
    level: spec.level,
    state: live.state,
    basis,
    price: spec.price as Nano,
    submittedAt,
    endedAt,
    position,
    etaMs: position === null ? null : etaMs(state, spec.model, position, spec.deadlineAt - now),
    error,
    receipt: null,
    timeline: [...timeline],
  };
}

/** Items ahead over the miners' joint rate; null where no miner runs the model or it would not be in time. */
function etaMs(state: HubState, model: ModelKey, position: number, slackMs: number): number | null {
  let perMs = 0;
  for (const session of state.roster.able(model))
    perMs += 1 / Math.max(1, session.models.get(model)?.serviceMs ?? 1_000);
  const eta = perMs > 0 ? Math.ceil((position + 1) / perMs) : null;
  return eta !== null && eta <= slackMs ? eta : null;
}

function networkOf(state: HubState, statistics: Statistics, now: Millis): NetworkView {
  const { queued, inFlight, verified, perSecond } = statistics.totals();
  let miners = 0;
  let working = 0;
  let attested = 0;
  for (const session of state.roster.sessions.values()) {
    if (session.graceEndsAt !== null || session.role === "validator") continue;
    miners++;
    if (session.assignments.size > 0) working++;
    if ((session.seen.at ?? Number.NEGATIVE_INFINITY) > now - 2 * limits.witnessEveryMs) attested++;
  }
  return { miners, working, attested, queued, inFlight, verified, perSecond };
}
