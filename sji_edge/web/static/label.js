// The view Label: select many crops, one key a class.

import { VERDICTS, el, facts, fault, get, post, say, showKeys, svg, typing } from "./common.js";

const $ = (id) => document.getElementById(id);
const grid = $("grid");
const filters = $("filters");
const mayLabel = facts.role === "engineer";
const { good, defect } = facts.categories;
const classes = [good, ...defect];
const titles = new Map(classes.map((one) => [one.name, one.title]));

let crops = [];
let cells = new Map();
let after = null;
let cursor = 0;
let anchor = 0;
let alikeTo = null;
let loading = 0;
let begun = performance.now();
let busy = false;
let undoNext = false;
const selected = new Set();
const done = [];

const pool = () => filters.elements.pool.value;
const api = (rest) => `/api/label/${pool()}/${rest}`;
function query() {
  const form = new FormData(filters);
  form.delete("pool");
  return Object.fromEntries(form.entries());
}

async function load({ more = false } = {}) {
  const number = (loading += 1);
  if (!crops.length) $("selected").textContent = "Loading…";
  try {
    const wanted = { ...query(), limit: 300 };
    if (more) wanted.after = after;
    const page = alikeTo && !more ? await get(api("alike"), { ...wanted, ids: alikeTo.join(",") }) : await get(api("crops"), wanted);
    if (number !== loading) return;
    if (!more) { crops = []; selected.clear(); cursor = anchor = 0; grid.scrollTop = 0; }
    crops = [...crops, ...page.crops];
    after = page.after;
    draw();
    begun = performance.now();
  } catch (error) { fault(error); }
}

function draw() {
  cells = new Map(crops.map((crop) => [crop.id, cellOf(crop)]));
  const rest = [];
  if (!crops.length) rest.push(el("div", { class: "empty" }, el("strong", {}, "No crops here"), "Change the filters, or collect more."));
  if (after !== null) rest.push(el("button", { type: "button", class: "more", onclick: () => load({ more: true }) }, "Show more"));
  grid.replaceChildren(...cells.values(), ...rest);
  markSelected();
}

function cellOf(crop) {
  const cell = el("div", { class: "crop", role: "option", "data-id": crop.id, title: [crop.refdes, crop.package, crop.unit, crop.captured.slice(0, 19)].filter(Boolean).join(" · ") },
    el("img", { src: `/pictures/crops/${pool()}/${crop.id}`, alt: crop.refdes, loading: "lazy", draggable: "false" }));
  const picture = cell.querySelector("img");
  picture.addEventListener("load", () => picture.after(boxOf(picture, crop.box)), { once: true });
  fillCell(cell, crop);
  return cell;
}

// A crop has a margin, in which neighbours may be seen: ticks at the corners of the box tell which joint is meant.
function boxOf(picture, [x, y, width, height]) {
  const dx = width / 5, dy = height / 5, right = x + width, bottom = y + height;
  return svg("svg", { viewBox: `0 0 ${picture.naturalWidth} ${picture.naturalHeight}`, "aria-hidden": "true" }, svg("path", {
    d: `M${x} ${y + dy}V${y}h${dx}M${right - dx} ${y}H${right}v${dy}M${right} ${bottom - dy}V${bottom}h${-dx}M${x + dx} ${bottom}H${x}v${-dy}`,
    fill: "none", stroke: "#ffd166", "stroke-width": 1.5, "vector-effect": "non-scaling-stroke",
  }));
}

function fillCell(cell, crop) {
  cell.querySelectorAll(".tag, .figure").forEach((one) => one.remove());
  if (crop.label) {
    const isGood = crop.label === good.name;
    cell.append(el("span", { class: `tag chip ${isGood ? "pass" : "fail"}` }, `${isGood ? "●" : "■"} ${titles.get(crop.label) ?? crop.label}`));
  }
  if ($("scores").checked && crop.verdict) {
    cell.append(el("span", { class: "figure" }, `${VERDICTS[crop.verdict]} ${crop.score === null ? "–" : crop.score.toFixed(2)}`));
  }
}

function markSelected() {
  for (const [id, cell] of cells) {
    cell.setAttribute("aria-selected", String(selected.has(id)));
    cell.classList.toggle("cursor", crops[cursor]?.id === id && document.activeElement === grid);
  }
  $("selected").textContent = selected.size ? `${selected.size} selected of ${crops.length} shown` : `${crops.length} shown${after === null ? "" : ", more below"}${alikeTo ? ", alike" : ""}`;
  $("alike").disabled = selected.size === 0;
}

