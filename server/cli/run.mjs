/** `node server/cli/run.mjs SCRIPT …`: runs a script of the project on Node 24, after installing what it needs. */
import process from "node:process";
import { run } from "./child.mjs";
import { childEnv, ensureDependencies, fail, node24 } from "./ensure.mjs";

const [script, ...args] = process.argv.slice(2);
if (!script) fail("Say which script to run: `node server/cli/run.mjs server/cli/demo.ts`.");
await ensureDependencies();
const { code } = await run(node24(), [script, ...args], { show: true, env: childEnv() });
process.exit(code);
