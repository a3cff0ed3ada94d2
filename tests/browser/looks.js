"use strict";
// How a page is opened, and what is wrong with the way it looks.

const assert = require("node:assert/strict");
const axe = require("axe-core");

const WIDTHS = [400, 1400];
const COLOURS = ["light", "dark"];

/** Opens pages of one look, and collects whatever they should not do. */
class Visitor {
  static async of(browser, { width = 1400, height = 900, colorScheme = "light", javaScriptEnabled = true } = {}) {
    const viewport = { width, height };
    const context = await browser.newContext({ viewport, colorScheme, javaScriptEnabled, deviceScaleFactor: 1 });
    const visitor = new Visitor(context, await context.newPage());
    visitor.name = `${width} px, ${colorScheme}`;
    return visitor;
  }

  constructor(context, page) {
    Object.assign(this, { context, page, faults: [] });
    page.on("console", (message) => this.faults.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => this.faults.push(`script: ${error.message}`));
    page.on("dialog", (dialog) => {
      this.faults.push(`a name was run as a script: ${dialog.message()}`);
      dialog.dismiss();
    });
    page.on("request", (request) => this.requests.push(request.url()));
    this.requests = [];
  }

  async open(address) {
    this.address = address;
    const answer = await this.page.goto(address, { waitUntil: "load" });
    if (address.startsWith("http")) assert.equal(answer.status(), 200, address);
  }

  /** Fails if the pages so far have said something, asked elsewhere, or tried to run a name. */
  check(site) {
    const elsewhere = this.requests.filter((url) => !url.startsWith(site));
    assert.deepEqual(elsewhere, [], `${this.address} asks elsewhere`);
    assert.deepEqual(this.faults, [], `${this.address} (${this.name})`);
  }

  close() {
    return this.context.close();
  }
}

/** Fails if a page is wider than its window. */
async function checkWidth(page, what) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(content <= window, `${what}: ${content} px wide in a window of ${window} px`);
}

/** Fails if people would have trouble with a page. */
async function checkAccess(page, what) {
  await page.evaluate(axe.source);
  const result = await page.evaluate(() => window.axe.run(document, { preload: false }));
  const grave = result.violations.filter((found) => ["serious", "critical"].includes(found.impact));
  const text = grave.flatMap(({ id, help, nodes }) =>
    nodes.slice(0, 3).map((node) => `${id}: ${help}\n  ${node.html}\n  ${node.failureSummary}`));
  assert.deepEqual(text, [], what);
  assert.ok(result.passes.length > 5, `${what}: axe has looked at nothing`);
}

/** Fails if the page does not fit on paper, or prints what only a screen needs. */
async function checkPrint(page, what) {
  await page.emulateMedia({ media: "print" });
  const shown = await page.evaluate(() =>
    [...document.querySelectorAll("nav, form, #connection")].filter((element) => element.checkVisibility()).length);
  assert.equal(shown, 0, `${what}: navigation is printed`);
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.ok(["rgb(255, 255, 255)", "rgba(0, 0, 0, 0)"].includes(ground), `${what}: printed on ${ground}`);
  await page.emulateMedia({ media: "screen" });
}

/** Fails if a page looks wrong in some window. */
async function checkLooks(browser, site, address) {
  for (const width of WIDTHS) {
    for (const colorScheme of COLOURS) {
      const visitor = await Visitor.of(browser, { width, colorScheme });
      const what = `${address}, ${visitor.name}`;
      await visitor.open(address);
      await checkWidth(visitor.page, what);
      await checkAccess(visitor.page, what);
      await checkPrint(visitor.page, what);
      visitor.check(site);
      await visitor.close();
    }
  }
}

module.exports = { COLOURS, Visitor, WIDTHS, checkLooks };
