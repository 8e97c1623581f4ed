import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { failure, type TabgridError } from "../../shared/errors.ts";
import { err, ok, type Result } from "../../shared/result.ts";

/**
 * Where a webhook may go: nowhere inside. A name is resolved, every address of it is looked at, and the connection is made
 * to the very address that was looked at, so that a name cannot change its mind in between.
 */
const inside = new BlockList();
for (const [net, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const) {
  inside.addSubnet(net, bits, "ipv4");
}
const global6 = new BlockList();
global6.addSubnet("2000::", 3, "ipv6");
const inside6 = new BlockList();
for (const [net, bits] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const) {
  inside6.addSubnet(net, bits, "ipv6");
}

/** An address that anybody may reach; IPv4 written as IPv6 is not. */
export function isPublic(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !inside.check(address, "ipv4");
  return family === 6 && global6.check(address, "ipv6") && !inside6.check(address, "ipv6");
}

export const isLoopback = (address: string): boolean => address === "::1" || /^127\./.test(address);

const refused = (expected: string, got: string): TabgridError =>
  failure("invalid-request", `url: expected ${expected}, got ${got}`, { field: "url", expected, got });

/** What the text of a URL alone can tell. */
export function checkUrl(text: string, loopback: boolean): Result<URL, TabgridError> {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url) return err(refused("a URL", "another text"));
  const host = hostOf(url);
  const isLocal = loopback && isLoopback(host);
  if (url.protocol !== "https:" && !(isLocal && url.protocol === "http:")) {
    return err(refused("https", url.protocol.slice(0, -1)));
  }
  if (url.username !== "" || url.password !== "") return err(refused("no user or password", "one"));
  if (isIP(host) !== 0 && !isPublic(host) && !isLocal) return err(refused("a public address", host));
  return ok(url);
}

/** The address to connect to; an error where any address of the name lies inside. */
export async function resolvePublic(url: URL, loopback: boolean): Promise<Result<string, string>> {
  const host = hostOf(url);
  let found: { address: string }[];
  try {
    found = isIP(host) === 0 ? await lookup(host, { all: true }) : [{ address: host }];
  } catch {
    return err(`${host} cannot be resolved`);
  }
  for (const { address } of found) {
    if (!isPublic(address) && !(loopback && isLoopback(address)))
      return err(`${host} is at ${address}, which is private`);
  }
  const first = found[0]?.address;
  return first === undefined ? err(`${host} has no address`) : ok(first);
}

const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[(.*)\]$/, "$1");
