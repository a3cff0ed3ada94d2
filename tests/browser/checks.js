"use strict";
// What must hold of the pages.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");

const { Visitor, checkLooks } = require("./looks.js");

const failed = [];

/** Runs all checks while a migration is under way, and after it. */
async function all(browser, site, scene, ended) {
  const found = await allStarted(site);
  const id = (name) => found.find((migration) => migration.name === name).id;
  await step("numbers change", () => numbersChange(browser, site, id("memories")));
  await step("pages work without script", () => worksWithoutScript(browser, site, id("memories")));
  await step("a page under way looks right", () => checkLooks(browser, site, `${site}/m/${id("memories")}`));
  await step("the run ends on its page", () => endIsShown(browser, site, scene, id("memories"), ended));
  await step("the list looks right", () => checkLooks(browser, site, `${site}/`));
  await step("the list can be filtered", () => listIsFiltered(browser, site));
  for (const { id, kind } of found) {
    await step(`a page of ${kind} looks right`, () => checkLooks(browser, site, `${site}/m/${id}`));
    await step(`a report of ${kind} looks right`, () => checkLooks(browser, site, `${site}/m/${id}/report`));
    await step(`totals of ${kind} are those of the report`, () => totalsAreEqual(browser, site, id));
  }
  for (const report of filesOf(scene.path("data"), "report.html")) {
    await step("a report as a file looks right", () => checkLooks(browser, "file:", pathToFileURL(report).href));
  }
  await step("versions are counted", () => versionsAreCounted(browser, site));
  await step("versions look right", () => checkLooks(browser, site, `${site}/schemas/versions`));
  await step("a manifest has a history", () => historyIsShown(browser, site, scene));
  await step("names are inert", () => namesAreInert(browser, site, found));
  assert.deepEqual(failed, []);
}

