"use strict";
// Pictures of the pages for the documentation.

const fs = require("node:fs");
const path = require("node:path");

const { COLOURS, Visitor, WIDTHS } = require("./looks.js");
const { until } = require("./checks.js");

const HEIGHT = 820;

/** Takes pictures of the list and a migration under way, and of its report. */
async function takePictures(browser, site, scene, ended, directory) {
  fs.mkdirSync(directory, { recursive: true });
  const id = await until("a run under way", async () => {
    const found = await (await fetch(`${site}/api/v1/migrations`)).json();
    return found.find((migration) => migration.name === "memories" && migration.progress?.ratio > 0.2)?.id;
  });
  await take(browser, directory, { dashboard: `${site}/m/${id}`, list: `${site}/` });
  await ended;
  const report = `${site}/m/${id}/report`;
  await until("the report", async () => (await fetch(report)).ok);
  await take(browser, directory, { report });
}

async function take(browser, directory, addresses) {
  for (const [name, address] of Object.entries(addresses)) {
    for (const width of WIDTHS) {
      for (const colorScheme of COLOURS) {
        const visitor = await Visitor.of(browser, { width, height: HEIGHT, colorScheme });
        await visitor.open(address);
        // The first event of the stream has come by then.
        await visitor.page.waitForTimeout(1500);
        await visitor.page.screenshot({ path: path.join(directory, `${name}-${width}-${colorScheme}.png`) });
        await visitor.close();
      }
    }
  }
}

module.exports = { takePictures };
