// The view Look: what the line did and does. It changes nothing.

import { chip, el, facts, fault, get, localTime, marks, showKeys, svg } from "./common.js";

const $ = (id) => document.getElementById(id);
const find = $("find");
const source = () => find.elements.source.value;
const api = (rest) => `/api/look/${source()}/${rest}`;

function linkTo(one, position = null) {
  return `/verify?source=${one.source}&board=${one.board_id ?? one.id}${position === null ? "" : `&position=${position}`}`;
}

async function boards() {
  try {
    const form = Object.fromEntries(new FormData(find).entries());
    delete form.source;
    const found = await get(api("boards"), form);
    $("boards").replaceChildren(...found.map((one) => el("li", {}, el("a", { href: linkTo(one), title: one.cause || one.board },
      chip(one.verdict), el("span", {}, one.serial || one.frame_name), el("small", {}, one.called ? `${one.called} called` : ""), el("small", {}, localTime(one.utc))))));
    if (!found.length) $("boards").replaceChildren(el("li", { class: "empty" }, "No boards fit."));
  } catch (error) { fault(error); }
}

async function pareto() {
  try {
    const by = $("by").value;
    const bars = (await get(api("pareto"), { by })).filter((bar) => bar.reviews + bar.fails > 0);
    const most = Math.max(1, ...bars.map((bar) => bar.reviews + bar.fails));
    const row = 21;
    const groups = bars.map((bar, number) => {
      const total = bar.reviews + bar.fails;
      const parts = [["confirmed", bar.confirmed], ["rejected", bar.rejected], ["open", Math.max(0, total - bar.confirmed - bar.rejected)]];
      let x = 96;
      const rects = parts.map(([kind, count]) => {
        const width = (count / most) * 200;
        const rect = svg("rect", { class: `bar-${kind}`, x, y: number * row + 4, width, height: 13 });
        x += width;
        return rect;
      });
      const group = svg("g", {}, svg("title", {}, `${bar.name}: ${bar.fails} FAIL, ${bar.reviews} REVIEW; ${bar.confirmed} confirmed, ${bar.rejected} false calls`),
        svg("rect", { x: 0, y: number * row, width: 340, height: row, fill: "transparent" }),
        svg("text", { x: 90, y: number * row + 15, "text-anchor": "end" }, (bar.name || "none").slice(0, 14)), ...rects,
        svg("text", { class: "n", x: x + 5, y: number * row + 15 }, total));
      if (by === "refdes") group.addEventListener("click", () => history(bar.name));
      return group;
    });
    $("pareto").replaceChildren(bars.length ? svg("svg", { viewBox: `0 0 340 ${bars.length * row}`, role: "img", "aria-label": "Calls by joint" }, ...groups) : el("p", { class: "soft" }, "Nothing was called."));
    if (!$("refdes").value && by === "refdes" && bars.length) history(bars[0].name);
  } catch (error) { fault(error); }
}

async function summary() {
  try {
    const found = await get(api("summary"));
    if (!found) return;
    const { now, before } = found;
    const sum = (day) => Object.values(day.boards).reduce((total, count) => total + count, 0);
    const share = (day) => {
      const answered = (day.answers.DefectConfirmed ?? 0) + (day.answers.DefectRejected ?? 0) + (day.answers.DefectAccepted ?? 0);
      return answered ? `${Math.round((100 * day.answers.DefectRejected) / answered)} %` : "–";
    };
    const line = (name, of) => el("tr", {}, el("td", {}, name), el("td", {}, of(now)), el("td", {}, of(before)));
    $("day").replaceChildren(el("tr", {}, el("th", {}, ""), el("th", {}, "now"), el("th", {}, "before")), line("Boards", (day) => sum(day).toLocaleString()),
      ...["PASS", "REVIEW", "FAIL", "ERROR"].map((verdict) => line(verdict, (day) => (day.boards[verdict] ?? 0).toLocaleString())),
      line("Joints called", (day) => day.calls.toLocaleString()), line("False calls of those answered", share));
    $("changes").replaceChildren(...found.changes.map((one) => el("li", {}, el("button", { type: "button", onclick: () => history(one.refdes) }, one.refdes),
      ` ${one.before} → ${one.now} ${one.now > one.before ? "▲" : "▼"}`)));
    if (!found.changes.length) $("changes").replaceChildren(el("li", {}, "no change"));
    const { agreement } = found;
    const kappa = agreement.kappa === null ? "" : ` κ ${agreement.kappa.toFixed(2)} (${agreement.low.toFixed(2)} to ${agreement.high.toFixed(2)}).`;
    $("agreement").textContent = `${agreement.items} calls answered twice blind, ${agreement.agreed} alike.${kappa} ${found.conflicts} joints of which people say different things.`;
  } catch (error) { fault(error); }
}

