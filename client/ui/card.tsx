import { type ReactNode, useId } from "react";

/** A titled section of a page. `aside` stands opposite the title. */
export function Card(props: { title: string; aside?: ReactNode; className?: string; children: ReactNode }) {
  const id = useId();
  return (
    <section className={`card ${props.className ?? ""}`} aria-labelledby={id}>
      <div className="card-head">
        <h2 id={id}>{props.title}</h2>
        {props.aside ? <div className="muted small">{props.aside}</div> : null}
      </div>
      {props.children}
    </section>
  );
}
