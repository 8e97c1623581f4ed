import type { MinerId, ModelKey, OwnerId } from "../../shared/ids.ts";
import type { SessionRole } from "../../shared/protocol.ts";
import { nextInt, type Rng } from "../../shared/random.ts";
import { type Tensor, tensorOf } from "../../shared/tensor.ts";
import type { CoreModel } from "../core/events.ts";

/**
 * Simulated miners: a toy model whose right answer everyone here can compute, devices whose bits differ by class, and the
 * kinds of people of ../shared/policy.md's mix.
 */
export type Behaviour =
  | "honest"
  /** Hardware that now and then computes wrongly, or gives work up. */
  | "flaky"
  /** Now and then returns zeros instead of computing. */
  | "lazy"
  /** Now and then returns a wrong answer of its own. */
  | "tampering"
  /** Returns an earlier answer. */
  | "replaying"
  /** Returns what another miner was heard to return for this input, and guesses otherwise. */
  | "copying"
  /** Runs a smaller model: always a little wrong, or so little that nobody can be blamed. */
  | "quantising"
  /** Honest until it is trusted. */
  | "sleeper"
  /** Many keys on one network, which tamper alike. */
  | "sybil"
  /** Wrong alike, on networks of their own. */
  | "colluding"
  /** Tampers, and comes back under a new key once it is suspended. */
  | "whitewashing"
  /** Loses connections and forgets work. */
  | "silent";

export const modelOf = (name: string, referenceMs: number | null): CoreModel => ({
  key: `${name}@1` as ModelKey,
  memoryBytes: 1_000_000,
  downloadBytes: 1_000,
  batchLimit: 4,
  rowsIndependent: true,
  comparator: { kind: "dense", relL2Pass: 1e-4, relL2Fail: 5e-4, abs: 1e-5, rel: 1e-4 },
  outputs: [{ name: "y", dtype: "float32", shape: [3] }],
  nonFiniteOutputs: false,
  golden: [3, 5, 7, 11].map((value) => ({ inputs: [inputOf(value)], outputs: rightAnswer(value) })),
  creator: "tabgrid",
  royaltyBasisPoints: 2_000,
  referenceMs,
});

export const inputOf = (value: number): Tensor => tensorOf("x", "float32", [1], Float32Array.of(value));
export const inputValue = (inputs: readonly Tensor[]): number => {
  const { buffer, byteOffset } = (inputs[0] as Tensor).data;
  return new DataView(buffer, byteOffset).getFloat32(0, true);
};
const answerOf = (value: number, factor: number): Tensor[] => [
  tensorOf("y", "float32", [3], Float32Array.of(value * factor, (value + 1) * factor, (2 * value + 3) * factor)),
];
export const rightAnswer = (value: number): Tensor[] => answerOf(value, 1);

/** The right answer in the bits of a device class: honest classes differ by less than PASS. */
export const honestAnswer = (value: number, deviceClass: number): Tensor[] => answerOf(value, 1 + deviceClass * 2e-7);

/** Stands in for SHA-256: equal bytes, equal text. */
export function fingerprint(tensors: readonly Tensor[]): string {
  let text = "";
  for (const { data } of tensors) {
    let hash = 0x811c9dc5;
    for (const byte of data) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
    text += `${hash.toString(16).padStart(8, "0")}${data.byteLength.toString(16)}`;
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    for (let at = 0; at + 4 <= data.byteLength; at += 4) text += view.getUint32(at).toString(16).padStart(8, "0");
  }
  return text;
}

export interface MinerTraits {
  behaviour: Behaviour;
  /** How often a cheat cheats and a flaky device errs. */
  rate: number;
  deviceClass: number;
  network: string | null;
  /** `validator`: takes checks only. */
  role?: SessionRole;
  /** How often it does not answer at all. */
  forgetRate?: number;
  /** Its device differs from its class on some inputs, by less than PASS. */
  oddBits?: boolean;
}

/** Errors that come with the device, not the person: the same inputs go wrong on every device of the class. */
export interface ClassFault {
  deviceClass: number;
  since: number;
  /** Of all inputs. */
  share: number;
}

export class SimMiner {
  readonly traits: MinerTraits;
  readonly rng: Rng;
  name: string;
  /** Answers that it gave so far. */
  answered = 0;
  #last: Tensor[] | null = null;
  #signature: number;

