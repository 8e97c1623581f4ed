/**
 * The house rules, proved on every source file: who may import whom, no run-time cycles, pure code that stays pure, names
 * and sizes. `inspect` and `runTimeCycles` are tested on bad snippets first, so that a green run means something.
 */
import { globSync, readFileSync } from "node:fs";
import { dirname, posix } from "node:path";
import { type ESTree, parseSync } from "vite";
import { describe, expect, it } from "vitest";

type Layer = "shared" | "models" | "core" | "economy" | "server" | "client" | "bench" | "root";

/** Anything absent is forbidden. `root` holds the tools' configuration and this test. */
const mayImport: Record<Layer, readonly Layer[]> = {
  shared: ["shared"],
  models: ["models", "shared"],
  core: ["core", "models", "shared"],
  economy: ["economy", "models", "shared"],
  server: ["server", "core", "economy", "models", "shared"],
  client: ["client", "models", "shared"],
  bench: ["bench", "client", "server", "core", "economy", "models", "shared", "root"],
  root: ["root", "client", "server", "core", "economy", "models", "shared"],
};

/** Pure code is synchronous, knows no platform, and leans on these packages alone. */
const purePackages: Partial<Record<Layer, RegExp>> = {
  shared: /^(zod|pure-rand|@noble\/[a-z]+)(\/|$)/,
  models: /^(zod|protobufjs\/light\.js)$/,
  core: /^(?!)/,
  economy: /^(?!)/,
};

const bannedNames = /^(utils?|helpers?|types|lib|common|misc)$/;
const bannedCalls: Record<string, string> = {
  "Date.now": "time comes with the event, or from a Clock that is passed in",
  "new Date": "time comes with the event, or from a Clock that is passed in",
  "performance.now": "time comes with the event, or from a Clock that is passed in",
  "Math.random": "randomness comes from an Rng that is passed in",
  "crypto.getRandomValues": "randomness comes from an Rng that is passed in",
  "crypto.randomUUID": "randomness comes from an Rng that is passed in",
  setTimeout: "logic owns no timer: return when to run next",
  setInterval: "logic owns no timer: return when to run next",
  setImmediate: "logic owns no timer: return when to run next",
  queueMicrotask: "pure code is synchronous",
  fetch: "pure code knows no network",
};
const linesMax = 450;

interface Import {
  /** As written. */
  specifier: string;
  line: number;
  /** `import type` is erased; `import { type A }` is not: it stays as `import {}` and runs the module. */
  isType: boolean;
  /** Its own module graph: `new URL("./worker.ts", import.meta.url)`. */
  isWorker: boolean;
}

const layerOf = (path: string): Layer => {
  const [top = "", second = ""] = path.split("/");
  if (top === "server" && (second === "core" || second === "economy")) return second;
  return path.includes("/") && top in mayImport ? (top as Layer) : "root";
};
const isTest = (path: string): boolean => /\.(test|suite)\.tsx?$/.test(path);
const isRelative = (specifier: string): boolean => specifier.startsWith(".");
const resolve = (path: string, specifier: string): string =>
  posix.join(posix.dirname(path), specifier.replace(/\?.*$/, ""));

