const cells = [
  [1, 0],
  [0, 1],
  [1, 1],
  [2, 1],
  [0, 2],
  [2, 2],
] as const;

/** A grid of tabs, some of them at work. */
function Logo({ size = 28 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      {Array.from({ length: 9 }, (_, index) => {
        const column = index % 3;
        const row = Math.floor(index / 3);
        const working = cells.some(([x, y]) => x === column && y === row);
        const x = 2 + column * 10;
        const y = 2.5 + row * 10;
        return (
          <path
            key={`${column}-${row}`}
            d={`M${x} ${y + 8}v-5a3 3 0 0 1 3-3h2a3 3 0 0 1 3 3v5z`}
            fill={working ? "var(--good-fill)" : "var(--line)"}
          />
        );
      })}
    </svg>
  );
}

export function Brand({ href, place }: { href: string; place?: string }) {
  return (
    <a className="brand" href={href}>
      <Logo />
      <span>Tabgrid{place ? <span className="muted"> {place}</span> : null}</span>
    </a>
  );
}
