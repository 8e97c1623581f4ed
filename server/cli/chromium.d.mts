export function findChromium(env?: NodeJS.ProcessEnv, platform?: NodeJS.Platform): string | null;
export function chromiumFlags(options: { software: boolean }): string[];
