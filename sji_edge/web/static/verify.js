// The view Verify: one called joint at a time, one key a decision.

import { ANSWERS, chip, el, facts, fault, get, localTime, marks, post, say, showKeys, svg, typing } from "./common.js";

const AROUND = 2.0;
const BLINK_MS = 450;
const $ = (id) => document.getElementById(id);
const mayDecide = facts.role !== "viewer";

let board = null;
let order = [];
let at = 0;
let shownAt = 0;
// Whether the joint's picture is on the screen, or known to be missing: nobody answers for a joint that nobody saw.
let seen = false;
let scoreShown = false;
let accepting = false;
let busy = false;
let asking = false;
let undoNext = false;
let pictures = null;
let reference = 0;
let blinking = 0;
let overReference = false;
const done = [];
const view = { zoom: 1, x: 0, y: 0 };

// The joints to answer: those called, else the board as a whole.
function callsOf(shown) {
  const calls = shown.joints.filter((joint) => joint.called);
  return shown.whole_called ? [{ ...WHOLE, verdict: shown.verdict, said: shown.whole, cause: shown.cause }] : calls;
}
const WHOLE = { position: -1, refdes: "", package: "", label: "", score: null, box: null, called: true };

const here = () => order[at];
// What an operator handed on waits for an engineer.
const isHandedOn = (said) => said.what === "Escalated" && facts.role === "engineer" && said.who !== facts.user;
const isOpen = (joint) => joint.called && (!joint.said || isHandedOn(joint.said));

async function next(after = board) {
  // The page and its list may both ask for the first board.
  if (asking) return;
  asking = true;
  const query = after ? { source: after.source, board: after.id } : {};
  try {
    const found = await get("/api/verify/next", query);
    show(found);
    refreshQueue();
  } catch (error) { fault(error); } finally { asking = false; }
}

async function open(source, id, position = null) {
  try {
    show(await get(`/api/verify/boards/${source}/${id}`), position);
    refreshQueue();
  } catch (error) { fault(error); }
}

function show(found, position = null) {
  board = found;
  stopBlinking();
  if (!board) {
    order = [];
    for (const id of ["joint-head", "references", "overview", "facts", "calls"]) $(id).replaceChildren();
    $("stage").replaceChildren(el("div", { class: "missing" }, "All calls are answered. New ones appear here by themselves."));
    setButtons();
    return;
  }
  order = callsOf(board);
  const wanted = position === null ? order.findIndex(isOpen) : order.findIndex((joint) => joint.position === position);
  if (wanted < 0 && position !== null) order = [...order, board.joints.find((joint) => joint.position === position)];
  at = wanted < 0 ? (position === null ? 0 : order.length - 1) : wanted;
  drawBoard();
  if (order.length) showJoint();
  else $("stage").replaceChildren(el("div", { class: "missing" }, "Nothing on this board was called."));
  history.replaceState(null, "", board.blind ? "/verify" : `/verify?source=${board.source}&board=${board.id}`);
}

function showJoint() {
  const joint = here();
  seen = false;
  scoreShown = false;
  accepting = false;
  stopBlinking();
  Object.assign(view, { zoom: 1, x: 0, y: 0 });
  drawHead();
  drawCalls();
  markNow();
  setButtons();
  const mine = board;
  const url = `/api/verify/boards/${board.source}/${board.id}/${joint.position}`;
  $("main-caption").textContent = joint.position < 0 ? "The whole board" : "This board";
  if (joint.position < 0) {
    pictures = { joint: `/pictures/boards/${board.source}/${board.id}`, around: false, golden: null, golden_why: "", good: [] };
    drawStage();
    drawReferences();
    return;
  }
  // The picture itself does not wait for what it is compared with.
  pictures = { joint: url.replace("/api/verify/boards", "/pictures/joints"), around: true, golden: null, golden_why: "…", good: [] };
  drawStage();
  $("references").replaceChildren();
  get(url).then((found) => {
    if (board !== mine || here() !== joint) return;
    pictures = found;
    drawStage();
    drawReferences();
    prefetch();
  }, fault);
}

