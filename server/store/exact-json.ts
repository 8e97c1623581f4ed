/**
 * JSON of records that hold bigint and Map, both exact: an amount is `{"$n": "12"}`, a Map `{"$m": [[key, value], …]}`. Only
 * for what the hub itself wrote.
 */
export const exactJson = (value: unknown): string =>
  JSON.stringify(value, (_, one) => {
    if (typeof one === "bigint") return { $n: one.toString() };
    if (one instanceof Map) return { $m: [...one] };
    return one;
  });

export const fromExactJson = (text: string): unknown =>
  JSON.parse(text, (_, one) => {
    if (typeof one !== "object" || one === null) return one;
    if (typeof one.$n === "string") return BigInt(one.$n);
    if (Array.isArray(one.$m)) return new Map(one.$m);
    return one;
  });
