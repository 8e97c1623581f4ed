import { BlockList, isIP, isIPv6 } from "node:net";

/** Addresses as evidence of distinct people: /24 or /48; loopback and private addresses say nothing (null). */

const privateRanges = new BlockList();
for (const [address, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
] as const) {
  privateRanges.addSubnet(address, bits, "ipv4");
}
privateRanges.addAddress("::1", "ipv6");
privateRanges.addAddress("::", "ipv6");
privateRanges.addSubnet("fc00::", 7, "ipv6");
privateRanges.addSubnet("fe80::", 10, "ipv6");

export function networkOf(address: string): string | null {
  const plain =
    address.startsWith("::ffff:") && isIP(address.slice(7)) === 4 ? address.slice(7) : (address.split("%")[0] ?? "");
  if (isIP(plain) === 0) return null;
  const v6 = isIPv6(plain);
  if (privateRanges.check(plain, v6 ? "ipv6" : "ipv4")) return null;
  if (!v6) return `${plain.split(".").slice(0, 3).join(".")}.0/24`;
  return `${expandIPv6(plain).slice(0, 3).join(":")}::/48`;
}

function expandIPv6(address: string): string[] {
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array<string>(zeros).fill("0"), ...right].map((group) => Number.parseInt(group, 16).toString(16));
}

/** The caller's address seen through the proxies that `trusts` accepts, nearest hop first (Express's own rule). */
export function clientAddress(
  remote: string,
  forwardedFor: string | undefined,
  trusts: (address: string, hop: number) => boolean,
): string {
  const chain = [
    remote,
    ...(forwardedFor ?? "")
      .split(",")
      .map((part) => part.trim())
      .filter(Boolean)
      .reverse(),
  ];
  let at = 0;
  while (at < chain.length - 1 && trusts(chain[at] as string, at)) at++;
  return chain[at] as string;
}
