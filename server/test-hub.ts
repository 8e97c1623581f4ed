import { pino } from "pino";
import { expect } from "vitest";
import { assert } from "../shared/result.ts";
import { loadConfig } from "./config.ts";
import { type HubOptions, type RunningHub, startHub } from "./start-hub.ts";

/** A hub on a folder and any free port, without pages; what ends it fails the test. */
export function openHub(
  dataDir: string,
  { env = {}, ...options }: { env?: Record<string, string> } & Partial<HubOptions> = {},
): Promise<RunningHub> {
  const config = loadConfig({ TABGRID_DATA: dataDir, TABGRID_PORT: "0", ...env });
  assert(config.ok, "the settings are valid");
  const fatal = (error: unknown) => expect.fail(String(error));
  const log = pino({ level: "silent" });
  return startHub({ config: config.value, log, version: "test", clientDir: null, fatal, ...options });
}
