// Shows the gateway's own description of its API. Everything from there is set as text, never as markup.
"use strict";

const main = document.getElementById("operations");

function element(name, text = "", ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function named(name, className, text) {
  const made = element(name, text);
  made.className = className;
  return made;
}

/** What may stand there, in a few words. */
function typeOf(schema = {}) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  if (schema.type === "object" && schema.additionalProperties) return `${typeOf(schema.additionalProperties)} by name`;
  return [schema.type, schema.pattern].filter(Boolean).join(" ") || "anything";
}

/** A schema with what it refers to, as an outline; each name is opened once. */
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
  const shown = element("dl");
  for (const one of list) {
    const needed = one.required ? "" : " (optional)";
    shown.append(element("dt", `${one.name}: ${typeOf(one.schema)}${needed}`), element("dd", one.description || `in the ${one.in}`));
  }
  return shown;
}

function content(title, media, components) {
  const parts = [element("h3", title)];
  for (const [type, { schema }] of Object.entries(media)) {
    parts.push(element("pre", `${type}\n${outline(schema, components) || typeOf(schema)}`.trim()));
  }
  return parts;
}

function operation(base, path, method, told, components) {
  const head = element("h2");
  head.append(named("span", "method", method.toUpperCase()), document.createTextNode(` ${base}${path}`));
  const body = named("div", "body", "");
  body.append(element("p", told.description || "Open to everybody."));
  if (told.parameters) body.append(element("h3", "Parameters"), parameters(told.parameters));
  if (told.requestBody) body.append(...content("Body", told.requestBody.content, components));
  for (const [status, answer] of Object.entries(told.responses)) {
    if (answer.content) body.append(...content(`Answer ${status}`, answer.content, components));
    else if (status === "204") body.append(element("h3", "Answer 204: nothing"));
  }
  const details = element("details", "", element("summary", "", head, named("div", "what", told.summary)), body);
  details.id = told.operationId;
  return details;
}

async function show() {
  const answer = await fetch("/api/v1/openapi.json");
  if (!answer.ok) throw new Error(`the gateway answered ${answer.status}`);
  const api = await answer.json();
  document.getElementById("about").textContent = `${api.info.version}\n${api.info.description}`;
  const shown = [];
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, told] of Object.entries(methods)) {
      shown.push(operation(api.servers[0].url, path, method, told, api.components.schemas));
    }
  }
  main.replaceChildren(...shown);
}

show()
  .catch((error) => main.replaceChildren(element("p", `The description cannot be shown: ${error.message}`)))
  .finally(() => main.setAttribute("aria-busy", "false"));
