import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Manifest } from "../../models/manifest.ts";
import { type OnnxGraph, readOnnx } from "../../models/onnx.ts";
import { atLeastMinimum, countWork } from "../../models/work.ts";
import { workByFormula } from "../../models/work-formula.ts";
import { failure, type TabgridError, TabgridFailure } from "../../shared/errors.ts";
import { type ModelKey, modelKey } from "../../shared/ids.ts";
import { err, ok, type Result } from "../../shared/result.ts";
import type { Tensor } from "../../shared/tensor.ts";
import type { RegisterRequest } from "../gateway/gateway.ts";
import type { ModelFiles } from "../reference/messages.ts";
import type { ReferenceNode } from "../reference/node.ts";
import { checkStatement, describeModel, type Statement } from "./describe.ts";
import {
  hashBytes,
  linkFiles,
  modelFolders,
  type RegisteredModel,
  readModel,
  writeFiles,
  writeModelText,
} from "./files.ts";
import { modelFilesOf, textFactsOf } from "./model-files.ts";

/**
 * The models that this hub knows: the built-in ones, and those registered since, which lie in
 * `<data>/models/<id>/<version>/`. A version never changes once it is there.
 */
export interface Registry {
  /**
   * Reads every model and checks its files.
   * @throws Error, in a sentence for the operator, where a folder is damaged
   */
  load(): Promise<RegisteredModel[]>;
  /** Examines and stores a new version. Takes as long as some dozen runs of the model on the reference node. */
  register(request: RegisterRequest): Promise<Result<RegisteredModel, TabgridError>>;
  /** The same with files that lie in a folder, where they stay. */
  adopt(request: AdoptRequest): Promise<Result<RegisteredModel, TabgridError>>;
  get(key: ModelKey): RegisteredModel | null;
  /** A file by its path in the manifest, or `manifest.json` itself is `get(key).manifest`; null when there is none. */
  file(id: string, version: string, path: string): { file: string; bytes: number; sha256: string } | null;
  /** For `ReferenceNode.run`. */
  modelFiles(key: ModelKey): ModelFiles | null;
  /** FLOP of one task; for models without a formula by a traced run, remembered by shape. */
  workOf(key: ModelKey, inputs: readonly Tensor[]): Promise<Result<bigint, TabgridError>>;
}

export interface AdoptRequest extends Omit<RegisterRequest, "files" | "graph"> {
  folder: string;
  files: Manifest["files"];
  graph: OnnxGraph;
}

export interface RegistryOptions {
  dataDir: string;
  builtInDir: string;
  reference: ReferenceNode;
}

const TRACE_MS = 60_000;
const WORKS_REMEMBERED = 10_000;
/** Integer scalars and lists of up to this many elements (a sampling rate, a size, a flag) may steer shapes and branches. */
const STEERING_ELEMENTS = 8;
const GRAPH = "model.onnx";

