import { type ReactNode, useEffect, useRef, useSyncExternalStore } from "react";

/** The view that the address's fragment names; the first where it names none. */
export function usePlace<Place extends string>(places: readonly Place[]): Place {
  const hash = useSyncExternalStore(
    (listener) => {
      addEventListener("hashchange", listener);
      return () => removeEventListener("hashchange", listener);
    },
    () => location.hash.slice(1),
  );
  return places.find((place) => place === hash) ?? (places[0] as Place);
}

/** Links to the views of a face. Where they do not fit they scroll, and the current one is brought into sight. */
export function ViewsNav<Place extends string>(props: {
  titles: Record<Place, string>;
  place: Place;
  /** What stands beside a title. */
  beside?(place: Place): ReactNode;
}) {
  const { titles, place, beside } = props;
  const nav = useRef<HTMLElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each view
  useEffect(() => {
    const bringIntoSight = () => {
      const current = nav.current?.querySelector<HTMLElement>("[aria-current]");
      if (current && nav.current) nav.current.scrollLeft = current.offsetLeft - nav.current.offsetLeft - 40;
    };
    bringIntoSight();
    scrollTo(0, 0);
    addEventListener("resize", bringIntoSight);
    return () => removeEventListener("resize", bringIntoSight);
  }, [place]);
  return (
    <nav aria-label="Views" ref={nav}>
      {(Object.keys(titles) as Place[]).map((name) => (
        <a key={name} href={`#${name}`} aria-current={name === place ? "page" : undefined}>
          {titles[name]}
          {beside?.(name)}
        </a>
      ))}
    </nav>
  );
}
