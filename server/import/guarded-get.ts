import { lookup } from "node:dns";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { networkOf } from "../sockets/network.ts";

/**
 * GET for imports, so that the hub fetches nothing but what its operator meant: addresses of `HF_ENDPOINT`, and where they
 * redirect to, which must be the same host or HTTPS on a public address (as resolved for the very connection).
 */
export interface Got {
  status: number;
  headers: IncomingMessage["headers"];
  body: IncomingMessage;
  /** After redirects. */
  url: URL;
}

const REDIRECTS_MAX = 5;
const IDLE_MS = 30_000;

/** @throws Error, in a sentence, where the network or the rule above stops it */
export async function guardedGet(
  address: string,
  endpoint: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Got> {
  const home = new URL(endpoint);
  let url = new URL(address);
  for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
    const fault = refusal(url, home);
    if (fault) throw new Error(`${url.origin} is not fetched: ${fault}`);
    const body = await get(url, url.host === home.host, headers, signal);
    const status = body.statusCode ?? 0;
    const target = body.headers.location;
    if (![301, 302, 303, 307, 308].includes(status) || target === undefined) {
      return { status, headers: body.headers, body, url };
    }
    body.destroy();
    if (!URL.canParse(target, url)) throw new Error(`${url.origin} redirects to no address`);
    url = new URL(target, url);
  }
  throw new Error(`${home.origin} redirects more than ${REDIRECTS_MAX} times`);
}

/** Why an address may not be fetched; null where it may, as far as its text tells. */
function refusal(url: URL, home: URL): string | null {
  if (url.username || url.password) return "it names a user";
  if (url.host === home.host) {
    const downgraded = home.protocol === "https:" && url.protocol !== "https:";
    return downgraded || !["http:", "https:"].includes(url.protocol) ? `it is ${url.protocol}` : null;
  }
  if (url.protocol !== "https:") return "another host than HF_ENDPOINT's must be HTTPS";
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return isIP(host) !== 0 && networkOf(host) === null ? "its address is private" : null;
}

/** Every address that a name has must be public: the connection may take any of them. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    const hidden = addresses?.find(({ address }) => networkOf(address) === null);
    const fault = error ?? (hidden ? new Error(`${hostname} has the private address ${hidden.address}`) : null);
    if (fault) return callback(fault, "", 0);
    const [first] = addresses;
    if (options.all) callback(null, addresses);
    else callback(null, first?.address ?? "", first?.family);
  });
};

/** The signal ends the request and its body, for as long as either lives. */
function get(
  url: URL,
  isHome: boolean,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new Error("ended"));
    const options = { headers: { "user-agent": "tabgrid", ...headers }, timeout: IDLE_MS };
    const client = url.protocol === "https:" ? https : http;
    const request = client.get(url, { ...options, ...(!isHome && { lookup: publicLookup }) }, (body) => {
      // A body may fail when its reader has gone.
      body.on("error", () => undefined);
      resolve(body);
    });
    const end = () => request.destroy(new Error("ended"));
    signal.addEventListener("abort", end, { once: true });
    request.on("close", () => signal.removeEventListener("abort", end));
    request.on("timeout", () => request.destroy(new Error(`${url.host} was silent for ${IDLE_MS / 1000} s`)));
    request.on("error", reject);
  });
}
