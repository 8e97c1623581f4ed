import { join } from "node:path";
import type { Manifest } from "../../models/manifest.ts";
import type { ModelFiles } from "../reference/messages.ts";

/** The files of a model as the reference node loads them; the key changes with any of their bytes. */
export function modelFilesOf(folder: string, files: Manifest["files"], embedding?: Manifest["embedding"]): ModelFiles {
  const graph = files.find(({ role }) => role === "graph");
  if (!graph) throw new Error(`no graph among the files of ${folder}`);
  const weights = files.filter(({ role }) => role === "weights");
  return {
    key: [graph, ...weights].map(({ sha256 }) => sha256).join("+"),
    graphPath: join(folder, graph.path),
    ...(embedding && { embedding }),
    externalData: weights.map(({ path }) => ({ path, file: join(folder, path) })),
  };
}
