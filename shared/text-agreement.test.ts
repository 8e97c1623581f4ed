import { describe, expect, it } from "vitest";
import {
  addTokens,
  compareText,
  emptyTextPool,
  mergeTextPools,
  type TextTolerance,
  type TokenEvidence,
} from "./text-agreement.ts";

const tolerance: TextTolerance = {
  kind: "sampled-text",
  tokens: 512,
  meanPass: 1e-4,
  meanFail: 5e-4,
  tokenPass: 1e-3,
  tokenFail: 5e-3,
  greyShare: 4 / 512,
};
const token = (delta: number, margin = 0): TokenEvidence => ({
  claimedLogProbability: -2 + delta,
  logProbability: -2,
  margin,
});
/** A pool of `count` tokens, of which the first ones are as given. */
const poolOf = (count: number, ordinary: number, ...special: TokenEvidence[]) =>
  addTokens(
    emptyTextPool,
    Array.from({ length: count }, (_, i) => special[i] ?? token(ordinary)),
    tolerance,
  );
const grade = (...given: Parameters<typeof poolOf>) => compareText(tolerance, poolOf(...given)).agreement;

describe("compareText", () => {
  it("passes what honest devices do, and is grey between the thresholds of the mean", () => {
    expect(grade(512, 5e-5)).toBe("PASS");
    expect(grade(512, 3e-4)).toBe("GREY");
    expect(grade(512, 6e-4)).toBe("FAIL");
  });

  it("fails right log-probabilities with wrong draws: the prefill attack", () => {
    const wrong = token(0, 0.2);
    expect(grade(512, 0, wrong)).toBe("PASS");
    expect(grade(512, 0, wrong, wrong)).toBe("FAIL");
    expect(grade(512, 0, token(0, Number.POSITIVE_INFINITY), wrong)).toBe("FAIL");
  });

  it("does not count a draw that lost by no more than honest logits differ", () => {
    expect(grade(512, 0, ...Array.from({ length: 100 }, () => token(0, 9e-4)))).toBe("PASS");
  });

  it("fails a grey share above the one of honest pools, although the mean passes", () => {
    const grey = token(2e-3);
    expect(grade(512, 0, grey, grey, grey, grey)).toBe("PASS");
    expect(grade(512, 0, grey, grey, grey, grey, grey)).toBe("FAIL");
  });

  it("passes nobody on too few tokens, and fails at once what the missing ones could not mend", () => {
    expect(compareText(tolerance, poolOf(64, 0))).toMatchObject({
      agreement: "GREY",
      what: "64 of 512 tokens needed",
    });
    expect(grade(64, 1)).toBe("FAIL");
    expect(grade(2, 0.1)).toBe("FAIL");
    expect(grade(1, 0.1)).toBe("GREY");
  });

  it("fails what is not a number, however it is claimed", () => {
    expect(grade(512, Number.NaN)).toBe("FAIL");
    expect(grade(512, Number.NEGATIVE_INFINITY)).toBe("FAIL");
    expect(grade(512, 0, token(0, Number.NaN), token(0, Number.NaN))).toBe("FAIL");
  });

  it("pools add up", () => {
    const [a, b] = [poolOf(300, 5e-5, token(2e-3)), poolOf(300, 5e-5, token(1))];
    const merged = mergeTextPools(a, b);
    expect(merged).toMatchObject({ tokens: 600, grey: 1, failed: 1 });
    expect(compareText(tolerance, a).agreement).toBe("GREY");
    expect(compareText(tolerance, merged).agreement).toBe("FAIL"); // half a nat in one token
    expect(compareText(tolerance, mergeTextPools(a, poolOf(300, 5e-5))).agreement).toBe("PASS");
  });
});
