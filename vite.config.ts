import { availableParallelism } from "node:os";
import react from "@vitejs/plugin-react";
import { type Connect, defaultClientConditions, type Plugin } from "vite";
import { defineConfig } from "vitest/config";
import packageJson from "./package.json" with { type: "json" };

/** Without both, a page gets no shared memory, so ONNX Runtime no threads; worker scripts need them as well. */
const isolation = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

/** The hub serves `dist/client/contribute/index.html` at `/`; the dev and preview servers do the same. */
const pages: Record<string, string> = {
  "/": "/contribute/index.html",
  "/console": "/console/index.html",
  "/portal": "/portal/index.html",
};

function pageRoutes(): Plugin {
  const route: Connect.NextHandleFunction = (request, _response, next) => {
    const [path = "", query] = (request.url ?? "").split("?");
    const page = pages[path];
    if (page) request.url = query === undefined ? page : `${page}?${query}`;
    next();
  };
  return {
    name: "tabgrid-page-routes",
    configureServer: (server) => void server.middlewares.use(route),
    configurePreviewServer: (server) => void server.middlewares.use(route),
  };
}

/** ONNX Runtime's binaries under /ort/, so that the hub can give them its longest cache time and compression. */
const assetFileNames = (asset: { names: string[] }): string =>
  asset.names.some((name) => name.startsWith("ort-wasm"))
    ? "ort/[name]-[hash][extname]"
    : "assets/[name]-[hash][extname]";

export default defineConfig({
  root: "client",
  plugins: [react(), pageRoutes()],
  resolve: {
    // Without this condition every ONNX Runtime import also emits its own second copy of the wasm.
    conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions],
  },
  define: { __ORT_VERSION__: JSON.stringify(packageJson.dependencies["onnxruntime-web"]) },
  server: { headers: isolation },
  preview: { headers: isolation },
  build: {
    outDir: "../dist/client",
    // While it is rebuilt under a running hub (`npm run dev`), the last page stays until the next one is there.
    emptyOutDir: !process.argv.includes("--watch"),
    target: "es2022",
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: {
        contribute: `${import.meta.dirname}/client/contribute/index.html`,
        console: `${import.meta.dirname}/client/console/index.html`,
        portal: `${import.meta.dirname}/client/portal/index.html`,
      },
      output: { assetFileNames },
    },
  },
  worker: { format: "es", rolldownOptions: { output: { assetFileNames } } },
  test: {
    root: ".",
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["**/*.test.ts"],
          exclude: ["**/*.browser.test.ts", "**/node_modules/**", "dist/**"],
          // Generous, as no test is about time: a busy machine must not turn a slow one red.
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // Vitest's own default leaves a core idle, which of two is half of the machine.
          maxWorkers: availableParallelism(),
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "browser",
          include: ["**/*.browser.test.ts"],
          exclude: ["**/node_modules/**", "dist/**"],
          // One Chromium at a time; the first run on a software adapter compiles shaders for seconds.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
