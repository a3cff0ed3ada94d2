"use strict";
// Looks at the pages of haul with the real program and a real browser, and fails if something is wrong with them.
//
// node check.js --haul PROGRAM [--chromium PROGRAM] [--pictures DIR]
//
// --pictures DIR   takes pictures of the pages for the documentation, and checks nothing

const { execFileSync } = require("node:child_process");
const { parseArgs } = require("node:util");
const { chromium } = require("playwright-core");

const { Scene } = require("./scene.js");
const checks = require("./checks.js");
const { takePictures } = require("./pictures.js");

const { values: options } = parseArgs({
  options: { haul: { type: "string" }, chromium: { type: "string" }, pictures: { type: "string" } },
});

function programOfBrowser() {
  if (options.chromium) return options.chromium;
  return execFileSync("sh", ["-c", "command -v chromium || command -v chromium-browser"], { encoding: "utf8" }).trim();
}

async function main() {
  if (!options.haul) throw new Error("--haul PROGRAM is missing");
  const scene = new Scene(options.haul);
  let browser;
  try {
    scene.makeStores();
    if (!options.pictures) scene.makeHostileStores();
    const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
    browser = await chromium.launch({ executablePath: programOfBrowser(), args });
    const site = await scene.serve();
    const ended = scene.startWatched();
    if (options.pictures) await takePictures(browser, site, scene, ended, options.pictures);
    else await checks.all(browser, site, scene, ended);
  } finally {
    await browser?.close();
    scene.end();
  }
}

main().catch((error) => {
  console.error(error.stack ?? error);
  process.exit(1);
});
