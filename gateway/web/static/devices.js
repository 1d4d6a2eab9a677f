// The list of devices, by room; each is a button that narrows every view to it.

import { KeyedList, byId, element, setAttribute, setText, span } from "./dom.js";
import { count } from "./format.js";

export const STATUS_WORDS = {
  listening: "Listening",
  transcribing: "Transcribing",
  thinking: "Thinking",
  busy: "Busy",
  error: "Error",
};

const QUIETEST_DBFS = -60;
const LEVEL_MS = 450;
const MANY = 14;

export class DeviceList {
  constructor(onChoose) {
    this.chosen = null;
    this.list = new KeyedList(byId("devices"), (item) => item.key, (item) => (item.device ? deviceRow(item, onChoose) : roomRow(item)));
  }

  show(house, chosen) {
    const devices = [...house.devices.values()].sort(byRoom);
    const hasRooms = devices.some((device) => device.room);
    const items = [];
    devices.forEach((device, index) => {
      if (hasRooms && device.room !== devices[index - 1]?.room) items.push({ key: `room ${device.room}`, name: device.room || "Elsewhere" });
      items.push({ key: `device ${device.id}`, device, chosen: device.id === chosen });
    });
    this.list.show(items);
    byId("devices").classList.toggle("many", devices.length > MANY);
    byId("devices-empty").hidden = devices.length > 0;
  }
}

// Rooms by name, devices of no room last: nothing moves when one comes or goes.
function byRoom(a, b) {
  if (!a.room !== !b.room) return a.room ? -1 : 1;
  return a.room.localeCompare(b.room) || a.id.localeCompare(b.id);
}

function roomRow({ name }) {
  return { node: element("li", "room", name), update: () => {} };
}

function deviceRow({ device: { id } }, onChoose) {
  const name = span("device-name", id);
  const state = span("device-state");
  const detail = span("device-detail");
  const losses = span("losses");
  const bar = span("bar-level");
  const meter = span("meter", bar);
  const dot = span("dot");
  for (const decoration of [dot, meter]) decoration.setAttribute("aria-hidden", "true");
  const lines = [span("device-line", name, state), span("device-line", detail, losses)];
  const row = element("button", "device", dot, ...lines, meter);
  row.type = "button";
  row.addEventListener("click", () => onChoose(id));
  return {
    node: element("li", "", row),
    update: ({ device, chosen }) => {
      setAttribute(row, "data-state", device.state);
      setAttribute(row, "data-status", device.status);
      setAttribute(row, "aria-pressed", String(chosen));
      setText(state, stateWords(device));
      setText(detail, [device.user, shortLink(device.link), device.firmware].filter(Boolean).join(" · "));
      setText(losses, lossWords(device));
      setAttribute(row, "title", [device.link, device.lostMs && `${Math.round(device.lostMs)} ms of speech lost`].filter(Boolean).join(" · "));
      const level = levelOf(device).toFixed(2);
      if (bar.dataset.level === level) return;
      bar.dataset.level = level;
      bar.style.setProperty("--level", level);
    },
  };
}

// 0 to 1, of what can be heard; an old level is none.
function levelOf(device) {
  if (performance.now() - device.levelAt > LEVEL_MS) return 0;
  return Math.min(1, Math.max(0, 1 - device.level / QUIETEST_DBFS));
}

function stateWords(device) {
  if (device.state !== "connected") return device.reason || "Away";
  return STATUS_WORDS[device.status] ?? "Ready";
}

// A serial port's path says most at its end.
function shortLink(link) {
  return link.startsWith("/") ? link.slice(link.lastIndexOf("/") + 1) : link;
}

function lossWords({ lostFrames, gaps }) {
  const parts = [];
  if (lostFrames) parts.push(`${lostFrames} lost`);
  if (gaps) parts.push(count(gaps, "gap"));
  return parts.join(", ");
}
