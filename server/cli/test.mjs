/**
 * `npm test [-- vitest's own arguments]`: sets up what a fresh clone lacks, a browser included, then runs every test.
 * The last line is `N passed, N failed[, N skipped]`.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { run } from "./child.mjs";
import { childEnv, ensureChromium, ensureClient, ensureDependencies, node24, root } from "./ensure.mjs";

await ensureDependencies();
await ensureClient();
await ensureChromium();

const folder = mkdtempSync(join(tmpdir(), "tabgrid-test-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const report = join(folder, "report.json");
const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
const vitest = ["node_modules/vitest/vitest.mjs", "run", ...reporters, ...process.argv.slice(2)];
const { code } = await run(node24(), vitest, { show: true, cwd: root, env: childEnv() });
console.log(existsSync(report) ? summary(JSON.parse(readFileSync(report, "utf8"))) : "0 passed, 1 failed");
process.exit(code);

/**
 * A file that could not be loaded has no tests to count, and an error outside any test none either: each is a failure.
 *
 * @param {{ numPassedTests: number, numFailedTests: number, numPendingTests: number, numTodoTests: number,
 *   testResults: { status: string, assertionResults: unknown[] }[] }} report
 */
function summary({ numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults }) {
  const unloaded = testResults.filter(
    ({ status, assertionResults }) => status === "failed" && !assertionResults.length,
  );
  const failed = numFailedTests + unloaded.length || (code === 0 ? 0 : 1);
  const skipped = numPendingTests + numTodoTests;
  return `${numPassedTests} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`;
}
