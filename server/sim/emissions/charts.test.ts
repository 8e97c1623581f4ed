import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fanChart, linearAxis, logAxis } from "./fan-chart.ts";
import { figuresOf, quantilesOf } from "./figures.ts";
import { diverging, heatMaps, sequential, shade } from "./heat-map.ts";
import { ofRule, play, routes, rules } from "./runs.ts";

/** What is wrong with the form of an XML text; null: nothing. Knows what the charts are made of: no comments, no CDATA. */
function fault(xml: string): string | null {
  const open: string[] = [];
  let rest = xml.trimEnd();
  while (rest !== "") {
    const [tag, end, name, attributes, isEmpty] =
      /^<(\/?)([a-z]+)((?: [a-zA-Z0-9-]+="[^"<&]*")*)(\/?)>/.exec(rest) ?? [];
    const text = /^(?:[^<>&]|&(?:#\d+|amp|lt|gt);)+/.exec(rest)?.[0];
    const found = tag ?? text;
    if (found === undefined || (text !== undefined && open.length === 0)) return `no XML: ${rest.slice(0, 40)}`;
    const names = [...(attributes ?? "").matchAll(/ ([a-zA-Z0-9-]+)=/g)].map((match) => match[1]);
    if (new Set(names).size < names.length) return `an attribute twice: ${tag}`;
    if (end) {
      if (open.pop() !== name) return `${tag} closes what is not open`;
    } else if (name && !isEmpty) open.push(name);
    rest = rest.slice(found.length);
    if (open.length === 0 && rest !== "") return `more than one root: ${rest.slice(0, 40)}`;
  }
  return open.length > 0 ? `${open.at(-1)} is not closed` : null;
}

const NUMBER = /-?\d+(?:\.\d+)?/g;
const numbersOf = (text: string): number[] => (text.match(NUMBER) ?? []).map(Number);
const attribute = (tag: string, name: string): number => Number(new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1]);

/** Frame, bands (the lower edge, then the upper one backwards) and middle line of every panel, in pixels. */
function panelsIn(svg: string) {
  return svg
    .split('<g class="panel">')
    .slice(1)
    .map((panel) => {
      const frame = /<rect class="frame"[^>]*>/.exec(panel)?.[0] ?? "";
      const [left, top] = [attribute(frame, "x"), attribute(frame, "y")];
      const paths = (kind: string) =>
        [...panel.matchAll(new RegExp(`<path class="${kind}" d="([^"]*)"`, "g"))].map((match) => {
          const numbers = numbersOf(match[1] ?? "");
          return numbers.filter((_, i) => i % 2 === 0).map((x, i) => ({ x, y: numbers[2 * i + 1] ?? Number.NaN }));
        });
      const box = { left, top, right: left + attribute(frame, "width"), bottom: top + attribute(frame, "height") };
      return { box, bands: paths("band"), middle: paths("middle")[0] ?? [] };
    });
}

const study = play(6, 1, () => {});
const figures = figuresOf(study);
const fans = figures.filter(({ svg }) => svg.includes('class="panel"'));

describe("the charts of the study", () => {
  it("are whole XML files that need nothing else", () => {
    expect(fault("<a><b/>1 &#38; 2</a>")).toBe(null);
    for (const bad of [
      "<a>",
      "<a></b>",
      "<a/><b/>",
      "<a>1 & 2</a>",
      "<a>1 < 2</a>",
      '<a b="1" b="2"/>',
      "<a b=1/>",
      "x",
    ])
      expect(fault(bad), bad).not.toBe(null);
    for (const { file, svg } of figures) {
      expect(fault(svg), file).toBe(null);
      expect(svg.replace("http://www.w3.org/2000/svg", ""), file).not.toMatch(
        /href|url\(|http|<script|<style|NaN|undefined/,
      );
    }
  });

  it("draw a fan in order, and inside its frame", () => {
    expect(fans).toHaveLength(4);
    for (const { svg } of fans) {
      const panels = panelsIn(svg);
      expect(panels).toHaveLength(rules.length);
      for (const { box, bands, middle } of panels) {
        const [outer = [], inner = []] = bands.map((band) => {
          const half = band.length / 2;
          return band
            .slice(0, half)
            .map(({ x, y }, i) => ({ x, low: y, high: band[band.length - 1 - i]?.y ?? Number.NaN }));
        });
        expect([outer.length, inner.length, middle.length]).toEqual([middle.length, middle.length, outer.length]);
        expect(middle.length).toBeGreaterThan(60);
        middle.forEach(({ x, y }, i) => {
          const heights = [box.bottom, outer[i]?.low, inner[i]?.low, y, inner[i]?.high, outer[i]?.high, box.top];
          expect(heights).toEqual(heights.toSorted((a, b) => Number(b) - Number(a)));
          expect(x >= box.left && x <= box.right && x === outer[i]?.x && x === inner[i]?.x).toBe(true);
        });
        expect(middle.at(-1)?.x).toBe(box.right);
      }
    }
  });

  it("draw a fan where its values lie", () => {
    const axis = linearAxis("", [0, 1], String);
    const quantiles = [0, 0.1, 0.3, 0.6, 1].map((value) => [value, value]);
    const panels = [{ name: "", at: [0.5, 1], quantiles }];
    const chart = { title: "", x: axis, y: axis, mark: { value: 0, label: "" }, panels, middle: "" };
    const [panel] = panelsIn(fanChart({ ...chart, bands: ["", ""] }));
    const { left = 0, right = 0, top = 0, bottom = 0 } = panel?.box ?? {};
    const value = ({ x, y }: { x: number; y: number }) => [(x - left) / (right - left), (bottom - y) / (bottom - top)];
    const drawn = [...(panel?.bands ?? []), panel?.middle ?? []].map((path) => path.flatMap(value));
    const expected = [
      [0.5, 0, 1, 0, 1, 1, 0.5, 1],
      [0.5, 0.1, 1, 0.1, 1, 0.6, 0.5, 0.6],
      [0.5, 0.3, 1, 0.3],
    ];
    expect(drawn.flat()).toHaveLength(expected.flat().length);
    for (const [i, one] of drawn.flat().entries()) expect(one).toBeCloseTo(expected.flat()[i] ?? Number.NaN, 2);
  });

  it("take the quantiles of every rule's own runs", () => {
    const lines = quantilesOf(ofRule(study, "R4", "table"), "price");
    expect(lines.map((line) => line[0])).toEqual([1, 1, 1, 1, 1]);
    const ends = ofRule(study, "R4", "table")
      .map((one) => one.price.at(-1) ?? 0)
      .sort((a, b) => a - b);
    expect(lines.map((line) => line.at(-1))).toEqual([ends[0], ends[1], ends[3], ends[4], ends[5]]);
  });

  it("write every rate of the grid into its cell", () => {
    const maps = figures.at(-1)?.svg.split('<g class="map">').slice(1) ?? [];
    expect(maps).toHaveLength(3 * routes.length);
    for (const map of maps) expect(map.match(/class="cell"[^>]*\/><text [^>]*>([+−]?\d+|–)<\/text>/g)).toHaveLength(16);
  });

  it("are those that the document shows, all of them", () => {
    const docs = `${import.meta.dirname}/../../../docs`;
    const text = readFileSync(`${docs}/emissions-study.md`, "utf8");
    const shown = [...text.matchAll(/!\[[^\]]{40,}\]\(images\/(emissions-[a-z-]+\.svg)\)/g)].map((match) => match[1]);
    expect(shown.toSorted()).toEqual(figures.map(({ file }) => file).sort());
    const kept = readdirSync(`${docs}/images`).filter((file) => file.startsWith("emissions-"));
    expect(kept.sort()).toEqual(shown.toSorted());
    for (const file of kept) expect(fault(readFileSync(`${docs}/images/${file}`, "utf8")), file).toBe(null);
  });
});

describe("a logarithmic axis", () => {
  it("covers all values, keeps their order and has ticks at both ends' decades", () => {
    const value = fc.double({ min: -14, max: 6, noNaN: true }).map((power) => 10 ** power);
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 20 }), (values) => {
        const { at, ticks } = logAxis("price", values);
        const places = values.toSorted((a, b) => a - b).map(at);
        expect(places).toEqual(places.toSorted((a, b) => a - b));
        expect(places.every((place) => place >= 0 && place <= 1)).toBe(true);
        expect(at(0)).toBe(0);
        expect(at(ticks[0]?.value ?? 0)).toBeCloseTo(1);
        expect(ticks.every((tick) => at(tick.value) >= -1e-9)).toBe(true);
        expect(ticks.length).toBeGreaterThan(1);
      }),
    );
  });

  it("gives what lies far below the others a part of its own", () => {
    const axis = logAxis("price", [1e-11, 2]);
    expect(axis.ticks.map(({ label }) => label)).toEqual([
      "10",
      "1",
      "0.1",
      "0.01",
      "0.001",
      "10⁻⁵",
      "10⁻⁷",
      "10⁻⁹",
      "10⁻¹¹",
    ]);
    expect(axis.at(0.001)).toBeCloseTo(axis.compressed);
    expect(logAxis("price", [1e-4, 2]).compressed).toBe(0);
  });
});

