// What all views share: requests, elements, verdicts, the theme and short messages.

export const facts = JSON.parse(document.body.dataset.facts);
const csrf = document.body.dataset.csrf;

export const VERDICTS = { PASS: "●", REVIEW: "▲", FAIL: "■", ERROR: "◆" };
export const ANSWERS = {
  DefectConfirmed: "Defect", DefectRejected: "Good", DefectAccepted: "Accepted", Escalated: "Escalated",
};

// Makes an element; text is set as text, never as markup.
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  fill(made, attributes, children);
  return made;
}

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(made, attributes, children);
  return made;
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
}

export function chip(verdict) {
  return el("span", { class: `chip ${verdict.toLowerCase()}` }, `${VERDICTS[verdict] ?? "?"} ${verdict}`);
}

// The joints of a board, to be laid over its picture; called ones lie on top.
export function marks(board, onClick) {
  const [width, height] = board.frame;
  const joints = [...board.joints].sort((a, b) => Number(a.called) - Number(b.called));
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "xMidYMid meet", role: "group", "aria-label": "Joints" },
    ...joints.filter((joint) => joint.box).map((joint) => {
      const [x, y, w, h, angle] = joint.box;
      const group = svg("g", {}, svg("title", {}, `${joint.refdes} ${joint.verdict}`), svg("rect", {
        class: `mark ${joint.verdict.toLowerCase()}${joint.said ? " decided" : ""}`, "data-position": joint.position,
        x: x - w / 2, y: y - h / 2, width: w, height: h, transform: `rotate(${(angle * 180) / Math.PI} ${x} ${y})`,
      }));
      if (onClick) group.addEventListener("click", () => onClick(joint));
      return group;
    }));
}

export class Refusal extends Error {
  constructor(status, message, hint) {
    super(hint ? `${message} — ${hint}` : message);
    this.status = status;
  }
}

async function answer(response) {
  if (response.status === 401) location.assign("/login");
  const type = response.headers.get("content-type") ?? "";
  const body = type.startsWith("application/json") ? await response.json() : { error: await response.text() };
  if (!response.ok) throw new Refusal(response.status, body.error ?? "the station did not answer", body.hint);
  return body;
}

export async function get(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given).toString();
  return answer(await fetch(text ? `${path}?${text}` : path, { headers: { accept: "application/json" } }));
}

// Sends something that changes something. A lost connection is tried again with the same token, which the station
// writes once.
export async function post(path, body) {
  const request = {
    method: "POST",
    headers: { "content-type": "application/json", "x-csrf-token": csrf },
    body: JSON.stringify({ ...body, token: body.token ?? token() }),
  };
  for (let left = 3; ; left -= 1) {
    try {
      return await answer(await fetch(path, request));
    } catch (error) {
      if (error instanceof Refusal || left === 0) throw error;
      await new Promise((done) => setTimeout(done, 400));
    }
  }
}

function token() {
  // Unlike crypto.randomUUID, this also works without TLS.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

let hide = 0;
export function say(text, kind = "info") {
  const toast = document.getElementById("toast");
  toast.textContent = text;
  toast.className = `toast ${kind}`;
  toast.hidden = false;
  clearTimeout(hide);
  hide = setTimeout(() => { toast.hidden = true; }, kind === "fault" ? 8000 : 2500);
}

export function fault(error) {
  say(error.message || "the station cannot be reached", "fault");
}

export function localTime(utc) {
  const time = new Date(utc);
  return Number.isNaN(time.getTime()) ? utc : time.toLocaleString(undefined, {
    month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false,
  });
}

export function typing(event) {
  return event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea");
}

document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});

const help = document.getElementById("help");
export function showKeys(keys) {
  document.getElementById("keys").replaceChildren(
    el("dl", { class: "keys" }, ...keys.flatMap(([key, text]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, text)])),
  );
}
document.getElementById("help-button").addEventListener("click", () => help?.showModal());
addEventListener("keydown", (event) => {
  if (event.key === "?" && !typing(event)) help?.showModal();
});
