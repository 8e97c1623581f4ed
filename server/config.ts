import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { resolve } from "node:path";
import { z } from "zod";
import { err, ok, type Result } from "../shared/result.ts";
import { type RailName, railNames } from "./settlement/rails.ts";

/** Everything that the environment may say about a hub, read once at start. */
export interface Config {
  host: string;
  /** 0 takes any free port. */
  port: number;
  /** PEM, checked to belong together; null serves plain HTTP. */
  tls: { cert: Buffer; key: Buffer } | null;
  /** As Express takes it: trust none, so many hops, or these addresses. */
  trustProxy: false | number | string[];
  /** Absolute. */
  dataDir: string;
  /** null: the hub makes one. */
  adminToken: string | null;
  /** null: the hub makes one and keeps it in the data folder. */
  apiKey: string | null;
  /** null: the embedded database in the data folder. */
  databaseUrl: string | null;
  /** Where models are imported from; no slash at the end. */
  hfEndpoint: string;
  /** How earnings leave the ledger when an epoch closes. */
  payouts: RailName;
}

const text = z.string();
const proxyNames = ["loopback", "linklocal", "uniquelocal"];

function isAddressRange(range: string): boolean {
  const [address = "", prefix, ...rest] = range.split("/");
  const bits = isIP(address) === 6 ? 128 : 32;
  const prefixFits = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
  return proxyNames.includes(range) || (isIP(address) !== 0 && rest.length === 0 && prefixFits);
}

const isHost = (host: string): boolean =>
  isIP(host) !== 0 ||
  (host.length <= 253 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i.test(host));

const isUrl = (...protocols: string[]) => {
  return (url: string): boolean =>
    protocols.includes(URL.parse(url)?.protocol ?? "") && URL.parse(url)?.hostname !== "";
};

const trustProxy = text.transform((given, context): Config["trustProxy"] => {
  if (given === "false") return false;
  if (/^\d{1,2}$/.test(given)) return Number(given) || false;
  const ranges = given.split(",").map((range) => range.trim());
  if (!ranges.every(isAddressRange)) context.addIssue({ code: "custom" });
  return ranges;
});
const secret = text.regex(/^[\x21-\x7e]{16,256}$/);

const environmentSchema = z.object({
  TABGRID_HOST: text.refine(isHost).default("127.0.0.1"),
  TABGRID_PORT: text
    .regex(/^\d{1,5}$/)
    .transform(Number)
    .pipe(z.int().max(65_535))
    .default(8787),
  TABGRID_TLS_CERT: text.optional(),
  TABGRID_TLS_KEY: text.optional(),
  TABGRID_TRUST_PROXY: trustProxy.default(false),
  TABGRID_DATA: text.default("./data"),
  TABGRID_ADMIN_TOKEN: secret.optional(),
  TABGRID_API_KEY: secret.optional(),
  DATABASE_URL: text.refine(isUrl("postgres:", "postgresql:")).optional(),
  TABGRID_PAYOUTS: z.enum(railNames).default("off"),
  HF_ENDPOINT: text.refine(isUrl("http:", "https:")).default("https://huggingface.co"),
});
type Variable = keyof z.infer<typeof environmentSchema>;
export const variables = Object.keys(environmentSchema.shape) as Variable[];

const expected: Record<Variable, string> = {
  TABGRID_HOST: "an IP address or a host name",
  TABGRID_PORT: "a whole number from 0 to 65535, where 0 takes any free port",
  TABGRID_TLS_CERT: "the path of a PEM certificate",
  TABGRID_TLS_KEY: "the path of that certificate's PEM private key",
  TABGRID_TRUST_PROXY: `false, a number of proxies up to 99, or a comma-separated list of IP addresses, CIDR ranges and ${proxyNames.join(", ")}`,
  TABGRID_DATA: "the path of a folder",
  TABGRID_ADMIN_TOKEN: "16 to 256 visible ASCII characters",
  TABGRID_API_KEY: "16 to 256 visible ASCII characters",
  DATABASE_URL: "postgres://user:password@host:port/database",
  TABGRID_PAYOUTS: railNames.join(" or "),
  HF_ENDPOINT: "an address that starts with http:// or https://",
};
const secrets: readonly Variable[] = ["TABGRID_ADMIN_TOKEN", "TABGRID_API_KEY", "DATABASE_URL"];