export function createRegistry({ dataDir, builtInDir, reference }: RegistryOptions): Registry {
  const registered = join(dataDir, "models");
  const models = new Map<ModelKey, RegisteredModel>();
  const inProgress = new Set<ModelKey>();
  const equations = new Map<string, OnnxGraph["equations"]>();
  /** In order of last use. */
  const works = new Map<string, bigint>();

  function keep(model: RegisteredModel): RegisteredModel {
    models.set(modelKey(model.manifest.id, model.manifest.version), model);
    return model;
  }

  /** @param put brings the files into a folder */
  async function store(
    request: Omit<AdoptRequest, "folder">,
    put: (folder: string) => Promise<void>,
  ): Promise<RegisteredModel> {
    const { id, version, title, description, licence, creator, royaltyBasisPoints, files, graph } = request;
    const statement: Statement = {
      ...{ id, version, title, description, licence, creator, royaltyBasisPoints, files },
      task: request.task ?? "tensor",
    };
    const fault = checkStatement(statement, graph);
    if (fault) throw new TabgridFailure(fault);
    const incoming = join(registered, `.incoming-${randomUUID()}`);
    try {
      await mkdir(incoming, { recursive: true });
      await put(incoming);
      const { manifest, golden } = await describeModel(reference, incoming, statement, graph, request);
      await writeModelText(incoming, manifest, golden);
      await mkdir(join(registered, id), { recursive: true });
      const folder = join(registered, id, version);
      await rename(incoming, folder);
      return await readModel(folder);
    } finally {
      await rm(incoming, { recursive: true, force: true });
    }
  }

  function refuseTaken({ id, version }: Pick<RegisterRequest, "id" | "version">): TabgridError | null {
    const key = modelKey(id, version);
    if (!models.has(key) && !inProgress.has(key)) return null;
    const message = `${key} is registered already; a version never changes, give another one`;
    return failure("model-exists", message, { field: "version" });
  }

  async function once(...[request, put]: Parameters<typeof store>): Promise<Result<RegisteredModel, TabgridError>> {
    const key = modelKey(request.id, request.version);
    inProgress.add(key);
    try {
      return ok(keep(await store(request, put)));
    } catch (error) {
      if (error instanceof TabgridFailure) return err(error.error);
      throw error;
    } finally {
      inProgress.delete(key);
    }
  }

  /** Read once per model: the file may be large, the equations never are. */
  async function equationsOf({ key, graphPath }: ModelFiles): Promise<Result<OnnxGraph["equations"], TabgridError>> {
    const known = equations.get(key);
    if (known) return ok(known);
    const graph = readOnnx(await readFile(graphPath));
    if (!graph.ok) return graph;
    equations.set(key, graph.value.equations);
    return ok(graph.value.equations);
  }

  async function countByTrace(
    model: RegisteredModel,
    inputs: readonly Tensor[],
  ): Promise<Result<bigint, TabgridError>> {
    const files = modelFilesOf(model.folder, model.manifest.files, model.manifest.embedding);
    const key = [files.key, ...inputs.map(steering)].join("|");
    const known = works.get(key);
    if (known !== undefined) {
      works.delete(key);
      works.set(key, known);
      return ok(known);
    }
    const einsum = await equationsOf(files);
    if (!einsum.ok) return einsum;
    const trace = await reference.trace(files, inputs, TRACE_MS);
    if (!trace.ok) {
      return err(failure("execution-failed", `the work of these shapes could not be counted: ${trace.error.message}`));
    }
    const work = countWork(trace.value, einsum.value);
    works.set(key, work);
    if (works.size > WORKS_REMEMBERED) works.delete(works.keys().next().value as string);
    return ok(work);
  }

  return {
    async load() {
      models.clear();
      await removeUnfinished(registered);
      const folders = await modelFolders(builtInDir);
      for (const id of await subfolders(registered)) folders.push(...(await modelFolders(join(registered, id))));
      for (const folder of folders) keep(await readModel(folder));
      return [...models.values()];
    },

    async register(request) {
      const taken = refuseTaken(request);
      if (taken) return err(taken);
      const graph = readOnnx(request.graph);
      if (!graph.ok) return graph;
      const all = [{ path: GRAPH, role: "graph" as const, data: request.graph }, ...request.files];
      const files = all.map(({ path, role, data }) => ({
        path,
        role,
        sha256: hashBytes(data),
        bytes: data.byteLength,
      }));
      return once({ ...request, files, graph: graph.value }, (folder) => writeFiles(folder, all));
    },

    async adopt(request) {
      const taken = refuseTaken(request);
      return taken ? err(taken) : once(request, (folder) => linkFiles(request.folder, folder, request.files));
    },

    get: (key) => models.get(key) ?? null,

    file(id, version, path) {
      const model = models.get(modelKey(id, version));
      const named = model?.manifest.files.find((file) => file.path === path);
      return model && named ? { file: join(model.folder, path), bytes: named.bytes, sha256: named.sha256 } : null;
    },

    modelFiles(key) {
      const model = models.get(key);
      return model
        ? { ...modelFilesOf(model.folder, model.manifest.files, model.manifest.embedding), ...textFactsOf(model) }
        : null;
    },

    async workOf(key, inputs) {
      const model = models.get(key);
      if (!model) return err(failure("unknown-model", `no model ${key}`, { field: "model" }));
      const formula = workByFormula(model.manifest, inputs);
      const work = formula === null ? await countByTrace(model, inputs) : ok(formula);
      return work.ok ? ok(atLeastMinimum(work.value)) : work;
    },
  };
}

/** What of an input decides the shapes of a run. */
function steering({ name, dtype, shape, data }: Tensor): string {
  const steers = !dtype.startsWith("float") && shape.length <= 1 && (shape[0] ?? 1) <= STEERING_ELEMENTS;
  return `${name}[${shape}]${steers ? Buffer.from(data).toString("hex") : ""}`;
}

async function subfolders(parent: string): Promise<string[]> {
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** What a registration left behind when the hub was killed. */
async function removeUnfinished(parent: string): Promise<void> {
  for (const name of await subfolders(parent)) {
    if (name.startsWith(".incoming-")) await rm(join(parent, name), { recursive: true });
  }
}
