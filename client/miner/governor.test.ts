import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defaultSettings, type PageSignals } from "./contract.ts";
import { govern, type Surroundings } from "./governor.ts";

const calm: PageSignals = {
  visible: true,
  frameMs: 16,
  onBattery: false,
  metered: false,
  personActive: null,
  storagePersisted: null,
};
const around = (signals: Partial<PageSignals> = {}, rest: Partial<Surroundings> = {}): Surroundings => ({
  signals: { ...calm, ...signals },
  bestFrameMs: 16,
  pressure: null,
  hour: 12,
  ...rest,
});

describe("may the miner compute?", () => {
  it("yes, when nothing speaks against it or nothing is known", () => {
    expect(govern(defaultSettings, around(), 1)).toEqual({ run: true, why: null, duty: 1 });
    expect(govern(defaultSettings, { signals: null, bestFrameMs: null, pressure: null, hour: 0 }, 1).run).toBe(true);
  });

  it.each([
    [{ onBattery: true }, { pauseOnBattery: true }, "on battery"],
    [{ metered: true }, { pauseOnMetered: true }, "on a metered connection"],
    [{ personActive: true }, { pauseWhenActive: true }, "you are using this machine"],
  ])("not with %j, unless the person allows it", (signals, setting, why) => {
    expect(govern({ ...defaultSettings, ...setting }, around(signals), 1)).toMatchObject({ run: false, why });
    const allowed = Object.fromEntries(Object.keys(setting).map((key) => [key, false]));
    expect(govern({ ...defaultSettings, ...allowed }, around(signals), 1).run).toBe(true);
  });

  it("only within its hours, also across midnight", () => {
    const runs = (hours: [number, number], hour: number) =>
      govern({ ...defaultSettings, hours }, around({}, { hour }), 1).run;
    expect([8, 9, 16, 17].map((hour) => runs([9, 17], hour))).toEqual([false, true, true, false]);
    expect([21, 22, 3, 6].map((hour) => runs([22, 6], hour))).toEqual([false, true, true, false]);
    expect(runs([5, 5], 12)).toBe(true);
  });
});

describe("how much", () => {
  it("falls fast while frames are slow, to a tenth at the least, and recovers slowly", () => {
    let duty = 1;
    const slow = () => {
      duty = govern(defaultSettings, around({ frameMs: 40 }), duty).duty;
      return duty;
    };
    expect(slow()).toBeCloseTo(0.7);
    for (let i = 0; i < 7; i++) slow();
    expect(duty).toBe(0.1);
    expect(govern(defaultSettings, around(), duty).duty).toBeCloseTo(0.12);
  });

  it("looks at frames while the page is visible, and at the processor's pressure while it is hidden", () => {
    expect(govern(defaultSettings, around({ visible: false, frameMs: 400 }), 0.5).duty).toBeGreaterThan(0.5);
    expect(govern(defaultSettings, around({ visible: false }, { pressure: "critical" }), 0.5).duty).toBeLessThan(0.5);
    expect(govern(defaultSettings, around({ visible: false }, { pressure: "serious" }), 0.5).duty).toBe(0.5);
    expect(govern(defaultSettings, around({}, { pressure: "critical" }), 0.5).duty).toBeGreaterThan(0.5);
    const dedicated = { ...defaultSettings, yieldToFrames: false };
    expect(govern(dedicated, around({ visible: false }, { pressure: "critical" }), 1).duty).toBe(1);
  });

  it("takes a slow display for no slow page, and looks away where it is told to", () => {
    const thirtyHertz = around({ frameMs: 33 }, { bestFrameMs: 33 });
    expect(govern(defaultSettings, thirtyHertz, 1).duty).toBe(1);
    expect(govern(defaultSettings, around({ frameMs: 60 }, { bestFrameMs: 33 }), 1).duty).toBeCloseTo(0.7);
    expect(govern({ ...defaultSettings, yieldToFrames: false }, around({ frameMs: 60 }), 1).duty).toBe(1);
  });

  it("stays between a tenth and what the person allows", () => {
    const pressure = fc.constantFrom("nominal", "fair", "serious", "critical", null);
    const property = fc.property(
      fc.double({ min: 0.1, max: 1, noNaN: true }),
      fc.array(fc.tuple(fc.double({ min: 1, max: 200, noNaN: true }), pressure), { maxLength: 50 }),
      (allowed, moments) => {
        let duty = 1;
        for (const [frameMs, pressed] of moments) {
          duty = govern({ ...defaultSettings, duty: allowed }, around({ frameMs }, { pressure: pressed }), duty).duty;
          expect(duty).toBeGreaterThanOrEqual(0.1);
          expect(duty).toBeLessThanOrEqual(allowed);
        }
      },
    );
    fc.assert(property);
  });
});
