import type { OwnerId } from "../../shared/ids.ts";
import type { Millis } from "../../shared/time.ts";
import { type Ground, groundKey } from "./trust.ts";

/**
 * Device classes and their faults (../shared/policy.md, "Fault of a device, fault of a person"). A class is what the bits
 * of a device's known answers say, never what its adapter claims: two devices with equal bits behave alike.
 *
 * A mismatch is first a device's fault. Where three proven owners of a class, on different networks, fail known answers
 * that the hub made afresh, the class is quarantined for that model and runtime. Only such failures count: live work
 * does not, so whoever passes known answers and fails live work keeps its strikes.
 */
const WINDOW_MS = 86_400_000;
const OWNERS_OF_A_FAULT = 3;

/** Enough of the digest to tell classes apart, short enough to read. */
export const deviceClassOf = (digest: string): string => digest.slice(0, 16);

interface Failure {
  owner: OwnerId;
  network: string | null;
  at: Millis;
}

export class DeviceClasses {
  #failures = new Map<string, Failure[]>();
  #quarantined = new Set<string>();
  /** What proven devices of a class answer to the renewed probes. */
  #renewed = new Map<string, { madeAt: Millis; digest: string }>();

  isQuarantined(ground: Ground): boolean {
    return this.#quarantined.size > 0 && this.#quarantined.has(groundKey(ground));
  }

  rule(ground: Ground, quarantined: boolean): void {
    const key = groundKey(ground);
    if (quarantined) this.#quarantined.add(key);
    else this.#quarantined.delete(key);
    this.#failures.delete(key);
  }

  /**
   * The class of a device that showed a class's bits on the fixed vectors, `digest` being those of its renewed ones. Who
   * answers these otherwise than the first proven device of the class did since they were renewed is of another class,
   * until the next renewal: its fixed answers may be somebody else's.
   */
  renewed(ground: Ground, madeAt: Millis, digest: string, isProven: boolean): string {
    const key = groundKey(ground);
    const known = this.#renewed.get(key);
    if (known?.madeAt === madeAt) {
      return known.digest === digest ? ground.deviceClass : `${ground.deviceClass.slice(0, 8)}${digest.slice(0, 8)}`;
    }
    if (isProven) this.#renewed.set(key, { madeAt, digest });
    return ground.deviceClass;
  }

  /** A proven owner failed a known answer. Returns the owners whose failures make it a fault of the class, or null. */
  fail(ground: Ground, owner: OwnerId, network: string | null, at: Millis): OwnerId[] | null {
    const key = groundKey(ground);
    const recent = (this.#failures.get(key) ?? []).filter(
      (one) => one.at + WINDOW_MS > at && one.owner !== owner && (network === null || one.network !== network),
    );
    recent.push({ owner, network, at });
    this.#failures.set(key, recent);
    return recent.length >= OWNERS_OF_A_FAULT ? recent.map((one) => one.owner) : null;
  }
}
