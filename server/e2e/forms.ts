import { AxePuppeteer } from "@axe-core/puppeteer";
import type { Page } from "puppeteer";
import { expect } from "vitest";

/** What a person does with the forms of a page, and what is looked at after it. */
export const shows = (page: Page, what: RegExp) =>
  expect.poll(() => page.evaluate(() => document.body.innerText), { timeout: 20_000 }).toMatch(what);
export const view = async (page: Page, name: string) => {
  await page.click(`nav a[href="#${name}"]`);
  await page.waitForFunction((place) => location.hash === `#${place}`, {}, name);
};
export const inForm = (form: string, label: string) => `form[aria-label="${form}"] ::-p-aria([name="${label}"])`;
export async function fill(page: Page, form: string, label: string, text: string) {
  const field = await page.waitForSelector(inForm(form, label));
  await field?.focus();
  await page.keyboard.down("Control");
  await page.keyboard.press("a");
  await page.keyboard.up("Control");
  await field?.type(text);
}
export const submit = (page: Page, form: string) => page.click(`form[aria-label="${form}"] button[type="submit"]`);
export const click = async (page: Page, text: string) => {
  const button = await page.waitForSelector(`::-p-xpath(//button[contains(., "${text}")])`);
  await button?.click();
};

export async function accessible(page: Page) {
  const { violations } = await new AxePuppeteer(page).withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]).analyze();
  expect(violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`))).toEqual([]);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow, "the page scrolls sideways").toBeLessThanOrEqual(0);
}
