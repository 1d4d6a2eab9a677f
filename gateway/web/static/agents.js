// The agents that the settings name: who is there, how fast each answers, and who is left alone for failing.

import { ask } from "./ask.js";
import { KeyedList, byId, element, setAttribute, setText } from "./dom.js";
import { count, duration, moment } from "./format.js";

const AGAIN_MS = 2_000;
const COLUMNS = ["Agent", "State", "At work", "Asked", "Failed", "Half within", "95 % within"];

export class Agents {
  constructor() {
    const heads = COLUMNS.map((name, index) => element("th", index === 1 ? "how" : "", name));
    for (const head of heads) head.scope = "col";
    byId("agents").append(element("thead", "", element("tr", "", ...heads)));
    this.list = new KeyedList(byId("agents").appendChild(element("tbody", "")), (agent) => agent.name, agentRow);
    this.timer = 0;
    this.seen = "";
  }

  // While somebody looks: at once when one comes or goes, and for what is counted every few seconds.
  show(house) {
    const parts = [...house.components.values()].filter(({ component }) => component === "agents" || component.startsWith("agent "));
    const seen = parts.map(({ component, state, reason }) => `${component} ${state} ${reason}`).join(";");
    if (seen === this.seen) return;
    this.seen = seen;
    this.look();
  }

  async look() {
    clearTimeout(this.timer);
    let known = null;
    try {
      known = await ask("/api/v1/agents");
      this.tell(known);
    } catch {
      // The gateway is away: the page says so, and what is known stays.
    }
    clearTimeout(this.timer);
    if (!byId("view-health").hidden && known?.agents.length !== 0) this.timer = setTimeout(() => this.look(), AGAIN_MS);
  }

  tell({ agents, strangers }) {
    this.list.show(agents);
    const here = agents.filter(({ state }) => state === "here").length;
    setText(byId("agents-sum"), agents.length > 1 ? `${here} of ${agents.length} are here` : "");
    setText(byId("strangers"), strangers.length ? `There, but named in no setting: ${strangers.join(", ")}` : "");
    byId("agents-panel").hidden = agents.length === 0;
  }
}

// How an agent is, in words, and whether that is trouble.
function howIs({ state, breaker, seen }) {
  if (state === "unknown") return ["Not seen yet", "unknown"];
  if (state === "absent") return [seen ? `Gone since ${moment(seen)}` : "Not there", "trouble"];
  if (breaker === "open") return ["Left alone", "trouble"];
  if (breaker === "half open") return ["On trial", "trouble"];
  return ["Here", "here"];
}

function factsOf({ inside, teams, instances }) {
  const newest = instances.at(-1) ?? {};
  return [
    newest.description,
    newest.version,
    instances.length > 1 && count(instances.length, "copy", "copies"),
    inside && "inside the gateway",
    teams.length && `${teams.length > 1 ? "teams" : "team"} ${teams.join(", ")}`,
  ];
}

function loadOf({ instances }) {
  const sum = (what) => instances.reduce((so, one) => so + one[what], 0);
  return instances.length ? `${sum("answering")} of ${sum("concurrency")}` : "–";
}

function failedOf({ answered, failed, timed_out: late }) {
  if (!failed) return answered ? "0" : "–";
  const share = Math.max(1, Math.round((100 * failed) / (answered + failed)));
  return `${failed} (${share} %)${late === failed ? ", late" : ""}`;
}

// On low screens, where the heads are not seen, each figure says what it is.
function figureOf(label) {
  const figure = element("td", "");
  figure.dataset.label = label;
  return figure;
}

function agentRow({ name }) {
  const facts = element("span", "");
  const error = element("span", "agent-error");
  const head = element("th", "", name, facts, error);
  head.scope = "row";
  const how = element("td", "how");
  const figures = COLUMNS.slice(2).map(figureOf);
  const node = element("tr", "", head, how, ...figures);
  return {
    node,
    update: (agent) => {
      const [words, kind] = howIs(agent);
      setAttribute(node, "data-how", kind);
      setText(how, words);
      setText(facts, factsOf(agent).filter(Boolean).join(" · "));
      const wrong = agent.unreadable ? `What it says of itself cannot be read: ${agent.unreadable}` : agent.last_error && `Last error: ${agent.last_error}`;
      setText(error, wrong);
      const times = [agent.p50_ms, agent.p95_ms].map((time) => (time ? duration(time) : "–"));
      [loadOf(agent), String(agent.asked), failedOf(agent), ...times].forEach((text, index) => setText(figures[index], text));
    },
  };
}