function prefetch() {
  const following = order.slice(at + 1).find(isOpen);
  if (following) {
    new Image().src = `/pictures/joints/${board.source}/${board.id}/${following.position}`;
    new Image().src = `/pictures/golden/${board.source}/${board.id}/${following.position}`;
  }
}

function drawHead() {
  const joint = here();
  const left = order.filter(isOpen).length;
  const figures = joint.score === null ? "" : `score ${joint.score.toFixed(3)} (limits ${joint.lower.toFixed(3)}, ${joint.upper.toFixed(3)})`
    + (joint.novelty === null ? "" : ` · novelty ${joint.novelty.toFixed(2)}`);
  $("joint-head").replaceChildren(
    el("h1", {}, joint.refdes || "Whole board"), chip(joint.verdict),
    el("span", {}, [joint.package, joint.cause].filter(Boolean).join(" · ")),
    el("span", { class: "grow" }),
    el("span", { class: "score", title: figures && scoreShown ? figures : null }, scoreShown ? figures || "no score" : ""),
    el("span", { class: "left" }, `${left} of ${order.length} open`),
  );
}

function drawStage() {
  const joint = here();
  const stage = $("stage");
  const layer = el("div", { class: "layer" });
  const shown = () => {
    if (here() === joint && !seen) { seen = true; shownAt = performance.now(); setButtons(); }
  };
  if (pictures.joint === null) {
    shown();
    layer.append(el("div", { class: "missing" }, pictures.why, pictures.hint ? el("small", {}, pictures.hint) : null));
  } else {
    const image = el("img", { src: pictures.joint, alt: `${joint.refdes || "board"} on this board`, draggable: "false" });
    image.addEventListener("load", shown);
    image.addEventListener("error", shown);
    image.addEventListener("error", () => image.replaceWith(el("div", { class: "missing" }, pictures.why || "no picture was kept")));
    layer.append(image);
    const other = references()[reference];
    if (other?.picture) layer.append(el("img", { src: other.picture, class: "other", alt: other.title, hidden: true, draggable: "false" }));
    if (pictures.around && joint.box) layer.append(corners(joint.box));
  }
  stage.replaceChildren(layer);
  if (pictures.joint && pictures.why) stage.append(el("span", { class: "badge" }, "the engine's crop: no board was kept"));
  place();
}

// Ticks at the corners of the joint's box: a full frame would hide what lies beneath it.
function corners([, , width, height, angle]) {
  const longest = Math.max(width, height) * AROUND;
  const [w, h] = [(width / longest) * 50, (height / longest) * 50];
  const t = Math.min(w, h) * 0.35;
  const path = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([sx, sy]) => (
    `M${sx * w} ${sy * (h - t)}L${sx * w} ${sy * h}L${sx * (w - t)} ${sy * h}`)).join("");
  return svg("svg", { viewBox: "-50 -50 100 100" }, svg("path", {
    d: path, fill: "none", stroke: "#ffd166", "stroke-width": 2, "vector-effect": "non-scaling-stroke",
    transform: `rotate(${(angle * 180) / Math.PI})`,
  }));
}

function references() {
  return [
    { title: "Golden", picture: pictures.golden, why: pictures.golden_why },
    ...pictures.good.slice(0, 3).map((one) => ({ title: `Good ${localTime(one.utc)}`, picture: one.picture })),
  ];
}

function drawReferences() {
  const every = references();
  if (reference >= every.length) reference = 0;
  const shown = every.slice(0, 2).map((one, number) => el("figure", {},
    el("button", {
      type: "button", class: "reference", "aria-pressed": String(number === reference), title: "Compare with this",
      onclick: () => { reference = number; drawReferences(); drawStage(); startBlinking(); },
    }, one.picture ? el("img", { src: one.picture, alt: one.title }) : el("div", { class: "missing" }, one.why),
    one.picture && pictures.around && here().box ? corners(here().box) : null),
    el("figcaption", {}, one.title)));
  if (every.length < 2) shown.push(el("figure", {}, el("div", { class: "reference" },
    el("div", { class: "missing" }, "no good board with a picture")), el("figcaption", {}, "Last good board")));
  $("references").replaceChildren(...(here().position < 0 ? [] : shown));
}

