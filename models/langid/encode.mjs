// Text as this model takes it: UTF-8 bytes as int64, padded with 256 to 128.
export const inputBytes = 128;
const padding = 256n;

/** At most `length` bytes of the text are shown to the model. */
export function encodeText(text, length = inputBytes) {
  const bytes = Array.from(new TextEncoder().encode(text).subarray(0, length), BigInt);
  return [...bytes, ...Array(inputBytes - bytes.length).fill(padding)];
}
