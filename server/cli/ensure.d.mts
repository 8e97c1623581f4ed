export const root: string;
export function node24(): string;
export function childEnv(): NodeJS.ProcessEnv;
export function ensureDependencies(): Promise<void>;
export function ensureClient(): Promise<void>;
export function ensureChromium(): Promise<string>;
export function say(sentence: string): void;
export function fail(sentence: string, output?: string): never;
