import { Button } from "@mantine/core";
import { lazy, Suspense, useState } from "react";
import type { MinerId } from "../../../shared/ids.ts";
import { Card } from "../../ui/card.tsx";
import { EmptyState } from "../../ui/empty-state.tsx";

const PayPanel = lazy(() => import("./pay-panel.tsx"));

/** The way to one's pay; nothing of it is loaded before somebody asks. */
export function PayCard({ miner }: { miner: MinerId }) {
  const [isOpen, setOpen] = useState(false);
  if (isOpen) {
    const loading = (
      <div role="status">
        <EmptyState title="Opening…" />
      </div>
    );
    return (
      <Suspense fallback={loading}>
        <PayPanel miner={miner} />
      </Suspense>
    );
  }
  return (
    <Card title="Your pay" aside="signed by the key of this browser">
      <p className="muted small">
        Spend what has matured on the network itself, say to which address it is paid out, see the proof of a payout,
        change USDC for DN, and register in domains that ask for it.
      </p>
      <div>
        <Button size="xs" variant="default" onClick={() => setOpen(true)} data-testid="pay">
          Open
        </Button>
      </div>
    </Card>
  );
}
