/**
 * The operator's token. `npm start` prints a link with `#token=…`: a fragment is never sent to a server, and it leaves
 * the address bar at once. It is kept for this browser tab only.
 */
const STORAGE_KEY = "tabgrid-operator-token";

/** Splits a location hash: "#token=abc" -> token "abc", nothing left; "#miners" -> no token, "#miners" left. */
export function tokenInHash(hash: string): { token: string | null; rest: string } {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const token = fields.get("token");
  if (!token) return { token: null, rest: hash };
  fields.delete("token");
  const [view = ""] = [...fields.keys()];
  return { token, rest: view ? `#${view}` : "" };
}

export function takeToken(): string | null {
  const { token, rest } = tokenInHash(location.hash);
  if (token) {
    sessionStorage.setItem(STORAGE_KEY, token);
    history.replaceState(null, "", `${location.pathname}${location.search}${rest}`);
  }
  return sessionStorage.getItem(STORAGE_KEY);
}

export const keepToken = (token: string): void => sessionStorage.setItem(STORAGE_KEY, token);
export const forgetToken = (): void => sessionStorage.removeItem(STORAGE_KEY);
