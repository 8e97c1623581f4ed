export const tag = "OpenAI's shapes";