/**
 * Reads the environment; an empty variable counts as not given. The error holds one sentence for every fault there is,
 * and never a secret.
 */
export function loadConfig(env: Record<string, string | undefined>): Result<Config, string[]> {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value));
  const parsed = environmentSchema.safeParse(given);
  const wrong = new Set(parsed.error?.issues.map((issue) => issue.path[0] as Variable));
  const tls = loadTls(given.TABGRID_TLS_CERT, given.TABGRID_TLS_KEY);
  const faults = [
    ...unknownVariables(given),
    ...[...wrong].map((name) => fault(name, secrets.includes(name) ? hidden(given[name]) : `"${given[name]}"`)),
    ...(tls.ok ? [] : tls.error),
  ];
  if (!parsed.success || !tls.ok || faults.length > 0) return err(faults);
  const values = parsed.data;
  return ok({
    host: values.TABGRID_HOST,
    port: values.TABGRID_PORT,
    tls: tls.value,
    trustProxy: values.TABGRID_TRUST_PROXY,
    dataDir: resolve(values.TABGRID_DATA),
    adminToken: values.TABGRID_ADMIN_TOKEN ?? null,
    apiKey: values.TABGRID_API_KEY ?? null,
    databaseUrl: values.DATABASE_URL ?? null,
    payouts: values.TABGRID_PAYOUTS,
    hfEndpoint: values.HF_ENDPOINT.replace(/\/+$/, ""),
  });
}

const fault = (name: Variable, got: string): string => `${name}: expected ${expected[name]}, got ${got}.`;

const hidden = (value = ""): string =>
  `${value.length} characters${/[^\x21-\x7e]/.test(value) ? ", some of them spaces or not ASCII" : ""} (not shown, as it is a secret)`;

function unknownVariables(given: Record<string, string | undefined>): string[] {
  const known: readonly string[] = variables;
  return Object.keys(given)
    .filter((name) => name.startsWith("TABGRID_") && !known.includes(name))
    .map((name) => {
      const nearest = known.toSorted((a, b) => editDistance(a, name) - editDistance(b, name))[0];
      return `${name} is not a setting of Tabgrid; the nearest one is ${nearest}.`;
    });
}

/** Levenshtein: insertions, deletions and substitutions between two names. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (const letter of a) {
    let diagonal = row[0] ?? 0;
    row = row.reduce<number[]>((next, above, column) => {
      const left = next[column - 1];
      next.push(
        left === undefined ? above + 1 : Math.min(left + 1, above + 1, diagonal + (b[column - 1] === letter ? 0 : 1)),
      );
      diagonal = above;
      return next;
    }, []);
  }
  return row[b.length] ?? 0;
}

function loadTls(certPath: string | undefined, keyPath: string | undefined): Result<Config["tls"], string[]> {
  if (!certPath && !keyPath) return ok(null);
  if (!certPath) return err(["TABGRID_TLS_KEY is given without TABGRID_TLS_CERT: HTTPS needs both."]);
  if (!keyPath) return err(["TABGRID_TLS_CERT is given without TABGRID_TLS_KEY: HTTPS needs both."]);
  const cert = readPem("TABGRID_TLS_CERT", certPath, (pem) => new X509Certificate(pem));
  const key = readPem("TABGRID_TLS_KEY", keyPath, createPrivateKey);
  if (!cert.ok || !key.ok) return err([cert, key].flatMap((read) => (read.ok ? [] : [read.error])));
  if (!cert.value.parsed.checkPrivateKey(key.value.parsed)) {
    return err([fault("TABGRID_TLS_KEY", `the key of another certificate, "${keyPath}"`)]);
  }
  return ok({ cert: cert.value.pem, key: key.value.pem });
}

function readPem<T>(
  name: Variable,
  path: string,
  parse: (pem: Buffer) => T,
): Result<{ pem: Buffer; parsed: T }, string> {
  try {
    const pem = readFileSync(path);
    return ok({ pem, parsed: parse(pem) });
  } catch (error) {
    return err(fault(name, `"${path}" (${error instanceof Error ? error.message : error})`));
  }
}