function drawBoard() {
  const overview = $("overview");
  const image = el("img", { src: `/pictures/boards/${board.source}/${board.id}`, alt: `Board ${board.frame_name}` });
  image.addEventListener("error", () => image.replaceWith(el("div", { class: "missing" }, "no picture of the board was kept")));
  overview.replaceChildren(image);
  if (board.frame) overview.append(marks(board, (joint) => open(board.source, board.id, joint.position)));
  const rows = [["Frame", board.frame_name], ["Judged", localTime(board.utc)], ["Board", board.board]];
  if (board.serial) rows.unshift(["Serial", board.serial]);
  if (board.cause) rows.push(["Cause", board.cause]);
  $("facts").replaceChildren(...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function markNow() {
  for (const mark of document.querySelectorAll(".mark")) {
    mark.classList.toggle("now", Number(mark.dataset.position) === here().position);
  }
}

function drawCalls() {
  $("calls").replaceChildren(...order.map((joint, number) => el("li", {}, el("button", {
    type: "button", "aria-current": number === at ? "true" : null, onclick: () => { at = number; showJoint(); },
  }, el("span", {}, joint.refdes || "Whole board"), chip(joint.verdict), joint.said ? el("small", {}, saidText(joint.said)) : null))));
  $("calls").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

function saidText(said) {
  const title = facts.categories.defect.find((one) => one.name === said.category)?.title ?? said.category;
  return `${[ANSWERS[said.what] ?? said.what, title].filter(Boolean).join(": ")} · ${said.who}`;
}

let queueTimer = 0;
function waiting(one, word) {
  return el("li", {}, el("button", {
    type: "button", onclick: () => open(one.source, one.id),
    "aria-current": board && one.source === board.source && one.id === board.id ? "true" : null,
  }, el("span", { class: "name" }, one.serial || one.frame_name), chip(one.verdict),
  el("small", { class: word === "open" ? "open" : null }, `${one.open} ${word}`), el("small", {}, localTime(one.utc))));
}

async function refreshQueue() {
  clearTimeout(queueTimer);
  try {
    const found = await get("/api/verify/queue");
    $("open").textContent = found.open.toLocaleString();
    $("queue").replaceChildren(...found.boards.map((one) => waiting(one, "open")));
    $("escalated").replaceChildren(...found.escalated.map((one) => waiting(one, "to decide")));
    $("escalated-head").hidden = !found.escalated.length;
    $("escalations").textContent = found.escalated.reduce((sum, one) => sum + one.open, 0).toLocaleString();
    if (!board && found.boards.length) next(null);
  } catch (error) { fault(error); }
  queueTimer = setTimeout(refreshQueue, 5000);
}

async function decide(what, category = "") {
  const joint = here();
  if (!joint || busy || !mayDecide) return;
  if (!seen) { say("the picture is not there yet"); return; }
  busy = true;
  const mine = board;
  try {
    const given = {
      source: mine.source, board: mine.id, position: joint.position, what, category,
      seconds: (performance.now() - shownAt) / 1000, score_shown: scoreShown, blind: mine.blind,
    };
    const begun = performance.now();
    const result = await post("/api/verify/decisions", given);
    $("status").textContent = `answered in ${Math.round(performance.now() - begun)} ms`;
    $("open").textContent = result.open.toLocaleString();
    joint.said = { id: result.row, who: facts.user, what, category, utc: new Date().toISOString() };
    done.push({ source: mine.source, board: mine.id, position: joint.position, row: result.row });
    document.querySelector(`.mark[data-position="${joint.position}"]`)?.classList.add("decided");
    const waiting = document.querySelector("#queue [aria-current] .open");
    if (waiting) waiting.textContent = `${result.left} open`;
    if (result.others.length) say(`${result.others[0].who} had said: ${saidText(result.others[0])}`);
    forward();
  } catch (error) { fault(error); } finally { free(); }
}

function free() {
  busy = false;
  setButtons();
  if (undoNext) { undoNext = false; undo(); }
}

function forward() {
  const following = order.findIndex((joint, number) => number > at && isOpen(joint));
  const wanted = following < 0 ? order.findIndex(isOpen) : following;
  if (wanted >= 0) { at = wanted; showJoint(); return; }
  if (!board.blind) say("Board done");
  // Until the next board is there, a key would answer the last joint once more.
  seen = false;
  setButtons();
  next();
}

async function undo() {
  // An answer on its way is taken back once it is there.
  if (busy) { undoNext = true; return; }
  const last = done.pop();
  if (!last) { say("nothing to undo on this page"); return; }
  busy = true;
  try {
    await post("/api/verify/undo", { source: last.source, row: last.row });
    say("undone");
    await open(last.source, last.board, last.position);
  } catch (error) { done.push(last); fault(error); } finally { free(); }
}

function step(by) {
  const wanted = at + by;
  if (wanted >= 0 && wanted < order.length) { at = wanted; showJoint(); } else if (by > 0) next();
}

function startBlinking() {
  if (!blinking) blinking = setInterval(() => showOther(!overReference), BLINK_MS);
  showOther(true);
  setButtons();
}
function stopBlinking() {
  clearInterval(blinking);
  blinking = 0;
  showOther(false);
}
function showOther(shown) {
  const other = $("stage").querySelector(".other");
  overReference = shown && other !== null;
  if (other) other.hidden = !overReference;
  const joint = here();
  if (joint && joint.position >= 0) $("main-caption").textContent = overReference ? references()[reference].title : "This board";
}

// The map takes the reference's place until the next joint.
function showMap() {
  const joint = here();
  if (!facts.maps) { say("the station has no engine: start it with --engine", "fault"); return; }
  if (joint.position < 0) return;
  const layer = $("stage").querySelector(".layer");
  const shown = layer.querySelector(".map");
  if (shown) { shown.remove(); return; }
  stopBlinking();
  setButtons();
  const image = el("img", { class: "map", src: `/pictures/maps/${board.source}/${board.id}/${joint.position}`, alt: "What the engine looked at", draggable: "false" });
  image.addEventListener("error", async () => {
    image.remove();
    try { await get(new URL(image.src).pathname); } catch (error) { fault(error); }
  });
  layer.append(image);
  say("warm: covering this part lowers the answer most");
}

function place() {
  const layer = $("stage").querySelector(".layer");
  if (layer) layer.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`;
}
function zoomTo(zoom, x = $("stage").clientWidth / 2, y = $("stage").clientHeight / 2) {
  const wanted = Math.min(8, Math.max(1, zoom));
  view.x = x - ((x - view.x) * wanted) / view.zoom;
  view.y = y - ((y - view.y) * wanted) / view.zoom;
  view.zoom = wanted;
  keepInside();
}
function keepInside() {
  const side = $("stage").clientWidth;
  view.x = Math.min(0, Math.max(side - side * view.zoom, view.x));
  view.y = Math.min(0, Math.max(side - side * view.zoom, view.y));
  place();
}
function cycleZoom() { zoomTo(view.zoom >= 4 ? 1 : view.zoom * 2); }

const stage = $("stage");
stage.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomTo(view.zoom * (event.deltaY < 0 ? 1.25 : 0.8), event.offsetX, event.offsetY);
}, { passive: false });
// One finger moves, two zoom.
const fingers = new Map();
stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); fingers.set(event.pointerId, event); });
stage.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const other = [...fingers.entries()].find(([id]) => id !== event.pointerId)?.[1];
  if (other) {
    const distance = (a) => Math.hypot(a.clientX - other.clientX, a.clientY - other.clientY) || 1;
    const box = stage.getBoundingClientRect();
    zoomTo((view.zoom * distance(event)) / distance(before), (event.clientX + other.clientX) / 2 - box.left, (event.clientY + other.clientY) / 2 - box.top);
  } else {
    view.x += event.clientX - before.clientX;
    view.y += event.clientY - before.clientY;
    keepInside();
  }
  fingers.set(event.pointerId, event);
});
for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => fingers.delete(event.pointerId));
stage.addEventListener("dblclick", cycleZoom);

function button(id, text, key, act, kind = "") {
  return el("button", { type: "button", id, class: kind, onclick: act }, el("kbd", {}, key.toUpperCase()), el("span", {}, text));
}
function setButtons() {
  $("defects").classList.toggle("accepting", accepting);
  $("accept").setAttribute("aria-pressed", String(accepting));
  $("blink").setAttribute("aria-pressed", String(blinking !== 0));
  for (const one of document.querySelectorAll(".decide button")) {
    if (one.id === "undo") one.disabled = !mayDecide || (!here() && !done.length);
    else one.disabled = !here() || (!one.dataset.looks && (!mayDecide || !seen));
  }
}
function accept() { accepting = !accepting; setButtons(); if (accepting) say("accepted as: choose the defect"); }
const choose = (category) => decide(accepting ? "DefectAccepted" : "DefectConfirmed", category);
const toggleBlink = () => (blinking ? (stopBlinking(), setButtons()) : startBlinking());
const showScore = () => { scoreShown = true; drawHead(); };

const { good, defect } = facts.categories;
$("defects").append(...defect.map((one) => button(`defect-${one.name}`, one.title, one.key, () => choose(one.name))));
$("answers").append(
  button("good", "Good: a false call", good.key, () => decide("DefectRejected"), "good"),
  button("accept", "Accept", "a", accept), button("escalate", "Escalate", "e", () => decide("Escalated")),
  button("undo", "Undo", "u", undo), button("blink", "Blink", "b", toggleBlink), button("zoom", "Zoom", "z", cycleZoom),
  button("map", "Map", "m", showMap), button("score", "Score", "s", showScore),
);
for (const id of ["blink", "zoom", "map", "score"]) $(id).dataset.looks = "yes";
setButtons();

const KEYS = new Map([
  [good.key, () => decide("DefectRejected")], ["a", accept], ["e", () => decide("Escalated")], ["u", undo],
  ["b", toggleBlink], ["z", cycleZoom], ["m", showMap], ["s", showScore], ["n", () => step(1)], ["p", () => step(-1)],
  ["ArrowRight", () => step(1)], ["ArrowLeft", () => step(-1)], ["+", () => zoomTo(view.zoom * 1.5)], ["-", () => zoomTo(view.zoom / 1.5)],
  ...defect.map((one) => [one.key, () => choose(one.name)]),
]);
addEventListener("keydown", (event) => {
  if (typing(event) || event.repeat || document.querySelector("dialog[open]")) return;
  const act = KEYS.get(event.key.length === 1 ? event.key.toLowerCase() : event.key);
  if (act && here()) { event.preventDefault(); act(); }
});
showKeys([
  ...defect.map((one) => [one.key, one.title]), [good.key, "Good: a false call"], ["a", "Accept, then the defect"],
  ["e", "Escalate to an engineer"], ["u", "Undo"], ["b", "Blink with the reference"], ["z", "Zoom 1×, 2×, 4×"], ["+ −", "Zoom"],
  ["m", "Map: what the engine looked at"], ["s", "Show the score"], ["n →", "Next without an answer"], ["p ←", "Back"], ["?", "These keys"],
]);

const asked = new URLSearchParams(location.search);
if (asked.has("board")) open(Number(asked.get("source") ?? 0), Number(asked.get("board")), asked.has("position") ? Number(asked.get("position")) : null);
else next(null);
setButtons();
