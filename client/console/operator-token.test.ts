import { expect, test } from "vitest";
import { tokenInHash } from "./operator-token.ts";

test.each([
  ["#token=abc", "abc", ""],
  ["#miners&token=a%2Bb", "a+b", "#miners"],
  ["#token=abc&ledger", "abc", "#ledger"],
  ["#token=", null, "#token="],
  ["#miners", null, "#miners"],
  ["", null, ""],
])("%s holds %s and leaves %s", (hash, token, rest) => {
  expect(tokenInHash(hash)).toEqual({ token, rest });
});
