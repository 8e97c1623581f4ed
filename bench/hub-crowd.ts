import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { deviceClassOf } from "../server/core/device-class.ts";
import type { CoreModel } from "../server/core/events.ts";
import { freshStanding, groundKey, PROVEN_PASSES } from "../server/core/trust.ts";
import { accounts } from "../server/economy/accounts.ts";
import { legsOf, type Transfer } from "../server/economy/ledger.ts";
import { minerIdOf } from "../server/sockets/identity.ts";
import type { RunningHub } from "../server/start-hub.ts";
import { type ModelKey, type OwnerId, ownerOf } from "../shared/ids.ts";
import { tensorsHash } from "../shared/tensors-hash.ts";
import type { Ask } from "./hub-miners.ts";

/** The hub bench's side of the process that holds its miners, and what those miners have behind them when they come. */

export const MODEL = "digits@1" as ModelKey;
/** Passed checks of each owner: enough that its `fast` answers are checked at the lowest rate. */
const PASSED = PROVEN_PASSES + 20;
const PRICE = 1_000n;

export class Crowd {
  readonly #child: ChildProcess = fork(fileURLToPath(new URL("hub-miners.ts", import.meta.url)), {
    serialization: "advanced",
    execArgv: [],
  });

  /** One question at a time. */
  ask<T>(ask: Ask): Promise<T> {
    return new Promise((resolve, reject) => {
      const died = () => reject(new Error(`${ask.kind}: the miners' process ended`));
      this.#child.once("exit", died);
      this.#child.once("message", (message) => {
        this.#child.off("exit", died);
        const { value, error } = message as { value: T; error?: string };
        if (error === undefined) resolve(value);
        else reject(new Error(`${ask.kind}: ${error}`));
      });
      this.#child.send(ask);
    });
  }

  close(): void {
    if (this.#child.connected) this.#child.disconnect();
  }
}

/** Writes the standings that the owners of these keys have earned, and the held pay that they would lose by cheating. */
export async function preset(hub: RunningHub, publicKeys: readonly string[]): Promise<void> {
  const { golden } = hub.state.models.get(MODEL) as CoreModel;
  const deviceClass = deviceClassOf(tensorsHash(golden.flatMap(({ outputs }) => outputs)));
  const ground = groundKey({ model: MODEL, runtime: "wasm", deviceClass });
  const at = Date.now();
  const owners = publicKeys.map((key) => ownerOf(minerIdOf(Buffer.from(key, "base64"))));
  const standings = owners.map((owner) => ({
    ...freshStanding(owner, at),
    alpha: 1 + PASSED,
    passed: { [ground]: PASSED },
    proven: { [ground]: PASSED },
  }));
  await hub.store.commit({ standings, transfers: owners.map((owner) => heldPay(owner, at)) });
}

function heldPay(owner: OwnerId, at: number): Transfer {
  const amount = PRICE * BigInt(PASSED);
  const gains = new Map([
    [accounts.issuer, -amount],
    [accounts.minerHeld(owner), amount],
  ]);
  return { id: `grant:${owner}:bench`, kind: "grant", at, task: null, legs: legsOf(gains) };
}
