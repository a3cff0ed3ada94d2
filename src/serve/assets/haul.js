"use strict";
// Keeps the numbers of a page up to date. Texts are only ever set as texts.

const snapshot = document.documentElement.dataset.snapshot;
const connection = document.getElementById("connection");
const counts = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const texts = {
  running: "running", unreadable: "unreadable", killed: "killed, resumable", failed: "failed",
  stopped: "stopped, resumable", finished: "finished", published: "published", rolled_back: "rolled back",
};

function duration(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 1) return `${Math.floor(seconds * 1000)} ms`;
  if (whole < 10) return `${Math.floor(seconds * 10) / 10} s`;
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor(whole / 60) % 60).padStart(2, "0")} min`;
}

function set(place, field, text) {
  const element = place.querySelector(`[data-field="${field}"]`);
  if (element && element.textContent !== text) element.textContent = text;
}

function show(place, found) {
  const line = found.progress;
  if (place.dataset.was !== found.state) {
    // What does not change in a run is another now: the server writes it.
    if ("whole" in place.dataset) return location.reload();
    place.dataset.was = found.state;
    const state = place.querySelector('[data-field="state"]');
    state.className = `state ${found.state}`;
    state.textContent = texts[found.state] ?? found.state;
  }
  const ratio = found.state === "published" ? 1 : (line?.overall_ratio ?? line?.ratio);
  const bar = place.querySelector('[data-field="bar"]');
  if (bar && Number.isFinite(ratio)) {
    bar.value = ratio;
    set(place, "percent", `${(ratio * 100).toFixed(1)}%`);
  }
  const records = line?.done.records ?? found.records;
  set(place, "records", records === null || records === undefined ? "–" : counts.format(records));
  set(place, "rate", line ? `${counts.format(line.rate.records_per_second)}/s` : "–");
  set(place, "eta", line?.eta ? duration(line.eta.p50) : "–");
  set(place, "phase", line?.phase ?? "–");
  for (const element of place.querySelectorAll("[data-outcome]")) {
    const number = line?.outcomes[element.dataset.outcome];
    if (number !== undefined) element.textContent = counts.format(number);
  }
}

function summarize(summary) {
  const total = document.querySelector("[data-total]");
  if (!total) return;
  if (total.textContent !== String(summary.migrations)) document.getElementById("new").hidden = false;
  for (const element of document.querySelectorAll("[data-state]")) {
    const number = summary.states[element.dataset.state] ?? 0;
    element.hidden = number === 0;
    element.querySelector("[data-number]").textContent = String(number);
  }
}

const places = new Map(Array.from(document.querySelectorAll("[data-id]"), (place) => [place.dataset.id, place]));
const source = new EventSource(`/events?since=${encodeURIComponent(snapshot)}`);
source.addEventListener("open", () => { connection.textContent = "Live"; });
source.addEventListener("error", () => { connection.textContent = "Not connected: the numbers are old"; });
source.addEventListener("summary", (event) => summarize(JSON.parse(event.data)));
source.addEventListener("progress", (event) => {
  const found = JSON.parse(event.data);
  const place = places.get(found.id);
  if (place) show(place, found);
});
