import { momentText } from "../ui/moment.tsx";

/** The hub said no, and why. `message` is a sentence for a person who sees no form. */
export class Refused extends Error {
  readonly status: number;
  readonly detail: string;
  /** What of the request it is about, as the API names it. */
  readonly field: string | null;
  readonly expected: string | null;
  readonly got: string | null;

  constructor(status: number, of: { detail: string; field?: string; expected?: string; got?: string }) {
    const { detail, field = null, expected = null, got = null } = of;
    const isTime = field !== null && timeFields.has(field);
    const show = (text: string) => (isTime ? text.replace(/\d{13}/g, (ms) => momentText(Number(ms))) : text);
    const isSaid = field === null || expected === null || got === null || detail.startsWith(`${field}: `);
    super(isSaid ? detail : `${detail} (${field}: expected ${show(expected)}, got ${show(got)})`);
    this.status = status;
    this.detail = detail;
    this.field = field;
    this.expected = expected;
    this.got = got;
  }
}

/** Fields whose long numbers are Unix milliseconds. */
const timeFields = new Set(["at", "deadlineAt", "deadline_at", "request.at", "epoch"]);

/** "settings.emission_split.miners" is what the field "emission_split.miners", or "miners", of a form asks for. */
export function isAbout(field: string, name: string): boolean {
  const [of, wanted] = [field, name].map((text) => text.replaceAll("_", "").toLowerCase()) as [string, string];
  return of === wanted || of.endsWith(`.${wanted}`);
}
