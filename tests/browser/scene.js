"use strict";
// Stores that the real program makes and migrates, and `haul serve` on them.

const { spawn, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

/** What ids and file names could hold. A page that forgets to escape one of them runs it or hides it. */
const HOSTILE = `<img src=x onerror=alert(1)>"'&\u202e\n<script>alert(2)<`;
/** Records of the run that is watched, and its limit: it lasts about half a minute. */
const WATCHED = { nodes: 24_000, aSecond: 700 };

class Scene {
  /** Makes the stores in a new directory. */
  constructor(haul) {
    this.haul = haul;
    this.root = fs.mkdtempSync(path.join(os.tmpdir(), "haul-browser-"));
    this.children = [];
  }

  path(...names) {
    return path.join(this.root, ...names);
  }

  /** Runs a command of haul to its end, which must be one of these. */
  run(args, codes = [0]) {
    const options = { cwd: this.root, encoding: "utf8", env: this.environment() };
    const done = spawnSync(this.haul, args, options);
    if (!codes.includes(done.status)) {
      throw new Error(`haul ${args.join(" ")}: exit code ${done.status}\n${done.stdout}${done.stderr}`);
    }
    return done.stdout;
  }

  environment() {
    return { ...process.env, HAUL_HISTORY: "none", XDG_STATE_HOME: this.path("state") };
  }

  /** Makes three stores that are migrated, and one that is not. */
  makeStores() {
    fs.mkdirSync(this.path("data"));
    this.run(["space", "generate", "data/notes", "--nodes", "3000", "--seed", "1"]);
    this.run(["space", "migrate", "--space", "data/notes", "--batch-size", "100", "--progress", "none"]);
    this.run(["cas", "generate", "data/old-objects", "--objects", "400", "--generation", "v0.5", "--seed", "2"]);
    damageOneObject(this.path("data", "old-objects"));
    this.run(["cas", "migrate", "--source", "data/old-objects", "--target", "data/objects", "--progress", "none"], [3]);
    this.run(["manifest", "generate", "data/app", "--manifests", "150", "--seed", "3"]);
    this.run(["manifest", "migrate", "data/app", "--progress", "none"]);
    this.run(["space", "generate", "data/memories", "--nodes", String(WATCHED.nodes), "--seed", "4"]);
  }

  /** Adds names that nobody should choose: a store's, and those of files that are refused. */
  makeHostileStores() {
    const store = HOSTILE.replace("/", "");
    this.run(["cas", "generate", `data/old ${store}`, "--objects", "20", "--seed", "5"]);
    damageOneObject(this.path("data", `old ${store}`));
    this.run(["cas", "migrate", "--source", `data/old ${store}`, "--target", `data/${store}`, "--progress", "none"], [3]);
    const run = this.path("data", "app", "artifacts", store, "run");
    fs.mkdirSync(run, { recursive: true });
    fs.writeFileSync(path.join(run, "manifest.json"), "{");
  }

  /** Begins the migration that is watched. */
  startWatched() {
    const limit = ["--rate-limit", String(WATCHED.aSecond), "--batch-size", "50", "--parallel-workers", "2"];
    const args = ["space", "migrate", "--space", "data/memories", "--progress", "none", ...limit];
    const child = spawn(this.haul, args, { cwd: this.root, env: this.environment(), stdio: "ignore" });
    this.children.push(child);
    return new Promise((resolve) => child.on("exit", resolve));
  }

  /** Starts `haul serve`. Returns where it answers. */
  serve() {
    const args = ["serve", "--data-dir", "data", "--manifests", "data/app", "--listen", "127.0.0.1:0"];
    const child = spawn(this.haul, args, { cwd: this.root, stdio: ["ignore", "ignore", "pipe"] });
    this.children.push(child);
    return new Promise((resolve, reject) => {
      let said = "";
      child.stderr.on("data", (piece) => {
        said += piece;
        const found = said.match(/serving (http:\/\/[^/]+)\//);
        if (found) resolve(found[1]);
      });
      child.on("exit", (code) => reject(new Error(`haul serve ended with ${code}: ${said}`)));
    });
  }

  /** Ends what was started, and removes everything. */
  end() {
    for (const child of this.children) child.kill("SIGKILL");
    fs.rmSync(this.root, { recursive: true, force: true });
  }
}

function damageOneObject(store) {
  const files = fs.readdirSync(store, { recursive: true, withFileTypes: true });
  const objects = files.filter((entry) => entry.isFile() && /^[0-9a-f]{40,}$/.test(entry.name));
  const first = objects.map((entry) => path.join(entry.parentPath ?? entry.path, entry.name)).sort()[0];
  if (!first) throw new Error(`${store} has no objects`);
  fs.appendFileSync(first, "damage");
}

module.exports = { HOSTILE, Scene };
