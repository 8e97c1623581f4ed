import { describe, expect, it } from "vitest";
import type { ModelKey, OwnerId } from "../../shared/ids.ts";
import { seededRng } from "../../shared/random.ts";
import { tensorOf } from "../../shared/tensor.ts";
import { DeviceClasses } from "./device-class.ts";
import type { CoreModel } from "./events.ts";
import { freshInputs, KnownAnswers } from "./known-answers.ts";

const ground = { model: "m@1" as ModelKey, runtime: "webgpu", deviceClass: "c1" };
const DAY_MS = 86_400_000;
const owner = (name: string) => name as OwnerId;

describe("DeviceClasses", () => {
  it("takes three owners on three networks within a day", () => {
    const classes = new DeviceClasses();
    expect(classes.fail(ground, owner("a"), "n1", 0)).toBeNull();
    expect(classes.fail(ground, owner("a"), "n1", 1)).toBeNull();
    expect(classes.fail(ground, owner("b"), "n1", 2)).toBeNull(); // the same network
    expect(classes.fail({ ...ground, runtime: "wasm" }, owner("c"), "n3", 3)).toBeNull();
    expect(classes.fail(ground, owner("c"), "n3", 4)).toBeNull();
    expect(classes.fail(ground, owner("d"), "n4", 5)).toEqual(["b", "c", "d"]);
  });

  it("forgets failures of more than a day ago", () => {
    const classes = new DeviceClasses();
    classes.fail(ground, owner("a"), "n1", 0);
    classes.fail(ground, owner("b"), "n2", 1);
    expect(classes.fail(ground, owner("c"), "n3", DAY_MS + 1)).toBeNull();
  });

  it("needs different owners alone where addresses carry no evidence", () => {
    const classes = new DeviceClasses();
    classes.fail(ground, owner("a"), null, 0);
    classes.fail(ground, owner("b"), null, 0);
    expect(classes.fail(ground, owner("c"), null, 0)).toEqual(["a", "b", "c"]);
  });

  it("is ruled on by ground", () => {
    const classes = new DeviceClasses();
    classes.rule(ground, true);
    expect(classes.isQuarantined(ground)).toBe(true);
    expect(classes.isQuarantined({ ...ground, deviceClass: "c2" })).toBe(false);
    classes.rule(ground, false);
    expect(classes.isQuarantined(ground)).toBe(false);
  });
});

describe("KnownAnswers", () => {
  const known = (commitment: string) => ({
    model: ground.model,
    inputs: [],
    inputHash: commitment,
    outputs: [],
    commitment,
    mode: "run" as const,
    referenceMs: 1,
    givenTo: new Set<OwnerId>(),
  });

  it("gives none twice to an owner", () => {
    const answers = new KnownAnswers();
    answers.add(known("one"));
    expect(answers.take(ground.model, owner("a"))?.commitment).toBe("one");
    expect(answers.take(ground.model, owner("a"))).toBeNull();
    expect(answers.take(ground.model, owner("b"))?.commitment).toBe("one");
    answers.add(known("two"));
    expect(answers.take(ground.model, owner("a"))?.commitment).toBe("two");
  });

  it("retires one that many have seen, and keeps few", () => {
    const answers = new KnownAnswers();
    answers.add(known("one"));
    for (let i = 0; i < 64; i++) expect(answers.take(ground.model, owner(`o${i}`))).not.toBeNull();
    expect(answers.take(ground.model, owner("late"))).toBeNull();
    for (let i = 0; i < 20; i++) answers.add(known(`${i}`));
    let left = 0;
    while (answers.take(ground.model, owner("x"))) left++;
    expect(left).toBe(8);
  });
});

describe("freshInputs", () => {
  const vector = (...values: number[]) => ({
    inputs: [tensorOf("x", "float32", [values.length], Float32Array.from(values))],
    outputs: [],
  });
  const modelWith = (...golden: CoreModel["golden"]) => ({ golden }) as CoreModel;
  const numbers = (inputs: ReturnType<typeof freshInputs>) => [
    ...new Float32Array((inputs?.[0]?.data ?? new Uint8Array()).slice().buffer),
  ];

  it("joins two known vectors, place for place", () => {
    const model = modelWith(vector(1, 2, 3, 4), vector(10, 20, 30, 40));
    const rng = seededRng(5);
    for (let i = 0; i < 50; i++) {
      const made = numbers(freshInputs(model, rng));
      expect(made).toHaveLength(4);
      for (const [place, value] of made.entries()) expect([place + 1, 10 * (place + 1)]).toContain(value);
      expect(new Set(made.map((value) => value >= 10)).size).toBe(2);
    }
  });

  it("is neither of two vectors that differ in their middle alone", () => {
    const [one, two] = [vector(0, 0, 1, 2, 3, 0, 0, 0, 0, 0), vector(0, 0, 4, 2, 6, 0, 0, 0, 0, 0)];
    const model = modelWith(one, two);
    const rng = seededRng(7);
    const known = model.golden.map(({ inputs }) => numbers(inputs).join());
    for (let i = 0; i < 50; i++) expect(known).not.toContain(numbers(freshInputs(model, rng)).join());
  });

  it("makes something of one vector, of one number, and of none", () => {
    const rng = seededRng(6);
    expect(numbers(freshInputs(modelWith(vector(1, 2, 3)), rng)).sort()).toEqual([1, 2, 3]);
    expect(numbers(freshInputs(modelWith(vector(8)), rng))[0]).not.toBe(8);
    expect(freshInputs(modelWith(), rng)).toBeNull();
  });
});
