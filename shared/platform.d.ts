/**
 * The only globals beyond the language that pure code may use: browsers, workers and Node all have them, and the pure
 * project (tsconfig.pure.json) knows neither DOM nor Node. They match lib.dom's declarations, with which they merge.
 */
interface TextEncoder {
  encode(input?: string): Uint8Array<ArrayBuffer>;
}
declare var TextEncoder: { prototype: TextEncoder; new (): TextEncoder };

interface TextDecoder {
  decode(input?: ArrayBufferView | ArrayBuffer): string;
}
declare var TextDecoder: {
  prototype: TextDecoder;
  new (label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }): TextDecoder;
};
