import { AxePuppeteer } from "@axe-core/puppeteer";
import type { Browser, ElementHandle, Page } from "puppeteer";
import { expect } from "vitest";

/** What a person does with the forms of a page, and what is looked at after it. */
/** The portal of whoever has the key, in a browser of its own. */
export async function signInTo(browser: Browser, url: string, key: string): Promise<Page> {
  const page = await (await browser.createBrowserContext()).newPage();
  await page.setViewport({ width: 1280, height: 900 });
  await page.goto(`${url}/portal`);
  await page.waitForSelector('[data-testid="key"]');
  await page.type('[data-testid="key"]', key);
  await page.keyboard.press("Enter");
  await page.waitForSelector('[data-testid="balances"]');
  return page;
}

export const shows = (page: Page, what: RegExp) =>
  expect.poll(() => page.evaluate(() => document.body.innerText), { timeout: 20_000 }).toMatch(what);
export const view = async (page: Page, name: string) => {
  await page.click(`nav a[href="#${name}"]`);
  await page.waitForFunction((place) => location.hash === `#${place}`, {}, name);
};
export const inForm = (form: string, label: string) => `form[aria-label="${form}"] ::-p-aria([name="${label}"])`;
export const fill = (page: Page, form: string, label: string, text: string) => fillAt(page, inForm(form, label), text);
export async function fillAt(page: Page, selector: string, text: string) {
  const field = await page.waitForSelector(selector);
  await field?.focus();
  await page.keyboard.down("Control");
  await page.keyboard.press("a");
  await page.keyboard.up("Control");
  await field?.type(text);
}
export const submit = (page: Page, form: string) => page.click(`form[aria-label="${form}"] button[type="submit"]`);
export const click = async (page: Page, text: string, what: "button" | "summary" = "button") => {
  const button = await page.waitForSelector(`::-p-xpath(//${what}[contains(., "${text}")])`);
  await button?.click();
};

/** The two clicks of a slow hand: the hub has mostly answered between them. */
export const clickTwice = (button: ElementHandle | null) =>
  button?.evaluate(async (one) => {
    (one as HTMLElement).click();
    await new Promise((resolve) => setTimeout(resolve, 250));
    (one as HTMLElement).click();
  });

export async function accessible(page: Page) {
  const { violations } = await new AxePuppeteer(page).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]).analyze();
  expect(violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`))).toEqual([]);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow, "the page scrolls sideways").toBeLessThanOrEqual(0);
}