function selectRange(from, to, keep) {
  if (!keep) selected.clear();
  for (let number = Math.min(from, to); number <= Math.max(from, to); number += 1) selected.add(crops[number].id);
}

// A press on a crop selects it, with Shift a range; a drag selects all that its rectangle touches.
let drag = null;
grid.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || event.target.closest(".more")) return;
  const box = grid.getBoundingClientRect();
  drag = { x: event.clientX - box.left, y: event.clientY - box.top + grid.scrollTop, band: null, before: new Set(selected),
    cell: event.target.closest(".crop"), keep: event.ctrlKey || event.metaKey || event.shiftKey, shift: event.shiftKey, touch: event.pointerType === "touch" };
  // A finger scrolls.
  if (!drag.touch) grid.setPointerCapture(event.pointerId);
});
grid.addEventListener("pointermove", (event) => {
  if (!drag || drag.touch) return;
  const box = grid.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top + grid.scrollTop];
  if (!drag.band && Math.hypot(x - drag.x, y - drag.y) < 6) return;
  if (!drag.band) { drag.band = el("div", { class: "band" }); grid.append(drag.band); }
  const [left, top] = [Math.min(x, drag.x), Math.min(y, drag.y)];
  const [right, bottom] = [Math.max(x, drag.x), Math.max(y, drag.y)];
  Object.assign(drag.band.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
  selected.clear();
  if (drag.keep) for (const id of drag.before) selected.add(id);
  for (const [id, cell] of cells) {
    const over = cell.offsetLeft < right && cell.offsetLeft + cell.offsetWidth > left && cell.offsetTop < bottom && cell.offsetTop + cell.offsetHeight > top;
    if (over) selected.add(id);
  }
  markSelected();
});
addEventListener("pointerup", () => {
  if (!drag) return;
  const { band, cell, shift, keep, touch } = drag;
  drag = null;
  if (band) { band.remove(); return; }
  if (!cell) { if (!keep) selected.clear(); markSelected(); return; }
  const number = crops.findIndex((crop) => crop.id === Number(cell.dataset.id));
  if (shift) selectRange(anchor, number, true);
  else {
    const id = crops[number].id;
    if (keep || touch || selected.size <= 1) { if (selected.has(id)) selected.delete(id); else { if (!keep && !touch) selected.clear(); selected.add(id); } }
    else { selected.clear(); selected.add(id); }
    anchor = number;
  }
  cursor = number;
  grid.focus({ preventScroll: true });
  markSelected();
});

async function label(category) {
  if (busy || !mayLabel) { if (!mayLabel) say("only an engineer labels", "fault"); return; }
  const ids = selected.size ? crops.filter((crop) => selected.has(crop.id)).map((crop) => crop.id) : crops[cursor] ? [crops[cursor].id] : [];
  if (!ids.length) return;
  busy = true;
  try {
    const seconds = (performance.now() - begun) / 1000;
    const result = await post(api("labels"), { ids, category, seconds, score_shown: $("scores").checked });
    done.push({ rows: result.rows, pool: pool() });
    const given = new Set(ids);
    for (const crop of crops) if (given.has(crop.id)) { crop.label = category; crop.who = facts.user; fillCell(cells.get(crop.id), crop); }
    const wanted = query().labelled;
    if (wanted === "none" || (wanted && wanted !== "any" && wanted !== category)) crops = crops.filter((crop) => !given.has(crop.id));
    selected.clear();
    cursor = Math.max(0, Math.min(cursor, crops.length - 1));
    if (!crops.length && (after !== null || alikeTo || query().order === "likeness")) { alikeTo = null; await load(); } else draw();
    begun = performance.now();
    say(`${ids.length} × ${titles.get(category)}`);
    progress();
  } catch (error) { fault(error); } finally { free(); }
}

function free() {
  busy = false;
  if (undoNext) { undoNext = false; undo(); }
}

async function undo() {
  // A label on its way is taken back once it is there.
  if (busy) { undoNext = true; return; }
  const last = done.pop();
  if (!last) { say("nothing to undo on this page"); return; }
  busy = true;
  try {
    await post(`/api/label/${last.pool}/undo`, { rows: last.rows });
    say(`${last.rows.length} undone`);
    await load();
    progress();
  } catch (error) { done.push(last); fault(error); } finally { free(); }
}

