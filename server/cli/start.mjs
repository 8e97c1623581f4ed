/**
 * `npm start`: sets up what a fresh clone lacks, then runs the hub. `--dev` (`npm run dev`) rebuilds the page and
 * restarts the hub when their sources change.
 */
import process from "node:process";
import { run, stopAll } from "./child.mjs";
import { childEnv, ensureClient, ensureDependencies, node24, root } from "./ensure.mjs";

const args = process.argv.slice(2).filter((argument) => argument !== "--dev");
const develop = process.argv.includes("--dev");

await ensureDependencies();
await ensureClient();
const options = { show: true, cwd: root, env: childEnv() };
if (develop) {
  const page = run(node24(), ["node_modules/vite/bin/vite.js", "build", "--watch", "--logLevel", "warn"], options);
  const hub = run(node24(), ["--watch", "server/main.ts", ...args], options);
  await Promise.race([page, hub]);
  stopAll();
} else {
  const { code } = await run(node24(), ["server/main.ts", ...args], options);
  process.exit(code);
}
