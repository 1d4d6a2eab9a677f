// The devices and their lines for an operator: who waits, what came over each, what each prints, forgetting one.

import { ask, reasonOf, send } from "./ask.js";
import { KeyedList, button, byId, element, setAttribute, setText, span } from "./dom.js";
import { count, moment } from "./format.js";
import { partRow } from "./part-row.js";

const LOG_MS = 1_500;
const MOST_LINES = 500;
const pathOf = (id, more = "") => `/api/v1/devices/${encodeURIComponent(id)}${more}`;

export class Boards {
  // `changed` is called when there is more to be seen.
  constructor(session, changed) {
    this.session = session;
    this.changed = changed;
    this.list = new KeyedList(byId("boards"), (board) => board.key, (board) => boardRow(board, new Log(), changed, session));
    this.seen = "";
  }

  show(house) {
    const seen = [...house.devices.values()].map(({ id, state, room }) => `${id} ${state} ${room}`).join(";");
    if (seen === this.seen) return;
    this.seen = seen;
    this.changed();
  }

  async look() {
    if (!this.session.may("operate")) return;
    try {
      const [all, { links }] = await Promise.all([ask("/api/v1/devices"), ask("/api/v1/links")]);
      this.list.show(boardsOf(all, links));
    } catch {
      // The gateway is away: the page says so, and what is known stays.
    }
    byId("boards-panel").hidden = byId("boards").childElementCount === 0;
  }
}

// One row for each device, for whoever waits or is refused, and for each line without a device.
function boardsOf({ devices, waiting, refused }, links) {
  const line = new Map(links.map((link) => [link.link, link]));
  const own = (link) => (link && link.link !== "mqtt" ? link : null);
  const rows = devices.map(({ counters: { lost_frames: lost }, ...device }) => ({
    key: `device ${device.device_id}`,
    name: device.device_id,
    state: device.state === "connected" ? "Here" : `Away: ${device.reason}`,
    since: device.since,
    away: device.state !== "connected",
    log: pathOf(device.device_id, "/log"),
    facts: [device.name, device.room, device.user_id, device.link, device.firmware, device.has_key && "has a key", counted(own(line.get(device.link))), lost && `${count(lost, "frame")} lost`],
    ...troubleOf(own(line.get(device.link))),
  }));
  for (const { device_id: id, link, reason, since, times } of refused) {
    const waits = waiting.find((one) => one.device_id === id);
    rows.push({ key: `refused ${link} ${id}`, name: id || "A device", state: waits ? "Waits" : "Refused", since, bad: true, waits, facts: [link, waits?.firmware, count(times, "time"), reason] });
  }
  for (const link of links.filter((one) => !one.devices.length || one.link === "mqtt")) {
    rows.push({ key: `link ${link.link}`, name: link.link, state: link.up ? "No device" : "Down", lines: link.lines, facts: [counted(link)], ...troubleOf(link) });
    if (link.link === "mqtt" && link.up) Object.assign(rows.at(-1), { state: count(link.devices.length, "device"), logsIn: true });
  }
  return rows;
}

function counted(link) {
  if (!link || link.counters.frames === undefined) return "";
  const { frames, crc_errors: crc, cobs_errors: cobs, oversized } = link.counters;
  const broken = crc + cobs + oversized;
  return `${count(frames, "frame")}, ${broken} broken`;
}

function troubleOf(link) {
  return link?.reason ? { bad: true, reason: link.reason, remedy: link.remedy } : {};
}

// What a board logs in with at the gateway's own broker, also one that has not come yet.
function loginForm() {
  const name = element("input", "");
  const told = element("output", "");
  setAttribute(name, "aria-label", "Device id");
  name.placeholder = "device id";
  const show = element("button", "plain quiet", "MQTT password");
  const form = element("form", "acts", name, show, told);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      setText(told, (await ask(pathOf(name.value.trim(), "/mqtt"))).password);
    } catch (error) {
      setText(told, error.message);
    }
  });
  return form;
}

function boardRow({ name: label }, log, changed, session) {
  const login = loginForm();
  let shown = {};
  let failed = "";
  const read = button("plain quiet", "Log", () => log.open(shown), `Log of ${label}`);
  const act = (word, more, method = "POST") => button("plain quiet", word, async () => {
    failed = await send(pathOf(shown.name, more), method).then(() => "", reasonOf);
    changed();
  }, `${word} ${label}`);
  const forget = act("Forget", "", "DELETE");
  const decide = [act("Approve", "/approve"), act("Deny", "/deny")];
  const { node, update } = partRow("board", "h4", login, element("p", "acts", read, forget, ...decide));
  return {
    node,
    update: (board) => {
      shown = board;
      setAttribute(node, "data-bad", String(Boolean(board.bad || board.away)));
      update({ ...board, ...(board.away && { reason: "", remedy: "" }), ...(failed && { reason: failed }) });
      login.hidden = !board.logsIn;
      read.hidden = !board.log && !board.lines?.length;
      forget.hidden = !board.away;
      for (const one of decide) one.hidden = !board.waits || !session.may("govern");
    },
  };
}

// What a device prints, as long as the dialog is open.
class Log {
  open({ name, log, lines }) {
    this.after = 0;
    setText(byId("device-log-title"), `What ${name} prints`);
    byId("device-log-lines").replaceChildren();
    byId("device-log").showModal();
    if (log) this.follow(log);
    else this.add(lines, "");
  }

  async follow(path) {
    try {
      const { lines, dropped } = await ask(`${path}?after=${this.after}`);
      this.add(lines, dropped ? `${count(dropped, "older line")} dropped.` : "");
    } catch (error) {
      setText(byId("device-log-note"), error.message);
      return;
    }
    setTimeout(() => byId("device-log").open && this.follow(path), LOG_MS);
  }

  add(lines, note) {
    const list = byId("device-log-lines");
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
    for (const { number, timestamp, text, level } of lines) {
      this.after = number;
      const row = element("li", "", element("time", "", moment(timestamp)), span("", text));
      setAttribute(row, "data-level", level <= 4 ? "bad" : "plain");
      list.append(row);
      if (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
    }
    setText(byId("device-log-note"), list.childElementCount ? note : "It has printed nothing yet.");
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
}
