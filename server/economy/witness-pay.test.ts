import { expect, it } from "vitest";
import type { OwnerId } from "../../shared/ids.ts";
import { assertBalanced } from "./ledger.ts";
import { payWords, WORD_PAY } from "./witness-pay.ts";

const fact = { owner: "own_phone" as OwnerId, words: 24, at: 5 };

it("pays a dozen words at once, into matured pay, once", () => {
  const paid = payWords(fact, 12, "commons", 10n ** 12n);
  expect(paid?.amount).toBe(12n * WORD_PAY);
  expect(paid?.transfer).toMatchObject({ id: "words:own_phone:24", kind: "pool-work", task: null });
  expect(paid?.transfer.legs.map(({ account, amount }) => [account, amount])).toEqual([
    ["miner:own_phone", 12_000n],
    ["pool:commons", -12_000n],
  ]);
  if (paid) assertBalanced(paid.transfer);
});

it.each([
  [500_000n, 5_000n],
  [1_200_000n, 12_000n],
  [99n, undefined],
  [0n, undefined],
])("takes at most a hundredth of a pool of %d: %d", (pool, amount) => {
  expect(payWords(fact, 12, "commons", pool)?.amount).toBe(amount);
});
