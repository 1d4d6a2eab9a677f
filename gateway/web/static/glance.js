// The house in one sentence, and in four figures.

import { KeyedList, byId, element, setAttribute, setText } from "./dom.js";
import { count, duration } from "./format.js";
import { healthWords } from "./health.js";
import { replyMs, textMs } from "./stages.js";
import { percentile } from "./statistics.js";

const MOST_NAMES = 3;
const LATELY = 50;

export class Glance {
  constructor() {
    this.notices = new KeyedList(byId("notices"), (notice) => notice, noticeRow);
  }

  show(house, connection) {
    const devices = [...house.devices.values()];
    const here = devices.filter((device) => device.state === "connected");
    const speaking = here.filter((device) => device.status === "listening");
    const problems = house.problems();
    const { state, headline, subline } = sentence({ connection, devices, here, speaking, problems });
    setAttribute(byId("headline"), "data-state", state);
    setText(byId("headline"), headline);
    setText(byId("subline"), subline);
    this.notices.show([...new Set([...house.components.values()].map((component) => component.notice))].filter(Boolean));
    setText(byId("health-badge"), problems.length ? String(problems.length) : "");
    setAttribute(byId("health-badge"), "aria-label", count(problems.length, "problem"));
    const turns = [...house.turns.values()].slice(-LATELY);
    setText(byId("figure-devices"), devices.length ? `${here.length} of ${devices.length}` : "–");
    setText(byId("figure-active"), String(speaking.length));
    middle("figure-text", turns.map(textMs));
    middle("figure-reply", turns.map(replyMs));
  }
}

function sentence({ connection, devices, here, speaking, problems }) {
  if (connection !== "live") return { state: "waiting", headline: "Not connected to the gateway", subline: "What stands here may be old." };
  const away = devices.length - here.length;
  if (problems.length) return trouble(problems);
  const who = speaking.map((device) => device.id);
  if (!devices.length) return { state: "waiting-for-devices", headline: "Ready, and no device has called yet", subline: "Every part of the gateway works." };
  if (!here.length) return { state: "away", headline: "No device is here", subline: `${count(away, "device")} away; every part of the gateway works.` };
  const headline = who.length ? `${names(who)} ${who.length > 1 ? "are" : "is"} speaking` : "All is well";
  const absent = away ? `, ${away} away` : "";
  const subline = `${count(here.length, "device")} here${absent}; every part of the gateway works.`;
  return { state: who.length ? "speaking" : "well", headline, subline };
}

function noticeRow() {
  const node = element("li", "notice");
  return { node, update: (notice) => setText(node, notice) };
}

function trouble(problems) {
  const [{ component, state, works, reason, remedy, about }] = problems;
  const more = problems.length > 1 ? `, and ${count(problems.length - 1, "more problem")}` : "";
  const what = component === "devices" ? "A device is not let in" : `${component} ${healthWords({ state, works }).toLowerCase()}`;
  const headline = `${about ? `${about} is away` : what}${more}`;
  return { state, headline, subline: [reason, remedy && `What to do: ${remedy}`].filter(Boolean).join(". ") || "No reason is known." };
}

function names(who) {
  if (who.length > MOST_NAMES) return `${who.length} devices`;
  return who.length > 1 ? `${who.slice(0, -1).join(", ")} and ${who.at(-1)}` : who[0];
}

function middle(id, times) {
  const known = times.filter((time) => time != null);
  const figure = byId(id);
  setText(figure, known.length ? duration(percentile(known, 50)) : "–");
  setAttribute(figure, "title", known.length ? `Median of the last ${known.length}` : "Nothing measured yet");
}