async function history(refdes) {
  $("refdes").value = refdes;
  try {
    const found = await get(api("history"), { refdes });
    if ($("refdes").value !== refdes) return;
    const scored = found.filter((one) => one.score !== null).reverse();
    const x = (number) => 8 + (number / Math.max(1, scored.length - 1)) * 584;
    const y = (score) => 66 - score * 58;
    $("course").replaceChildren(scored.length ? svg("svg", { viewBox: "0 0 600 74", preserveAspectRatio: "none", role: "img", "aria-label": "Score, oldest to newest" },
      svg("line", { x1: 0, x2: 600, y1: 66, y2: 66 }), svg("line", { x1: 0, x2: 600, y1: 8, y2: 8 }),
      svg("path", { d: scored.map((one, number) => `${number ? "L" : "M"}${x(number)} ${y(one.score)}`).join(""), "vector-effect": "non-scaling-stroke" }),
      ...scored.map((one, number) => svg("circle", { class: `dot-${one.verdict.toLowerCase()}`, cx: x(number), cy: y(one.score), r: 4 }, svg("title", {}, `${one.verdict} ${one.score.toFixed(3)}`)))) : el("p", { class: "soft" }, refdes ? "No such joint." : ""));
    $("history").replaceChildren(...found.slice(0, 24).map((one) => {
      const image = el("img", { src: `/pictures/joints/${one.source}/${one.board_id}/${one.position}`, alt: `${refdes} on ${one.board}`, loading: "lazy" });
      image.addEventListener("error", () => image.replaceWith(el("div", { class: "missing" }, "not kept")));
      return el("li", {}, el("a", { href: linkTo(one, one.position) }, el("div", { class: "picture" }, image), chip(one.verdict),
        el("small", {}, localTime(one.utc)), one.said ? el("small", {}, one.said) : null));
    }));
  } catch (error) { fault(error); }
}

function live(state) {
  if (!state || state.error) { $("live-state").textContent = state?.error ?? "no boards yet"; return; }
  const image = el("img", { src: `/pictures/boards/${state.source}/${state.board_id}`, alt: `Board ${state.frame_name}` });
  image.addEventListener("error", () => image.replaceWith(el("div", { class: "missing" }, "no picture of this board was kept")));
  if ($("live-picture").dataset.board !== String(state.board_id)) {
    $("live-picture").dataset.board = state.board_id;
    $("live-picture").href = linkTo(state);
    $("live-picture").replaceChildren(image);
    get(`/api/verify/boards/${state.source}/${state.board_id}`).then((board) => {
      if (board.frame && $("live-picture").dataset.board === String(board.id)) $("live-picture").append(marks(board));
    }, fault);
  }
  $("live-head").replaceChildren(chip(state.verdict), el("strong", {}, state.frame_name));
  $("live-counts").replaceChildren(...["PASS", "REVIEW", "FAIL", "ERROR"].filter((verdict) => state.boards[verdict]).map((verdict) => el("span", {}, chip(verdict), ` ${state.boards[verdict]}`)));
  const rows = [["Judged", localTime(state.utc)], ["Run", state.run]];
  if (state.latency_ms !== null) rows.push(["Latency", `p50 ${state.latency_ms.toFixed(1)} ms, p99 ${state.latency_p99_ms.toFixed(1)} ms`]);
  $("live-facts").replaceChildren(...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  $("live-faults").replaceChildren(...state.faults.map(([utc, cause]) => el("li", {}, `${localTime(utc)} ${cause}`)));
  if (!state.faults.length) $("live-faults").replaceChildren(el("li", {}, "none among the last 1,000 boards"));
}

const events = new EventSource("/api/look/live");
events.addEventListener("open", () => { $("live-state").textContent = "● connected"; });
events.addEventListener("error", () => { $("live-state").textContent = "○ not connected; trying again"; });
let slow = 0;
events.addEventListener("message", (event) => {
  live(JSON.parse(event.data));
  // New boards come faster than people read lists.
  if (!slow) slow = setTimeout(() => { slow = 0; boards(); }, 3000);
});
addEventListener("pagehide", () => events.close());

function all() { boards(); pareto(); summary(); }
find.elements.source.append(...facts.sources.map((name, number) => el("option", { value: number }, name)));
find.elements.source.hidden = facts.sources.length < 2;
let wait = 0;
find.addEventListener("input", (event) => { clearTimeout(wait); wait = setTimeout(event.target.name === "source" ? all : boards, 300); });
find.addEventListener("submit", (event) => { event.preventDefault(); boards(); });
$("by").addEventListener("change", pareto);
$("refdes").addEventListener("change", () => history($("refdes").value.trim()));
showKeys([["click", "A bar or a joint's name shows its history; a board opens it in Verify"]]);
all();
