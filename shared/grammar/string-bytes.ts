/**
 * The bytes of a JSON string between its quotes, one state per place inside a character: well-formed UTF-8 (Unicode 16,
 * table 3-7) and the escapes of RFC 8259, of which surrogates come in pairs only.
 *
 *    0        between two characters
 *    1 …  7   inside a character of several bytes: so many more, or a narrower second byte (E0, ED, F0, F4)
 *    8        after a backslash
 *    9 … 13   inside \uXXXX
 *   14 … 21   inside a pair of surrogates
 *   22 … 26   inside \u00XX, as JSON.stringify writes control characters
 */
export const BETWEEN = 0;
export const NEVER = -1;

export const isInsideCharacter = (state: number): boolean => state >= 1 && state <= 7;

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
const isHex = (byte: number): boolean =>
  isDigit(byte) || (byte >= 0x61 && byte <= 0x66) || (byte >= 0x41 && byte <= 0x46);
const isLowerHex = (byte: number): boolean => isDigit(byte) || (byte >= 0x61 && byte <= 0x66);
const isBetween = (byte: number, low: number, high: number): boolean => byte >= low && byte <= high;
const lower = (byte: number): number => byte | 0x20;
const [ZERO, ONE, BACKSLASH, SLASH, QUOTE, C, D, F, U] = [...'01\\/"cdfu'].map((char) => char.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
  number,
];
const shortEscapes = new Set([...'"\\bfnrt'].map((char) => char.charCodeAt(0)));
/** Last digits of \u000X that have no shorter escape. */
const longControls = new Set([..."01234567bef"].map((char) => char.charCodeAt(0)));

/**
 * The state after a byte, or NEVER; back at BETWEEN, one more character is complete. `canonical` takes only what
 * JSON.stringify writes, so that equal strings have equal bytes. The closing quote is the caller's.
 */
export function stepString(state: number, byte: number, canonical: boolean): number {
  const to = (allowed: boolean, next: number): number => (allowed ? next : NEVER);
  switch (state) {
    case BETWEEN:
      if (byte === BACKSLASH) return 8;
      if (byte < 0x80) return to(byte >= 0x20 && byte !== QUOTE, BETWEEN);
      if (byte === 0xe0) return 3;
      if (byte === 0xed) return 4;
      if (byte === 0xf0) return 6;
      if (byte === 0xf4) return 7;
      if (isBetween(byte, 0xc2, 0xdf)) return 1;
      if (isBetween(byte, 0xe1, 0xef)) return 2;
      return to(isBetween(byte, 0xf1, 0xf3), 5);
    case 1:
      return to(isBetween(byte, 0x80, 0xbf), BETWEEN);
    case 2:
      return to(isBetween(byte, 0x80, 0xbf), 1);
    case 3:
      return to(isBetween(byte, 0xa0, 0xbf), 1);
    case 4:
      return to(isBetween(byte, 0x80, 0x9f), 1);
    case 5:
      return to(isBetween(byte, 0x80, 0xbf), 2);
    case 6:
      return to(isBetween(byte, 0x90, 0xbf), 2);
    case 7:
      return to(isBetween(byte, 0x80, 0x8f), 2);
    case 8:
      if (byte === U) return canonical ? 22 : 9;
      return to(shortEscapes.has(byte) || (byte === SLASH && !canonical), BETWEEN);
    case 9:
      return lower(byte) === D ? 13 : to(isHex(byte), 10);
    case 10:
      return to(isHex(byte), 11);
    case 11:
      return to(isHex(byte), 12);
    case 12:
      return to(isHex(byte), BETWEEN);
    case 13:
      if (isBetween(byte, ZERO, ZERO + 7)) return 11;
      return to(isHex(byte) && lower(byte) < C, 14);
    case 14:
      return to(isHex(byte), 15);
    case 15:
      return to(isHex(byte), 16);
    case 16:
      return to(byte === BACKSLASH, 17);
    case 17:
      return to(byte === U, 18);
    case 18:
      return to(lower(byte) === D, 19);
    case 19:
      return to(isBetween(lower(byte), C, F), 20);
    case 20:
      return to(isHex(byte), 21);
    case 21:
      return to(isHex(byte), BETWEEN);
    case 22:
      return to(byte === ZERO, 23);
    case 23:
      return to(byte === ZERO, 24);
    case 24:
      return byte === ZERO ? 25 : to(byte === ONE, 26);
    case 25:
      return to(longControls.has(byte), BETWEEN);
    case 26:
      return to(isLowerHex(byte), BETWEEN);
    default:
      return NEVER;
  }
}
