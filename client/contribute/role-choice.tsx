import type { SessionRole } from "../../shared/protocol.ts";
import { Badge } from "../ui/badge.tsx";

export const roleTexts: Record<SessionRole, { title: string; where: string; text: string }> = {
  miner: {
    title: "Compute answers",
    where: "GPU",
    text: "Runs what people ask for. Earns most, uses most power.",
  },
  validator: {
    title: "Check answers",
    where: "any device, phones too",
    text: "Repeats small pieces of other tabs' work. Light, needs no GPU.",
  },
};

/** The choice before Start. `suggestion` says why checking suits this device; null where computing does. */
export function RoleChoice(props: { role: SessionRole; suggestion: string | null; onChange(role: SessionRole): void }) {
  const { role, suggestion, onChange } = props;
  return (
    <fieldset className="roles">
      <legend>What should this tab do?</legend>
      {(["miner", "validator"] as const).map((each) => (
        <label key={each} data-chosen={each === role}>
          <input
            type="radio"
            name="role"
            data-testid={`role-${each}`}
            checked={each === role}
            onChange={() => onChange(each)}
          />
          <span>
            <strong>{roleTexts[each].title}</strong> <span className="muted where">({roleTexts[each].where})</span>
            <span className="muted small">{roleTexts[each].text}</span>
            {each === "validator" && suggestion ? (
              <span className="suggestion small">
                <Badge tone="good">Suggested here</Badge> {suggestion}
              </span>
            ) : null}
          </span>
        </label>
      ))}
    </fieldset>
  );
}