  constructor(name: string, traits: MinerTraits, rng: Rng) {
    this.name = name;
    this.traits = traits;
    this.rng = rng;
    const shared = traits.behaviour === "colluding" || traits.behaviour === "sybil";
    this.#signature = shared ? 1.5 : 2 + rng.next() * 7;
  }

  get miner(): MinerId {
    return `m_${this.name}` as MinerId;
  }
  get owner(): OwnerId {
    return `own_${this.name}` as OwnerId;
  }

  /** The whitewasher's new key. */
  renew(name: string): void {
    this.name = name;
    this.answered = 0;
  }

  /** `deviceClass`: of what it runs on now. */
  answer(
    value: number,
    heard: Tensor[] | undefined,
    faults: readonly ClassFault[],
    now: number,
    deviceClass = this.traits.deviceClass,
  ): Tensor[] {
    this.answered++;
    const { behaviour, rate } = this.traits;
    const honest = faultyOrNot(value, deviceClass, faults, now);
    const cheats = this.rng.next() < rate;
    let given = honest;
    switch (behaviour) {
      case "flaky":
        if (cheats) given = answerOf(value, 1 + 0.01 + this.rng.next());
        break;
      case "lazy":
        if (cheats) given = answerOf(value, 0);
        break;
      case "tampering":
      case "whitewashing":
      case "colluding":
      case "sybil":
        if (cheats) given = answerOf(value, this.#signature);
        break;
      case "replaying":
        if (cheats && this.#last) given = this.#last;
        break;
      case "copying":
        if (cheats) given = heard ?? answerOf(value, this.#signature);
        break;
      case "quantising":
        given = answerOf(value, rate < 0.3 ? 1 + 2.5e-4 : 1 + 2e-3);
        break;
      case "sleeper":
        if (cheats && this.answered > 40) given = answerOf(value, this.#signature);
        break;
      case "honest":
      case "silent":
        break;
    }
    this.#last ??= honest;
    return given;
  }

  /**
   * What it says to a known answer that was renewed: the bits of some devices differ there alone, and who replays has only what
   * is public, `recorded`.
   */
  probed(value: number, deviceClass: number, recorded: readonly Tensor[][]): Tensor[] {
    const { behaviour, oddBits } = this.traits;
    if (behaviour === "replaying") return recorded[0] as Tensor[];
    return honestAnswer(value, oddBits ? deviceClass + 0.5 : deviceClass);
  }

  /** Whether it does not answer at all this time. */
  forgets(): boolean {
    const chance = this.traits.forgetRate ?? 0;
    return chance > 0 && this.rng.next() < chance;
  }
}

/** What a miner shows of itself when it has loaded a model: its answers to the known vectors, and their bits. */
export function showing(miner: SimMiner, deviceClass: number, { golden }: CoreModel, probes: readonly Tensor[][]) {
  const fixed = golden.map(({ inputs }) => honestAnswer(inputValue(inputs), deviceClass));
  const renewed = probes.map((inputs) => miner.probed(inputValue(inputs), deviceClass, fixed));
  const outputs = [...fixed, ...renewed];
  const asked = [...golden.map(({ inputs }) => inputs), ...probes];
  return {
    outputs,
    answers: outputs.map((one, at) => ({ value: inputValue(asked[at] as Tensor[]), outputs: one })),
    digest: fingerprint(fixed.flat()).slice(-16),
    ...(renewed.length > 0 && { renewed: fingerprint(renewed.flat()).slice(-16) }),
  };
}

function faultyOrNot(value: number, deviceClass: number, faults: readonly ClassFault[], now: number): Tensor[] {
  for (const fault of faults) {
    if (fault.deviceClass !== deviceClass || now < fault.since) continue;
    // Which inputs go wrong depends on the class and the input alone, so two devices of the class agree on them.
    if (spread(Math.round(value * 4096) ^ (deviceClass << 24)) < fault.share) {
      return answerOf(value, 1.25 + deviceClass / 64);
    }
  }
  return honestAnswer(value, deviceClass);
}

/** A number's own place in [0, 1): the finaliser of MurmurHash3. */
function spread(of: number): number {
  let hash = of | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000;
}

export const someBehaviour = (rng: Rng): Behaviour => {
  const all: Behaviour[] = [
    ...(["honest", "honest", "honest", "honest", "honest", "honest", "honest", "honest"] as const),
    ...(["flaky", "lazy", "tampering", "replaying", "copying", "quantising"] as const),
    ...(["sleeper", "sybil", "colluding", "colluding", "whitewashing", "silent"] as const),
  ];
  return all[nextInt(rng, all.length)] as Behaviour;
};
