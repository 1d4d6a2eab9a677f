// Shows the gateway's own description of its API. Everything from there is set as text, never as markup.
import { byId, element, span } from "./dom.js";

// What may stand there, in a few words.
function typeOf(schema = {}) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  if (schema.type === "object" && schema.additionalProperties) return `${typeOf(schema.additionalProperties)} by name`;
  return [schema.type, schema.pattern].filter(Boolean).join(" ") || "anything";
}

// A schema with what it refers to, as an outline; each name is opened once.
function outline(schema, components, seen = new Set(), indent = "") {
  const target = schema.$ref ? components[schema.$ref.split("/").pop()] : schema.items;
  if (schema.$ref && seen.has(schema.$ref)) return "";
  if (!schema.$ref && target) return outline(target, components, seen, indent);
  if (!schema.$ref && schema.anyOf) return schema.anyOf.map((one) => outline(one, components, seen, indent)).join("");
  if (!target || !target.properties) return "";
  seen.add(schema.$ref);
  let text = "";
  for (const [name, property] of Object.entries(target.properties)) {
    const optional = (target.required || []).includes(name) ? "" : "?";
    text += `${indent}${name}${optional}: ${typeOf(property)}\n${outline(property, components, seen, indent + "  ")}`;
  }
  return text;
}

function parameters(list) {
  return element("dl", "", ...list.flatMap((one) => [
    element("dt", "", `${one.name}: ${typeOf(one.schema)}${one.required ? "" : " (optional)"}`),
    element("dd", "", one.description || `in the ${one.in}`),
  ]));
}

function content(title, media, components) {
  const shown = ([type, { schema }]) => element("pre", "", `${type}\n${outline(schema, components) || typeOf(schema)}`.trim());
  return [element("h3", "", title), ...Object.entries(media).map(shown)];
}

function operation(base, path, method, told, components) {
  const head = element("h2", "", span("method", method.toUpperCase()), ` ${base}${path}`);
  const body = element("div", "body", element("p", "", told.description || "Open to everybody."));
  if (told.parameters) body.append(element("h3", "", "Parameters"), parameters(told.parameters));
  if (told.requestBody) body.append(...content("Body", told.requestBody.content, components));
  for (const [status, answer] of Object.entries(told.responses)) {
    if (answer.content) body.append(...content(`Answer ${status}`, answer.content, components));
    else if (status === "204") body.append(element("h3", "", "Answer 204: nothing"));
  }
  const details = element("details", "", element("summary", "", head, element("div", "what", told.summary)), body);
  details.id = told.operationId;
  return details;
}

async function show() {
  const answer = await fetch("/api/v1/openapi.json");
  if (!answer.ok) throw new Error(`the gateway answered ${answer.status}`);
  const { info, paths, servers, components } = await answer.json();
  byId("about").textContent = `${info.version}\n${info.description}`;
  const all = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map((one) => [path, ...one]));
  byId("operations").replaceChildren(...all.map((one) => operation(servers[0].url, ...one, components.schemas)));
}

show()
  .catch((error) => byId("operations").replaceChildren(element("p", "", `The description cannot be shown: ${error.message}`)))
  .finally(() => byId("operations").setAttribute("aria-busy", "false"));
