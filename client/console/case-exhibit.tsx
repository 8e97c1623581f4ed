import type { ExhibitReply } from "../../shared/case-api.ts";
import { Badge } from "../ui/badge.tsx";
import { Moment } from "../ui/moment.tsx";
import { countText, durationText } from "../ui/quantity-text.ts";
import { ScrollRegion } from "../ui/scroll-region.tsx";
import { distanceText, numberText } from "./case-text.ts";

const ways: Record<ExhibitReply["found"], string> = {
  check: "by a check",
  canary: "by an input whose answer the hub knew",
  recheck: "when an unchecked result was looked at again",
};

/** One refuted result beside the reference node's: what was asked, how far apart they are, and the numbers. */
export function ExhibitCard({ exhibit, number }: { exhibit: ExhibitReply; number: number }) {
  return (
    <section className="exhibit" aria-label={`Refuted result ${number}`}>
      <div className="entry-line">
        <strong>
          {number}. {exhibit.model}
        </strong>
        <Badge tone="bad">{distanceText(exhibit.distance)}</Badge>
      </div>
      <dl className="facts small">
        <dt>Found</dt>
        <dd>
          {ways[exhibit.found]}, <Moment at={exhibit.at} />
        </dd>
        <dt>Level</dt>
        <dd>{exhibit.level ?? "not kept over a restart"}</dd>
        <dt>Inputs</dt>
        <dd className="mono wrap-anywhere">{exhibit.input_hash}</dd>
        <dt>Device</dt>
        <dd>
          {exhibit.runtime}, class <span className="mono">{exhibit.device_class || "–"}</span>
        </dd>
        <dt>Reference</dt>
        <dd>ran in {durationText(exhibit.reference_ms)}</dd>
        <dt>Compared by</dt>
        <dd>{exhibit.compared}</dd>
      </dl>
      <Measures measures={exhibit.measures} />
      {exhibit.outputs.length > 0 ? (
        exhibit.outputs.map((pair) => <Numbers key={pair.name} pair={pair} />)
      ) : (
        <p className="muted small">
          The numbers were not retained over a restart of the hub; the hashes below are of both answers.
        </p>
      )}
      <dl className="facts small">
        <dt>Given</dt>
        <dd className="mono wrap-anywhere">{exhibit.commitment}</dd>
        <dt>Reference</dt>
        <dd className="mono wrap-anywhere">{exhibit.reference}</dd>
      </dl>
    </section>
  );
}

function Measures({ measures }: { measures: ExhibitReply["measures"] }) {
  if (measures.length === 0) return null;
  return (
    <ScrollRegion label="Distances">
      <table className="data small">
        <caption className="unseen">Distance by measure, in units of what passes</caption>
        <thead>
          <tr>
            <th>Measure</th>
            <th className="number">Distance</th>
            <th className="number">Passes to</th>
            <th className="number">Fails above</th>
          </tr>
        </thead>
        <tbody>
          {measures.map(({ output, measure, value, fail_ratio }) => (
            <tr key={`${output} ${measure}`}>
              <td>
                {output}: {measure}
              </td>
              <td className={`number ${value > fail_ratio ? "bad-text" : ""}`}>
                {value >= 1e15 ? "∞" : numberText(value)}
              </td>
              <td className="number">1</td>
              <td className="number">{numberText(fail_ratio)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

function Numbers({ pair }: { pair: ExhibitReply["outputs"][number] }) {
  const { name, dtype, shape, elements, rows } = pair;
  return (
    <details>
      <summary className="small">
        {name}: {dtype} [{shape.join(", ")}],{" "}
        {rows.length < elements
          ? `the ${countText(rows.length)} of ${countText(elements)} numbers that differ most`
          : `${countText(elements)} numbers`}
      </summary>
      <ScrollRegion label={`Numbers of ${name}`}>
        <table className="data small">
          <thead>
            <tr>
              <th className="number">Place</th>
              <th className="number">Given</th>
              <th className="number">Reference</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ index, given, reference }) => (
              <tr key={index}>
                <td className="number">{index}</td>
                <td className={`number ${given === reference ? "" : "bad-text"}`}>{numberText(given)}</td>
                <td className="number">{numberText(reference)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </ScrollRegion>
    </details>
  );
}
