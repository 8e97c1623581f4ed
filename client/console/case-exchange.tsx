import type { ExchangeReply } from "../../shared/case-api.ts";
import { countText } from "../ui/quantity-text.ts";
import { numberText } from "./case-text.ts";

/** What was asked and answered of a reported answer, as plain text: nothing in it is rendered or followed. */
export function ExchangeView({ exchange }: { exchange: ExchangeReply }) {
  if (exchange.kind === "text") {
    return (
      <>
        <Passage title="Asked" text={exchange.prompt} />
        <Passage title={`Answered, ${countText(exchange.tokens)} tokens`} text={exchange.output} />
      </>
    );
  }
  return (
    <>
      <Tensors title="Asked" tensors={exchange.inputs} />
      <Tensors title="Answered" tensors={exchange.outputs} />
    </>
  );
}

function Passage({ title, text }: { title: string; text: string }) {
  return (
    <>
      <h3 className="panel-title">{title}</h3>
      <blockquote className="callout wrap-anywhere" style={{ whiteSpace: "pre-wrap" }}>
        {text}
      </blockquote>
    </>
  );
}

function Tensors(props: { title: string; tensors: Extract<ExchangeReply, { kind: "tensors" }>["inputs"] }) {
  return (
    <>
      <h3 className="panel-title">{props.title}</h3>
      {props.tensors.map(({ name, dtype, shape, elements, values }) => (
        <details key={name}>
          <summary className="small">
            {name}: {dtype} [{shape.join(", ")}]
            {values.length < elements
              ? `, the first ${countText(values.length)} of ${countText(elements)} numbers`
              : ""}
          </summary>
          <p className="mono small wrap-anywhere">{values.map(numberText).join(" ")}</p>
        </details>
      ))}
    </>
  );
}