/** What one file imports and what is wrong with it; each fault is `path:line: what, and what to do instead`. */
function inspect(path: string, source: string): { imports: Import[]; faults: string[] } {
  const { program, comments, errors } = parseSync(path, source);
  const imports: Import[] = [];
  const faults: string[] = [];
  const lineAt = (offset: number): number => source.slice(0, offset).split("\n").length;
  const fault = (offset: number, what: string) => faults.push(`${path}:${lineAt(offset)}: ${what}`);
  for (const error of errors) fault(0, `does not parse: ${error.message}`);

  const layer = layerOf(path);
  const isPure = purePackages[layer] !== undefined && path.endsWith(".ts") && !isTest(path);
  const add = (node: { start: number }, specifier: unknown, isType: boolean, isWorker = false) => {
    if (typeof specifier === "string") imports.push({ specifier, line: lineAt(node.start), isType, isWorker });
  };
  const ban = (node: { start: number }, name: string) => {
    if (path === "shared/time.ts" && name === "Date.now") return;
    if (isPure && name in bannedCalls) fault(node.start, `${name} in pure code: ${bannedCalls[name]}`);
  };
  const banAsync = (node: { start: number }, isAsync: boolean) => {
    if (isPure && isAsync) fault(node.start, "async in pure code, which is synchronous");
  };
  walk(program, (node) => {
    switch (node.type) {
      case "ImportDeclaration":
        return add(node, node.source.value, node.importKind === "type");
      case "ExportAllDeclaration":
      case "ExportNamedDeclaration":
        return add(node, node.source?.value, node.exportKind === "type");
      case "ImportExpression":
        return add(node, node.source.type === "Literal" && node.source.value, false);
      case "TSImportType":
        return add(node, node.source.value, true);
      case "NewExpression": {
        if (node.callee.type !== "Identifier") return;
        const [first, base] = node.arguments;
        const file = node.callee.name === "URL" && base && first?.type === "Literal" ? String(first.value) : "";
        if (/\.tsx?$/.test(file)) add(node, file, false, true);
        if (node.arguments.length === 0) ban(node, `new ${node.callee.name}`);
        return;
      }
      case "MemberExpression": {
        const { object, property } = node;
        if (object.type === "Identifier" && property.type === "Identifier")
          ban(node, `${object.name}.${property.name}`);
        return;
      }
      case "CallExpression":
        if (node.callee.type === "Identifier") ban(node, node.callee.name);
        return;
      case "AwaitExpression":
        return banAsync(node, true);
      case "ForOfStatement":
        return banAsync(node, node.await);
      case "FunctionDeclaration":
      case "FunctionExpression":
      case "ArrowFunctionExpression":
        return banAsync(node, node.async);
    }
  });

  for (const { specifier, line } of imports) {
    const complain = (what: string) => faults.push(`${path}:${line}: ${what}`);
    if (isRelative(specifier)) {
      const target = layerOf(resolve(path, specifier));
      const mayMeet = mayImport[layer].includes(target) || crossesOnPurpose(path);
      if (!mayMeet) complain(`${layer} must not import ${target} (${specifier})`);
      if (bannedNames.test(posix.basename(specifier))) complain(`${specifier} says nothing about what is in it`);
    } else if (isPure && !purePackages[layer]?.test(specifier)) {
      complain(`${layer} is pure and must not import ${specifier}`);
    } else if (layer === "client" && specifier.startsWith("node:") && !isTest(path)) {
      complain(`the page has no ${specifier}`);
    }
  }
  for (const { value, start } of comments) {
    if (/\b(TODO|FIXME|XXX|HACK)\b/.test(value)) fault(start, "do it now, or write it into an issue");
  }
  const reExports = program.body.filter(
    (node) => node.type === "ExportAllDeclaration" || (node.type === "ExportNamedDeclaration" && node.source),
  );
  if (reExports.length > 0 && reExports.length === program.body.length)
    fault(0, "a barrel: import from the file itself");
  const lines = source.trimEnd().split("\n").length;
  if (lines > linesMax) fault(source.length, `${lines} lines, ${linesMax} is the most: split it by reason to change`);
  return { imports, faults: [...faults, ...nameFaults(path)] };
}

function walk(node: ESTree.Node, visit: (node: ESTree.Node) => void): void {
  visit(node);
  for (const child of Object.values(node).flat()) {
    if (typeof child === "object" && child !== null && "type" in child) walk(child, visit);
  }
}

/** The tests that run the hub and real tabs together. */
const crossesOnPurpose = (path: string): boolean =>
  path === "server/journeys/journey.test.ts" || path.endsWith(".browser.test.ts");

function nameFaults(path: string): string[] {
  const parts = path.split("/");
  const stems = parts.map((part) => part.replace(/(\.[a-z]+)+$/, ""));
  return [
    ...stems
      .filter((stem) => bannedNames.test(stem))
      .map((stem) => `${path}: ${stem} says nothing about what is in it`),
    ...stems.filter((stem) => /[A-Z_ ]/.test(stem)).map((stem) => `${path}: ${stem} is not kebab-case`),
    ...(/(^|\/)index\.[jt]sx?$/.test(path) ? [`${path}: a barrel by its name: import from the file itself`] : []),
  ];
}

/** Cycles that exist when the program runs: erased imports and workers are no part of them. */
function runTimeCycles(files: Map<string, readonly Import[]>): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const seenAt = trail.indexOf(path);
    if (seenAt >= 0) cycles.push([...trail.slice(seenAt), path].join(" -> "));
    if (seenAt >= 0 || done.has(path)) return;
    for (const { specifier, isType, isWorker } of files.get(path) ?? []) {
      const target = isRelative(specifier) ? resolve(path, specifier) : "";
      if (!isType && !isWorker && files.has(target)) visit(target, [...trail, path]);
    }
    done.add(path);
  };
  for (const path of files.keys()) visit(path, []);
  return cycles;
}

const root = dirname(import.meta.filename);
const sources = new Map(
  globSync("{*,{bench,client,models,server,shared}/**/*}.{ts,tsx,mjs}", { cwd: root, exclude: ["**/node_modules"] })
    .map((path) => path.replaceAll("\\", "/"))
    .map((path) => [path, readFileSync(`${root}/${path}`, "utf8")] as const),
);

