import { useState } from "react";
import { Card } from "../ui/card.tsx";
import { unitText } from "../ui/money-text.ts";
import { amountFault } from "./faults.ts";
import { Choice, CommandForm, Field } from "./form-parts.tsx";
import type { HubCalls } from "./hub-calls.ts";
import { useMarket } from "./market-card.tsx";
import { nanoOf } from "./units.ts";
import { useCommand } from "./use-command.ts";

/** How far below what the pool gives now a swap may end, in thousandths. */
const SLACK = 10n;

/** One asset for the other. `swap` resolves with how much came out, null where the hub does not say. */
export function SwapCard({
  calls,
  swap,
}: {
  calls: HubCalls;
  swap(body: object, once: string): Promise<string | null>;
}) {
  const [give, setGive] = useState<"USDC" | "DN">("USDC");
  const [text, setText] = useState("");
  const market = useMarket(calls).data;
  const amount = nanoOf(text);
  const [swapped, setSwapped] = useState("");
  const other = give === "USDC" ? "DN" : "USDC";
  const [into, outOf] = (market ? [market.usdc, market.dn] : ["0", "0"]).map(BigInt) as [bigint, bigint];
  const sides = give === "USDC" ? ([into, outOf] as const) : ([outOf, into] as const);
  const expected = amount === null || !market ? 0n : (sides[1] * BigInt(amount)) / (sides[0] + BigInt(amount));
  const least = (expected * (1_000n - SLACK)) / 1_000n;
  const command = useCommand(swap, (out) => {
    setSwapped(`${text} ${give} for ${unitText(out ?? least.toString())} ${other}${out === null ? " or more" : ""}.`);
    setText("");
  });
  if (!market) return null;
  return (
    <Card title="Swap">
      <CommandForm
        label="Swap"
        submit={`Swap for ${other}`}
        command={command}
        faults={{ amount: amountFault(text) }}
        done={swapped}
        onSubmit={() => command.mutate({ give, amount, least: least.toString() })}
      >
        <Choice
          label="You give"
          value={give}
          options={[
            { value: "USDC", label: "USDC" },
            { value: "DN", label: "DN" },
          ]}
          onChange={(value) => setGive(value === "DN" ? "DN" : "USDC")}
        />
        <Field label={`Amount of ${give}`} name="amount" unit="amount" value={text} onChange={setText} numeric />
        {expected > 0n ? (
          <p className="small">
            You get about {unitText(expected.toString())} {other}, and at least {unitText(least.toString())}.
          </p>
        ) : null}
      </CommandForm>
    </Card>
  );
}