async function step(name, check) {
  const begun = Date.now();
  try {
    await check();
    console.log(`ok ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed.push(name);
    console.error(`FAILED ${name}: ${error.message}`);
  }
}

/** Waits until the run that is watched has begun. Returns all migrations. */
async function allStarted(site) {
  return until("a run under way", async () => {
    const found = await (await fetch(`${site}/api/v1/migrations`)).json();
    const isUnderWay = found.some((migration) => migration.name === "memories" && migration.progress?.done.records > 0);
    return isUnderWay && found;
  });
}

async function until(what, look, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    const seen = await look();
    if (seen) return seen;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`waited in vain for ${what}`);
}

function numberOf(text) {
  return Number(text.replaceAll(",", ""));
}

/** Numbers of the list and of a migration's page grow without the page being loaded again. */
async function numbersChange(browser, site, id) {
  for (const [address, place] of [[`${site}/`, `tr[data-id="${id}"]`], [`${site}/m/${id}`, "article"]]) {
    const visitor = await Visitor.of(browser);
    await visitor.open(address);
    await visitor.page.evaluate(() => { window.isSamePage = true; });
    const records = visitor.page.locator(`${place} [data-field="records"]`);
    const before = numberOf(await records.textContent());
    await until("more records", async () => numberOf(await records.textContent()) > before);
    assert.equal(await visitor.page.evaluate(() => window.isSamePage), true, "the page was loaded again");
    assert.equal(await visitor.page.locator("#connection").textContent(), "Live");
    assert.match(await visitor.page.locator(`${place} [data-field="rate"]`).textContent(), /^[\d,]+\/s$/);
    visitor.check(site);
    await visitor.close();
  }
}

async function worksWithoutScript(browser, site, id) {
  const visitor = await Visitor.of(browser, { javaScriptEnabled: false });
  await visitor.open(`${site}/`);
  const row = visitor.page.locator(`tr[data-id="${id}"] [data-field="records"]`);
  const before = numberOf(await row.textContent());
  // The page loads itself again.
  await until("more records without script", async () => numberOf(await row.textContent()) > before);
  await visitor.page.locator(`tr[data-id="${id}"] a`).click();
  await visitor.page.waitForURL(`${site}/m/${id}`);
  assert.equal(await visitor.page.locator("h1").textContent(), "memories");
  for (const address of ["/schemas/versions", "/?state=published"]) {
    await visitor.open(site + address);
    assert.ok((await visitor.page.locator("main").textContent()).length > 20, address);
  }
  visitor.check(site);
  await visitor.close();
}

/** A page that is open when a run ends shows the end. */
async function endIsShown(browser, site, scene, id, ended) {
  const visitor = await Visitor.of(browser);
  await visitor.open(`${site}/m/${id}`);
  assert.equal(await visitor.page.locator('[data-field="state"]').textContent(), "running");
  assert.equal(await ended, 0);
  const state = visitor.page.locator("article.published, .state.published");
  await until("the end", async () => (await state.count()) > 0);
  await visitor.page.getByRole("link", { name: "Whole report" }).waitFor();
  visitor.check(site);
  await visitor.close();
  await totalsAreEqual(browser, site, id);
}

async function totalsAreEqual(browser, site, id) {
  const report = await (await fetch(`${site}/m/${id}/report.json`)).json();
  const visitor = await Visitor.of(browser);
  await visitor.open(`${site}/m/${id}`);
  const rows = await visitor.page.locator("[data-outcome]").evaluateAll((cells) =>
    cells.map((cell) => [cell.dataset.outcome, cell.textContent]));
  const shown = Object.fromEntries(rows.map(([name, text]) => [name, numberOf(text)]));
  assert.deepEqual(shown, report.counts);
  await visitor.page.getByRole("link", { name: "Whole report" }).click();
  await visitor.page.waitForURL(`${site}/m/${id}/report`);
  const card = visitor.page.locator("li", { hasText: "records read" }).locator("strong");
  assert.equal(numberOf(await card.textContent()), report.records_read);
  visitor.check(site);
  await visitor.close();
}

async function listIsFiltered(browser, site) {
  const visitor = await Visitor.of(browser);
  await visitor.open(`${site}/`);
  const all = await visitor.page.locator("tbody tr").count();
  await visitor.page.getByLabel("Text").fill("notes");
  await visitor.page.getByRole("button", { name: "Show" }).click();
  await visitor.page.waitForURL(/q=notes/);
  assert.ok(all > 1);
  assert.equal(await visitor.page.locator("tbody tr").count(), 1);
  visitor.check(site);
  await visitor.close();
}

async function versionsAreCounted(browser, site) {
  const visitor = await Visitor.of(browser);
  await until("a count of versions", async () => {
    await visitor.open(`${site}/schemas/versions`);
    return (await visitor.page.locator("progress").count()) > 0;
  });
  visitor.check(site);
  await visitor.close();
}

async function historyIsShown(browser, site, scene) {
  const visitor = await Visitor.of(browser, { width: 400 });
  const [manifest] = filesOf(scene.path("data", "app", "artifacts"), "manifest.json").sort().filter((file) =>
    JSON.parse(fs.readFileSync(file, "utf8").replace(/^\{$/, "null"))?.migration_history);
  await visitor.open(`${site}/schemas/versions`);
  await visitor.page.getByLabel("Manifest", { exact: true }).fill(path.relative(scene.path("data", "app"), manifest));
  await visitor.page.getByRole("button", { name: "Show its history" }).click();
  await visitor.page.waitForURL(/file=/);
  const moments = await visitor.page.locator(".timeline > li").allTextContents();
  assert.ok(moments.some((text) => text.includes("→") && text.includes("in the file")), moments.join("\n"));
  assert.ok(moments.some((text) => text.includes("of the ledger")), moments.join("\n"));
  await checkLooks(browser, site, visitor.page.url());
  visitor.check(site);
  await visitor.close();
}

/** Names with markup are text wherever they are shown. */
async function namesAreInert(browser, site, found) {
  const hostile = found.find((migration) => migration.name.includes("onerror"));
  assert.ok(hostile, "the store with the hostile name is found");
  const addresses = ["/", `/m/${hostile.id}`, `/m/${hostile.id}/report`, "/schemas/versions", "/?q=%3Cimg%20src%3Dx%3E"];
  for (const address of addresses) {
    const visitor = await Visitor.of(browser);
    await visitor.open(site + address);
    await visitor.page.waitForTimeout(1500);
    const text = await visitor.page.locator("body").innerText();
    const value = await visitor.page.locator("input").evaluateAll((all) => all.map((input) => input.value).join());
    assert.ok((text + value).includes("<img src=x"), `${address} does not show the name`);
    assert.ok(!text.includes("\u202e"), `${address} turns text around`);
    assert.equal(await visitor.page.locator("main img, main script, [onerror]").count(), 0, address);
    visitor.check(site);
    await visitor.close();
  }
}

function filesOf(directory, name) {
  const all = fs.readdirSync(directory, { recursive: true, withFileTypes: true });
  return all.filter((entry) => entry.isFile() && entry.name === name)
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

module.exports = { all, until };