describe("text", () => {
  it("is escaped wherever it comes from", () => {
    const bad = `1 < 2 & "3" > '2'`;
    const axis = linearAxis(bad, [0, 1], () => bad);
    const panel = { name: bad, at: [0, 1], quantiles: [0, 0.1, 0.2, 0.3, 0.4].map((value) => [value, value]) };
    const mark = { value: 0.5, label: bad };
    const fan = fanChart({ title: bad, x: axis, y: axis, mark, panels: [panel], bands: [bad, bad], middle: bad });
    const scale = { title: bad, low: 0, high: 1, colours: sequential, label: () => bad };
    const side = { title: bad, labels: [bad] };
    const rows = [[{ name: bad, cells: [[Number.NaN]], scale }]];
    for (const svg of [fan, heatMaps({ title: bad, x: side, y: side, scales: [scale], rows })])
      expect(fault(svg)).toBe(null);
  });

  it("can be read on every colour of a scale", () => {
    const light = (colour: string) => {
      const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((i) => {
        const part = Number.parseInt(colour.slice(i, i + 2), 16) / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05;
    };
    for (const colours of [sequential, diverging]) {
      for (let value = 0; value <= 1; value += 0.01) {
        const { fill, ink } = shade({ title: "", low: 0, high: 1, colours, label: String }, value);
        const contrast = light(fill) / light(ink);
        expect(Math.max(contrast, 1 / contrast), `${ink} on ${fill}`).toBeGreaterThan(4.5);
      }
    }
  });
});
