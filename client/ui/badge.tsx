import type { ReactNode } from "react";

/** good: holds or is healthy; busy: under way; bad: refused or broken; idle: nothing to say. */
export type Tone = "good" | "busy" | "bad" | "idle";

export function Badge({ tone, title, children }: { tone: Tone; title?: string; children: ReactNode }) {
  return (
    <span className="badge" data-tone={tone} title={title}>
      {children}
    </span>
  );
}
