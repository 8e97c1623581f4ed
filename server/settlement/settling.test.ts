import { expect, it } from "vitest";
import type { AccountId, ModelKey, OwnerId } from "../../shared/ids.ts";
import { accounts } from "../economy/accounts.ts";
import { legsOf, type Transfer } from "../economy/ledger.ts";
import { DomainMap } from "./domain-map.ts";
import { Settling } from "./settling.ts";

const ann = "own_ann" as OwnerId;
const bob = "own_bob" as OwnerId;
const model = "digits@1" as ModelKey;

it("knows what an owner has deposited in a model's domain, as others post it", () => {
  const domains = new DomainMap();
  domains.publish("spectra@1" as ModelKey, "physics");
  const settling = new Settling(domains, new Map(), new Map([[accounts.collateral("commons", ann), 100n]]));
  const move = (gains: [AccountId, bigint][]): Transfer => ({
    id: "move",
    kind: "deposit",
    at: 1,
    task: null,
    legs: legsOf(new Map(gains)),
  });
  settling.follow([
    move([
      [accounts.dn(accounts.miner(bob)), -30n],
      [accounts.collateral("physics", bob), 30n],
    ]),
    move([
      [accounts.collateral("commons", ann), -20n],
      [accounts.dnBurned, 20n],
    ]),
  ]);
  expect(settling.depositOf(ann, model)).toBe(80n);
  expect(settling.depositOf(bob, model)).toBe(0n);
  expect(settling.depositOf(bob, "spectra@1" as ModelKey)).toBe(30n);
});