async function progress() {
  try {
    const found = await get(api("facets"));
    const labelled = Object.values(found.labels).reduce((sum, count) => sum + count, 0);
    for (const one of classes) $(`count-${one.name}`).textContent = (found.labels[one.name] ?? 0).toLocaleString();
    $("progress-text").textContent = `${labelled.toLocaleString()} of ${found.crops.toLocaleString()} labelled`;
    $("progress").value = found.crops ? labelled / found.crops : 0;
    return found;
  } catch (error) { fault(error); return null; }
}

async function choosePool() {
  const found = await progress();
  if (!found) return;
  for (const [name, values] of [["package", found.packages], ["board", found.boards]]) {
    filters.elements[name].replaceChildren(el("option", { value: "" }, "all"),
      ...Object.entries(values).filter(([value]) => value).map(([value, count]) => el("option", { value }, `${value} (${count})`)));
  }
  // Without an engine there is no score to order by.
  for (const option of filters.elements.order.options) option.disabled = !found.judged && ["doubt", "novelty", "score", "disagreement"].includes(option.value);
  alikeTo = null;
  load();
}

function alike() {
  if (!selected.size) return;
  alikeTo = [...selected].slice(0, 100);
  load();
}
function selectAll() { for (const crop of crops) selected.add(crop.id); markSelected(); }

function move(by, extend) {
  if (!crops.length) return;
  cursor = Math.max(0, Math.min(crops.length - 1, cursor + by));
  if (extend) selectRange(anchor, cursor, false); else anchor = cursor;
  cells.get(crops[cursor].id).scrollIntoView({ block: "nearest" });
  markSelected();
}
const perRow = () => getComputedStyle(grid).gridTemplateColumns.split(" ").length;

const MOVES = { ArrowRight: () => 1, ArrowLeft: () => -1, ArrowDown: perRow, ArrowUp: () => -perRow(), Home: () => -crops.length, End: () => crops.length };
addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a" && !event.target.matches("input, select")) { event.preventDefault(); selectAll(); return; }
  if (typing(event)) return;
  if (MOVES[event.key]) { event.preventDefault(); if (document.activeElement !== grid) grid.focus(); move(MOVES[event.key](), event.shiftKey); return; }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const chosen = classes.find((one) => one.key === key);
  if (event.repeat && key !== " ") return;
  if (chosen) label(chosen.name);
  else if (key === "u") undo();
  else if (key === "m") alike();
  else if (key === "Escape") { if (alikeTo) { alikeTo = null; load(); } selected.clear(); markSelected(); }
  else if (key === " " && document.activeElement === grid && crops[cursor]) {
    event.preventDefault();
    const { id } = crops[cursor];
    if (selected.has(id)) selected.delete(id); else selected.add(id);
    anchor = cursor;
    markSelected();
  }
});

$("classes").append(...classes.map((one, number) => el("button", { type: "button", id: `class-${one.name}`, class: number ? "defect" : "good", onclick: () => label(one.name), disabled: !mayLabel },
  el("kbd", {}, one.key.toUpperCase()), el("span", {}, one.title), el("output", { id: `count-${one.name}` }, "0"))));
filters.elements.labelled.append(...classes.map((one) => el("option", { value: one.name }, one.title)));
filters.elements.pool.append(...facts.pools.map((name, number) => el("option", { value: number }, name)));
let wait = 0;
filters.addEventListener("input", (event) => {
  clearTimeout(wait);
  alikeTo = null;
  wait = setTimeout(event.target.name === "pool" ? choosePool : load, event.target.matches("input") ? 350 : 0);
});
filters.addEventListener("submit", (event) => event.preventDefault());
$("alike").addEventListener("click", alike);
$("undo").addEventListener("click", undo);
$("all").addEventListener("click", selectAll);
$("scores").addEventListener("change", () => { for (const crop of crops) fillCell(cells.get(crop.id), crop); });
$("size").addEventListener("input", () => grid.style.setProperty("--size", `${$("size").value}px`));
grid.addEventListener("focus", markSelected);
grid.addEventListener("blur", markSelected);
showKeys([...classes.map((one) => [one.key, one.title]), ["Shift + click", "Select a range"], ["drag", "Select a rectangle"], ["Ctrl + click", "Add one"],
  ["← ↑ → ↓", "Move"], ["Shift + arrow", "Select a range"], ["Space", "Select one"], ["Ctrl + A", "Select all shown"], ["m", "More like these"],
  ["Esc", "Select none"], ["u", "Undo"], ["?", "These keys"]]);
choosePool();
