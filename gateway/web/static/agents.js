// The agents that the settings name: who is there, and how each does.

import { ask } from "./ask.js";
import { KeyedList, byId, setAttribute, setText } from "./dom.js";
import { count, duration } from "./format.js";
import { partRow } from "./part-row.js";

const STATES = { unknown: "Not seen yet", absent: "Not there", open: "Left alone", "half open": "On trial" };

export class Agents {
  constructor() {
    this.list = new KeyedList(byId("agents"), (agent) => agent.name, agentRow);
  }

  async look() {
    const { agents, strangers } = await ask("/api/v1/agents").catch(() => ({}));
    if (!agents) return; // the gateway is away: what is known stays
    this.list.show(agents);
    setText(byId("strangers"), strangers.length ? `There, but named in no setting: ${strangers.join(", ")}` : "");
    byId("agents-panel").hidden = agents.length === 0;
  }
}

function agentRow({ name }) {
  const { node, update } = partRow("board", "h4");
  return {
    node,
    update: (agent) => {
      const state = STATES[agent.state] ?? STATES[agent.breaker] ?? "Here";
      const wrong = agent.unreadable ? `What it says of itself cannot be read: ${agent.unreadable}` : agent.last_error && `Last error: ${agent.last_error}`;
      setAttribute(node, "data-bad", String(!["Here", STATES.unknown].includes(state)));
      update({ name, state, since: agent.state === "absent" && agent.seen, facts: [...factsOf(agent), ...figuresOf(agent)], reason: wrong });
    },
  };
}

function factsOf({ inside, teams, instances }) {
  const { description, version } = instances.at(-1) ?? {};
  const copies = instances.length > 1 && count(instances.length, "copy", "copies");
  return [description, version, copies, inside && "inside the gateway", teams.length && `${teams.length > 1 ? "teams" : "team"} ${teams.join(", ")}`];
}

function figuresOf({ instances, asked, answered, failed, p50_ms: half, p95_ms: most, cache }) {
  const working = instances.reduce((sum, { answering }) => sum + answering, 0);
  const share = failed && `${failed} failed (${Math.max(1, Math.round((100 * failed) / (answered + failed)))} %)`;
  const speed = half && `half within ${duration(half)}, 95 % within ${duration(most)}`;
  return [`${asked} asked`, share, speed, cache && `${cache.hits} cached`, working && `${working} at work`];
}