describe("the checker finds", () => {
  const faultsOf = (path: string, source: string) => inspect(path, source).faults.join("\n");

  it.each([
    ["server/core/hub.ts", "core must not import server", 'import { open } from "../store/open.ts";'],
    ["server/core/hub.ts", "core must not import server", 'import type { Store } from "../store/store.ts";'],
    ["server/core/hub.ts", "core must not import economy", 'type A = import("../economy/ledger.ts").A;'],
    ["server/api/v2.ts", "server must not import client", 'export { a } from "../../client/miner/a.ts";'],
    ["client/miner/a.ts", "client must not import server", 'const m = import("../../server/gateway/gateway.ts");'],
    ["client/a.ts", "client must not import server", 'new Worker(new URL("../server/main.ts", import.meta.url));'],
    ["client/a.ts", "the page has no node:fs", 'import { readFileSync } from "node:fs";'],
    ["shared/a.ts", "must not import express", 'import { z } from "zod"; import express from "express";'],
    ["server/economy/a.ts", "must not import node:crypto", 'import { createHash } from "node:crypto";'],
    ["models/a.ts", "models must not import core", 'import { step } from "../server/core/hub.ts";'],
    ["server/core/a.ts", "Date.now in pure code", "const at = Date.now();"],
    ["server/core/a.ts", "Date.now in pure code", "const clock = { now: Date.now };"],
    ["server/core/a.ts", "new Date in pure code", "const at = new Date();"],
    ["shared/a.ts", "Math.random in pure code", "const x = Math.random();"],
    ["server/core/a.ts", "setTimeout in pure code", "setTimeout(() => {}, 1);"],
    ["server/core/a.ts", "async in pure code", "export const f = async () => 1;"],
    ["server/core/a.ts", "async in pure code", "const x = await y;"],
    ["server/core/a.ts", "async in pure code", "class A { async b() {} }"],
    ["server/api/a.ts", "do it now", "// TODO later"],
    ["server/api/index.ts", "a barrel by its name", "const a = 1;"],
    ["server/api/all.ts", "a barrel", 'export * from "./a.ts";\nexport { b } from "./b.ts";'],
    ["server/utils/text.ts", "utils says nothing", "const a = 1;"],
    ["client/ui/types.tsx", "types says nothing", "const a = 1;"],
    ["client/ui/MyCard.tsx", "not kebab-case", "const a = 1;"],
    ["server/a.ts", "501 lines", `${"\n".repeat(500)}const a = 1;`],
    ["server/a.ts", "does not parse", "const = 1;"],
  ])("%s: %s", (path, expected, source) => {
    expect(faultsOf(path, source)).toContain(expected);
  });

  it("nothing where nothing is wrong", () => {
    const good = [
      ["server/core/a.ts", 'import type { B } from "./b.ts"; const at = new Date(0); const s = "Date.now() // TODO";'],
      [
        "server/runtime/runtime.ts",
        'import { step } from "../core/hub.ts"; setTimeout(async () => await step(Date.now()), 1);',
      ],
      ["shared/time.ts", "export const systemClock = { now: () => Date.now() };"],
      ["client/a.tsx", 'import { z } from "../shared/protocol.ts"; export const a = <div>TODO</div>;'],
    ] as const;
    for (const [path, source] of good) expect(faultsOf(path, source)).toBe("");
  });

  const graph = (files: Record<string, string>) =>
    runTimeCycles(new Map(Object.entries(files).map(([path, source]) => [path, inspect(path, source).imports])));

  it("a run-time cycle, also one that only `import { type … }` makes", () => {
    expect(graph({ "server/a.ts": 'import { b } from "./b.ts";', "server/b.ts": 'import "./a.ts";' })).toHaveLength(1);
    expect(
      graph({ "server/a.ts": 'import { type B } from "./b.ts";', "server/b.ts": 'export * from "./a.ts";' }),
    ).toEqual(["server/a.ts -> server/b.ts -> server/a.ts"]);
  });

  it("no cycle where one side is erased", () => {
    expect(graph({ "server/a.ts": 'import type { B } from "./b.ts";', "server/b.ts": 'import "./a.ts";' })).toEqual([]);
  });
});

describe("the house", () => {
  const inspected = new Map([...sources].map(([path, source]) => [path, inspect(path, source)]));

  it("keeps its rules in every file", () => {
    expect(sources.size).toBeGreaterThan(20);
    expect([...inspected.values()].flatMap(({ faults }) => faults)).toEqual([]);
  });

  it("has no run-time cycles", () => {
    expect(runTimeCycles(new Map([...inspected].map(([path, { imports }]) => [path, imports])))).toEqual([]);
  });

  it("sets itself up with what Node alone brings", () => {
    const beforeInstall = ["start", "test", "run", "ensure", "child"].map((name) => `server/cli/${name}.mjs`);
    for (const path of beforeInstall) {
      const packages = inspected.get(path)?.imports.filter(({ specifier }) => !/^(node:|\.)/.test(specifier));
      expect(packages, path).toEqual([]);
    }
  });
});
