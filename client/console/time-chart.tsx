import "uplot/dist/uPlot.min.css";
import { useEffect, useRef, useState } from "react";
import UPlot from "uplot";

const WINDOW_SECONDS = 300;
const HEIGHT_PX = 200;
const TABLE_ROWS = 12;

export interface Series {
  label: string;
  tone: "good" | "busy";
  values: (number | null)[];
  filled?: boolean;
}

interface TimeChartProps {
  caption: string;
  /** Right edge, Unix milliseconds. */
  now: number;
  /** Unix milliseconds, ascending. */
  times: number[];
  series: Series[];
}

/** Lines over the last five minutes, with the same numbers as a table for who cannot see them. */
export function TimeChart({ caption, now, times, series }: TimeChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<UPlot | null>(null);
  const dark = useDarkScheme();
  const shape = series.map(({ label, tone, filled }) => `${label} ${tone} ${filled}`).join();

  // biome-ignore lint/correctness/useExhaustiveDependencies: the canvas is made anew for other series or colours only
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const made = new UPlot(optionsOf(series, element.clientWidth), [[]], element);
    chart.current = made;
    const resize = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    resize.observe(element);
    return () => {
      resize.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [shape, dark]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a chart that was made anew needs its data again
  useEffect(() => {
    const seconds = times.map((at) => at / 1000);
    chart.current?.setData([seconds, ...series.map(({ values }) => values)] as UPlot.AlignedData, false);
    chart.current?.setScale("x", { min: now / 1000 - WINDOW_SECONDS, max: now / 1000 });
  }, [times, series, now, dark]);

  const last = series.map(({ label, values }) => `${label} ${values.at(-1)?.toFixed(1) ?? "unknown"}`).join(", ");
  return (
    <figure className="chart">
      <div ref={host} role="img" aria-label={`${caption}. Now: ${last}.`} />
      {times.length < 2 ? <p className="muted small">Collecting: the line grows as the hub reports.</p> : null}
      {series.length > 1 ? (
        <ul className="chart-legend small" aria-hidden="true">
          {series.map(({ label, tone, values }) => (
            <li key={label}>
              <i data-tone={tone} />
              <span className="muted">{label}</span> {values.at(-1)?.toFixed(1) ?? "–"}
            </li>
          ))}
        </ul>
      ) : null}
      <details className="small">
        <summary className="muted">As a table</summary>
        <table className="data">
          <caption className="unseen">{caption}</caption>
          <thead>
            <tr>
              <th>Time</th>
              {series.map(({ label }) => (
                <th key={label} className="number">
                  {label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {recent(times).map((place) => (
              <tr key={times[place]}>
                <td>{new Date(times[place] ?? 0).toLocaleTimeString()}</td>
                {series.map(({ label, values }) => (
                  <td key={label} className="number">
                    {values[place]?.toFixed(1) ?? "–"}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}

/** Places of a dozen samples, evenly apart, newest first. */
function recent(times: number[]): number[] {
  const step = Math.max(1, Math.floor(times.length / TABLE_ROWS));
  const places: number[] = [];
  for (let place = times.length - 1; place >= 0 && places.length < TABLE_ROWS; place -= step) places.push(place);
  return places;
}

function optionsOf(series: Series[], width: number): UPlot.Options {
  const token = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis: UPlot.Axis = {
    stroke: token("--muted"),
    font: "12px system-ui, sans-serif",
    grid: { stroke: token("--line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT_PX,
    cursor: { drag: { x: false, y: false } },
    legend: { show: false },
    padding: [8, 12, 0, 0],
    scales: { y: { range: (_chart, _min, max) => [0, Math.max(1, (max ?? 0) * 1.15)] } },
    axes: [
      { ...axis, size: 28, space: 72, values: (_chart, times) => times.map(minuteText) },
      { ...axis, size: 40 },
    ],
    series: [
      {},
      ...series.map(({ label, tone, filled }) => ({
        label,
        stroke: token(`--${tone}-fill`),
        width: 2,
        points: { show: false },
        ...(filled ? { fill: token(`--${tone}-soft`) } : {}),
      })),
    ],
  };
}

const minuteText = (seconds: number): string =>
  new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** The canvas takes its colours when it is made, so it must know when the scheme turns. */
function useDarkScheme(): boolean {
  const [query] = useState(() => matchMedia("(prefers-color-scheme: dark)"));
  const [dark, setDark] = useState(query.matches);
  useEffect(() => {
    const update = () => setDark(query.matches);
    query.addEventListener("change", update);
    return () => query.removeEventListener("change", update);
  }, [query]);
  return dark;
}
