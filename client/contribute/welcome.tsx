import { Button } from "@mantine/core";
import { roleDefaults } from "../miner/contract.ts";
import { ConsentPoints } from "./consent.tsx";
import { DeviceCard } from "./device-card.tsx";
import { type DeviceProbe, suggestsChecking } from "./device-probe.ts";
import { RoleChoice } from "./role-choice.tsx";
import { SettingsCard } from "./settings-card.tsx";
import type { MinerPage } from "./use-miner.ts";

/** The page before Start: what this is, what a person agrees to, and the one big button. */
export function Welcome({ page, probe, phone }: { page: MinerPage; probe: DeviceProbe | null; phone: boolean }) {
  const { role } = page.settings;
  return (
    <main className="welcome">
      <section className="pitch">
        <GridDrawing />
        <h1>Lend this tab to people who need AI answers, and get paid for each one that checks out.</h1>
        <p className="lead muted">
          Tabgrid joins open browser tabs into one computer: some compute small pieces of work, others check them. No
          account needed.
        </p>
        <RoleChoice
          role={role}
          suggestion={suggestsChecking(probe, phone)}
          onChange={(chosen) => page.configure(roleDefaults[chosen])}
        />
        <div className="start">
          <Button size="xl" radius="lg" data-testid="start" onClick={page.start} aria-describedby="start-terms">
            {role === "validator" ? "Start checking" : "Start computing"}
          </Button>
          <p id="start-terms" className="small muted">
            Pressing Start means you agree to the points on this page. Nothing is computed or downloaded before, and
            Pause stops it at once.
          </p>
        </div>
        {page.fault ? (
          <p className="callout" data-tone="bad" role="alert">
            It did not start: {page.fault}
          </p>
        ) : null}
      </section>
      <section className="card" aria-labelledby="consent-title">
        <h2 id="consent-title">Before you press Start</h2>
        <ConsentPoints />
      </section>
      <DeviceCard probe={probe} device={null} note={null} role={role} />
      <SettingsCard
        settings={page.settings}
        configure={page.configure}
        command={page.command}
        cacheBytes={null}
        dutyNow={null}
      />
    </main>
  );
}

/** A field of tabs with a wave of work passing through it. */
function GridDrawing() {
  return (
    <div className="grid-drawing" aria-hidden="true">
      {drawnTabs.map((delay, place) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a fixed drawing
        <i key={place} style={{ animationDelay: delay }} />
      ))}
    </div>
  );
}

const drawnTabs = Array.from({ length: 48 }, (_, place) => `${(place % 16) * 140 + Math.floor(place / 16) * 310}ms`);
