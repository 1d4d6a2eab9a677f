// Events come in over the connection, change the house, and the view that is open shows it.

import { Announcer } from "./announce.js";
import { Connection } from "./connection.js";
import { Feed } from "./conversation.js";
import { DeviceList } from "./devices.js";
import { byId, setText } from "./dom.js";
import { Glance } from "./glance.js";
import { HealthView } from "./health.js";
import { HistoryView } from "./history.js";
import { House } from "./house.js";
import { Keys, arrows } from "./keys.js";
import { LatencyView } from "./latency.js";
import { MachineView } from "./machine.js";
import { Router, VIEWS } from "./router.js";
import { Session } from "./session.js";
import { Talk } from "./talk.js";

const CONNECTION_WORDS = { connecting: "Connecting", live: "Live", lost: "Connection lost, trying again" };
const LEVELS_FADE_MS = 500;
const PAUSE_MS = 60;

const house = new House();
const glance = new Glance();
const devices = new DeviceList(choose);
const announcer = new Announcer();
const session = new Session();
const views = { live: new Feed(), history: new HistoryView(session), latency: new LatencyView(showSoon), health: new HealthView(session), machine: new MachineView() };
const router = new Router(opened);
let chosen = null;
let frame = 0;
let shownAt = 0;
let fading = 0;

function show() {
  frame = 0;
  shownAt = performance.now();
  glance.show(house, byId("connection").dataset.state);
  devices.show(house, chosen);
  views[router.view].show(house, chosen);
}

// At once after a pause; while much happens, as often as an eye follows.
function showSoon() {
  if (frame) return;
  frame = setTimeout(() => requestAnimationFrame(show), Math.max(0, shownAt + PAUSE_MS - performance.now()));
}

async function opened(view, rest) {
  showSoon();
  await views[view].opened?.(rest);
  showSoon();
}

function choose(device) {
  chosen = chosen === device ? null : device;
  for (const clear of document.querySelectorAll(".clear")) setText(clear, chosen === null ? "" : `Only ${chosen}. Show all`);
  showSoon();
}

function hear(event) {
  if (event.type === "said" || event.type === "error") return talk.answered(event);
  house.apply(event);
  announcer.hear(event, chosen);
  showSoon();
  if (event.notice === "level") fadeSoon();
  return undefined;
}

function fadeSoon() {
  clearTimeout(fading);
  fading = setTimeout(showSoon, LEVELS_FADE_MS);
}

function connectionChanged(state, reason) {
  byId("connection").dataset.state = state;
  setText(byId("connection-text"), reason || CONNECTION_WORDS[state]);
  showSoon();
  if (state === "lost") session.look();
}

function listenToKeys() {
  const keys = new Keys();
  VIEWS.forEach((view, index) => {
    keys.on(String(index + 1), byId(`${view}-title`).textContent, () => router.go(view));
  });
  keys.on("d", "The devices; up and down move among them", () => byId("devices").querySelector("button")?.focus());
  keys.on("t", "Type something to say", () => focusIn("live", "say"));
  keys.on("/", "Search in the history", () => focusIn("history", "query"));
  keys.tell("Space", "Hold it, and speak");
  keys.on("Escape", "All devices again", () => chosen !== null && choose(chosen));
  arrows(byId("devices"), "button");
  arrows(byId("strips"), "a");
}

function focusIn(view, id) {
  router.go(view);
  requestAnimationFrame(() => requestAnimationFrame(() => byId(id).focus()));
}

for (const clear of document.querySelectorAll(".clear")) clear.addEventListener("click", () => choose(chosen));
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
const connection = new Connection(hear, connectionChanged);
const talk = new Talk((text, ref) => connection.say(text, ref), session);
addEventListener("online", () => connection.hurry());
document.addEventListener("visibilitychange", () => document.hidden || connection.hurry());
listenToKeys();
session.look().then(() => router.follow());
connection.open();
