import { expect, test } from "vitest";
import { agoText, bytesText, durationText } from "./quantity-text.ts";

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1 KiB"],
  [1536, "1.5 KiB"],
  [90 * 1024 ** 2, "90 MiB"],
  [4 * 1024 ** 3, "4 GiB"],
])("%d bytes reads %s", (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test.each([
  [0, "0 ms"],
  [0.42, "0.4 ms"],
  [950, "950 ms"],
  [1500, "1.5 s"],
  [59_600, "1 min 0 s"],
  [61_000, "1 min 1 s"],
  [3_600_000, "1 h 0 min"],
  [7_199_000, "2 h 0 min"],
  [72 * 3_600_000, "3 days"],
])("%d ms reads %s", (durationMs, text) => {
  expect(durationText(durationMs)).toBe(text);
});

test.each([
  [-5000, "just now"],
  [4999, "just now"],
  [12_000, "12 s ago"],
  [180_000, "3 min ago"],
  [7_200_000, "2 h ago"],
  [10 * 86_400_000, "10 days ago"],
])("%d ms back reads %s", (back, text) => {
  expect(agoText(1_000_000_000, 1_000_000_000 + back)).toBe(text);
});
