import { mkdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import { precompress } from "./api/precompress.ts";
import { type Config, loadConfig } from "./config.ts";
import { type RunningHub, startHub } from "./start-hub.ts";
import { StoreError } from "./store/store.ts";

/** The hub as a process: settings in, sentences out, and a clean end on Ctrl-C. */

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };

function fail(sentence: string): never {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

/** What went wrong at the start, as one sentence where it is something that a person can act on. */
function sentenceFor(error: unknown, config: Config): string {
  if (error instanceof StoreError) return error.message;
  const { code, message } = error as NodeJS.ErrnoException;
  const place = `${config.host}:${config.port}`;
  if (code === "EADDRINUSE")
    return `Port ${config.port} on ${config.host} is in use: end what runs there, or set TABGRID_PORT to another one.`;
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND")
    return `This machine has no address ${config.host}: set TABGRID_HOST to one of its own.`;
  if (code === "EACCES" && message.includes("listen"))
    return `This user may not listen on ${place}: set TABGRID_PORT to a port above 1023.`;
  if (code === "EACCES" || code === "EROFS" || code === "ENOTDIR" || code === "ENOSPC") {
    return `The data folder ${config.dataDir} cannot be written (${code}): make it writable, or set TABGRID_DATA to another folder.`;
  }
  return `The hub could not start: ${error instanceof Error ? error.message : String(error)}`;
}

function announce(hub: RunningHub, config: Config): void {
  const { url, firstKey, adminToken } = hub;
  const shown = (file: string) => {
    const near = relative(process.cwd(), file);
    return near.startsWith("..") ? file : near;
  };
  const token =
    adminToken.origin === "made"
      ? `${url}/console#token=${adminToken.value}`
      : `${url}/console   (operator token: ${adminToken.file ? shown(adminToken.file) : "TABGRID_ADMIN_TOKEN"})`;
  const key =
    firstKey.origin === "made"
      ? `key ${firstKey.value}`
      : `key in ${firstKey.file ? shown(firstKey.file) : "TABGRID_API_KEY"}`;
  const bearer = firstKey.file ? `$(cat ${shown(firstKey.file)})` : "$TABGRID_API_KEY";
  const insecure = config.tls ? " -k" : "";
  process.stdout.write(`
Tabgrid ${version} is running.

  contribute   ${url}/
  console      ${token}
  API          ${url}/v2 and ${url}/v1   (${key})

Try it now; the reference node answers until a tab does:

  curl -s${insecure} ${url}/v2/models/digits/infer -H "Authorization: Bearer ${bearer}" -H "Content-Type: application/json" -d @models/digits/examples/seven.json

Ctrl-C ends it.
`);
}

async function main(): Promise<void> {
  const loaded = loadConfig(process.env);
  if (!loaded.ok) fail(loaded.error.join("\n"));
  const config = loaded.value;
  const log = pino({ level: "warn", base: null }, pino.destination({ dest: 2, sync: true }));
  const clientDir = join(root, "dist/client");
  mkdirSync(clientDir, { recursive: true });

  let hub: RunningHub;
  try {
    const fatal = (error: unknown) => {
      log.fatal({ err: error }, "the hub cannot go on");
      process.exit(70);
    };
    hub = await startHub({ config, log, version, clientDir, fatal });
  } catch (error) {
    fail(sentenceFor(error, config));
  }
  announce(hub, config);
  precompress(clientDir).catch((error) => log.warn({ err: error }, "the pages could not be precompressed"));

  let endingSince = 0;
  const end = () => {
    // A terminal may deliver one Ctrl-C twice (to the group, and through npm); a second press comes later.
    if (endingSince > 0 && Date.now() - endingSince < 1_000) return;
    if (endingSince > 0) process.exit(130);
    endingSince = Date.now();
    const late = setTimeout(() => process.exit(1), 5_000);
    late.unref();
    hub.close().then(
      () => process.exit(0),
      (error) => {
        log.error({ err: error }, "did not end cleanly");
        process.exit(1);
      },
    );
  };
  process.on("SIGINT", end);
  process.on("SIGTERM", end);
}

await main();
