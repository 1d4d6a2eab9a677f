// Questions to the HTTP API. What it refuses is an error whose message is for people (RFC 9457).

export class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

export function reasonOf(error) {
  return error instanceof Refused ? error.message : "The gateway does not answer.";
}

export async function ask(path, options = {}) {
  const response = await fetch(path, { headers: { Accept: "application/json" }, ...options });
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, answer?.detail || answer?.title || `The gateway answered ${response.status}.`);
  return answer;
}

export function send(path, method, body) {
  const headers = { Accept: "application/json", ...(body && { "Content-Type": "application/json" }) };
  return ask(path, { method, headers, body: body && JSON.stringify(body) });
}
