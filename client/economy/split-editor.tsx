import { useId } from "react";
import { Field } from "./form-parts.tsx";
import { hundredthsOf, percentText } from "./units.ts";

/** One part of a split. `locked` says why it cannot be changed here. */
export interface SplitPart {
  /** As the API names it in a refusal. */
  id: string;
  label: string;
  /** Per cent, as it was typed. */
  text: string;
  locked?: string;
}

const WHOLE = 10_000;

/** The sum in hundredths of a per cent; null where a part is no share. */
export function sumOf(parts: readonly SplitPart[]): number | null {
  let sum = 0;
  for (const { text } of parts) {
    const share = hundredthsOf(text);
    if (share === null) return null;
    sum += share;
  }
  return sum;
}

/** Null where the parts are the whole, else what is wrong in a sentence. */
export function splitFault(parts: readonly SplitPart[]): string | null {
  const broken = parts.find(({ text }) => hundredthsOf(text) === null);
  if (broken) return `${broken.label}: “${broken.text}” is no share between 0 and 100 %, in steps of 0.01.`;
  const sum = sumOf(parts) ?? 0;
  if (sum === WHOLE) return null;
  const off = percentText(Math.abs(sum - WHOLE));
  return `The parts sum to ${percentText(sum)} %, not to 100 %: ${off} % too ${sum > WHOLE ? "much" : "little"}.`;
}

/** Shares that sum to 100, each beside what it is of one `unit`. */
export function SplitEditor(props: {
  title: string;
  unit: string;
  parts: readonly SplitPart[];
  onChange(id: string, text: string): void;
  testId: string;
}) {
  const { title, unit, parts, onChange, testId } = props;
  const sum = sumOf(parts);
  const id = useId();
  const isWhole = sum === WHOLE;
  return (
    <fieldset className="split" aria-describedby={id} data-testid={testId}>
      <legend>{title}</legend>
      {parts.map((part) => {
        const share = hundredthsOf(part.text);
        return (
          <div className="split-part" key={part.id}>
            <Field
              label={`${part.label}, %`}
              name={part.id}
              unit="share"
              value={part.text}
              onChange={(text) => onChange(part.id, text)}
              disabled={part.locked !== undefined}
              numeric
              {...(part.locked !== undefined && { description: part.locked })}
            />
            <span className="split-bar" aria-hidden="true">
              <i style={{ width: `${Math.min(100, (share ?? 0) / 100)}%` }} />
            </span>
            <output className="number">
              {share === null ? "–" : (share / WHOLE).toFixed(4)} <span className="unit">{unit}</span>
            </output>
          </div>
        );
      })}
      <p id={id} className="split-sum" data-tone={isWhole ? "good" : "bad"} role="status">
        Sum: <strong>{sum === null ? "–" : percentText(sum)} %</strong>{" "}
        {isWhole ? "– the whole." : (splitFault(parts) ?? "")}
      </p>
    </fieldset>
  );
}
