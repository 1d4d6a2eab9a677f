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

export async function ask(path, { headers, ...options } = {}) {
  const response = await fetch(path, { ...options, headers: { Accept: "application/json", ...headers } });
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, answer?.detail || answer?.title || `The gateway answered ${response.status}.`);
  return answer;
}

export function send(path, method, body) {
  return ask(path, { method, ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }) });
}
