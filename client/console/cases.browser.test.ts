import type { Page } from "puppeteer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openStories, type Stories } from "../../server/e2e/story-pages.ts";

/** The reviewer's desk in a real browser, from values; server/e2e/cases.browser.test.ts has the living hub. */

let stories: Stories;
let page: Page;
const open: Stories["open"] = (...view) => stories.open(...view);
const shoot: Stories["shoot"] = (name) => stories.shoot(name);
const textOf: Stories["textOf"] = (selector) => stories.textOf(selector);
const expectAccessible: Stories["expectAccessible"] = () => stories.expectAccessible();

beforeAll(async () => {
  stories = await openStories();
  page = stories.page;
});
afterAll(() => stories?.close());

describe("cases", () => {
  const openCase = async (query: string, row: number) => {
    await open("console", `${query}#cases`);
    await page.waitForSelector("tbody button.open");
    await page.evaluate((place) => document.querySelectorAll<HTMLElement>("tbody button.open")[place]?.click(), row);
    await page.waitForSelector(".panel .entries li");
  };
  const dialogs = () => page.$$eval('[role="dialog"]', (all) => all.map((one) => one.textContent ?? ""));

  test("the navigation says how many wait, the oldest waits at the top, and nobody is named", async () => {
    await open("console", "?state=live#cases");
    await page.waitForSelector("tbody");
    expect(await textOf(".waiting-cases")).toBe("2");
    const what = await page.$$eval("tbody:first-of-type td:nth-child(3)", (cells) =>
      cells.map((cell) => cell.textContent),
    );
    expect(what.slice(0, 2)).toEqual(["suspended, 4 refuted results", "answer reported as harmful"]);
    expect(await textOf("main")).not.toMatch(/own_|m_Zk3v|203\.0\.113/);
    expect(await textOf("main")).toMatch(/overdue by|due in/);
  });

  test("a suspension lays out what was asked, both answers, the thresholds and the history", async () => {
    await openCase("?state=live", 0);
    const text = await textOf(".panel");
    for (const told of [
      "verified",
      "9f2ac41b07d3e5a1",
      "Fails above",
      "NaN",
      "not retained over a restart",
      "voided",
    ]) {
      expect(text).toContain(told);
    }
    expect(text).not.toMatch(/own_|m_Zk3v/);
    await page.$$eval(".exhibit details", (all) => {
      for (const one of all) one.setAttribute("open", "");
    });
    await shoot("console-case-panel");
    await expectAccessible();
  });

  test("the case fits a phone", async () => {
    await open("console", "?state=live#cases", 360, "dark");
    await page.waitForSelector("tbody button.open");
    await page.click("tbody button.open");
    await page.waitForSelector(".panel .entries li");
    await shoot("console-case-panel-360");
    await expectAccessible();
  });

  test("a ruling says what it costs, wants a reason, and stands beside its audit lines afterwards", async () => {
    await openCase("?state=live", 0);
    await page.focus('[data-testid="rule-severe"]');
    await page.keyboard.press("Enter");
    await page.waitForSelector('[data-testid="reason"]');
    expect((await dialogs()).join()).toMatch(
      /60 % of held pay is slashed: 18,730\.8 µUSDC.*40 % is returned: 12,487\.2 µUSDC.*deregistered/,
    );
    await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
    await page.click('[data-testid="confirm"]');
    await page.waitForFunction(() => document.body.textContent?.includes("A ruling needs a reason."));
    await shoot("console-case-confirm");
    await expectAccessible();
    await page.type('[data-testid="reason"]', "Reversed, every time.");
    await page.click('[data-testid="confirm"]');
    await page.waitForSelector('[data-testid="outcome"]');
    expect(await textOf('[data-testid="outcome"]')).toBe(
      "severe by operator: Reversed, every time.Moved: slashed 18731 µUSDC.",
    );
    expect(await textOf(".panel .entries")).toMatch(/case-decided by operator.*case-opened by hub/);
    await expectAccessible();
  });

  test("a refused ruling says why and loses nothing; Escape leaves without one", async () => {
    await openCase("?state=live", 0);
    await page.click('[data-testid="rule-minor"]');
    await page.waitForSelector('[data-testid="reason"]');
    await page.type('[data-testid="reason"]', "refuse");
    await page.click('[data-testid="confirm"]');
    await page.waitForSelector('form [role="alert"]');
    expect(await textOf('form [role="alert"]')).toContain("case c_story200 is decided");
    await page.keyboard.press("Escape");
    await page.waitForSelector('[data-testid="reason"]', { hidden: true });
    expect(await page.$('[data-testid="rule-minor"]')).not.toBeNull();
  });

  test("a report shows the complaint as it was written", async () => {
    await openCase("?state=live", 1);
    expect(await textOf("blockquote")).toContain("my neighbour,\nand");
    await shoot("console-case-report");
    await expectAccessible();
  });

  test("what runs where is a table of the overview", async () => {
    await open("console", "?state=live#overview");
    await page.waitForFunction(() => document.body.textContent?.includes("9f2ac41b07d3e5a1"));
    expect(await textOf("main")).toContain("What runs where");
  });
});
