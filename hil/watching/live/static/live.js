// The page: asks for what is new every second and draws it. It sends nothing but GET.
"use strict";
const EVERY_MS = 1000, PICTURE_MS = 3000;
const WORDS = { loss: "loss", accuracy: "accuracy", mean_squared_error: "squared error", settled: "settled",
  clipped: "clipped", rails: "at the rails", iterations: "sweeps a phase", gradient_norm: "gradient norm", cosine: "cosine" };
const SHARES = ["accuracy", "settled", "clipped", "rails"];
const CHARTS = [["Loss", ["loss"], true], ["Accuracy", ["accuracy", "mean_squared_error"]],
  ["Settled", ["settled"]], ["Clipped and at the rails", ["clipped", "rails"]], ["Sweeps a phase", ["iterations"]],
  ["Norm of the gradient", ["gradient_norm"], true], ["Cosine with the exact gradient", ["cosine"]]];
const main = document.getElementById("main"), said = document.getElementById("said");
let shown = null, charts = {}, pictureAt = 0, timer = null;

function el(tag, text, cls) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (cls) made.className = cls;
  return made;
}
function add(parent, ...children) { parent.append(...children.filter(Boolean)); return parent; }
function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }
function number(value, key) {
  if (value === null || value === undefined) return "-";
  if (SHARES.includes(key)) return (100 * value).toFixed(value > 0.001 || value === 0 ? 1 : 3) + " %";
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(2);
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : Number(value.toPrecision(4)).toString();
}
function span(seconds) {
  if (seconds === null || seconds === undefined) return "-";
  const s = Math.round(seconds), two = n => String(n).padStart(2, "0");
  return s >= 86400 ? `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h` : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}
function ago(t) { return t ? span(Math.max(0, Date.now() / 1000 - t)) + " ago" : "-"; }

function head(run) {
  const card = el("section", null, "card");
  const top = add(el("div", null, "top"), el("h2", run.title || run.name), el("span", run.state, "state " + (run.why === "failed" ? "lost" : run.state)));
  add(card, top, el("p", [run.kind, run.address, run.place].filter(Boolean).join(" · "), "soft"));
  if (run.why) add(card, el("p", run.why, run.state === "ended" && run.why !== "failed" ? "soft" : "lost"));
  if (run.kind === "study" && run.points) add(card, bar(run.done / run.points), el("p", `${run.done} of ${run.points} points done, ${run.busy.length} under way`, "soft progress"));
  if (run.kind === "run" && run.steps) {
    add(card, bar(run.step / run.steps));
    const stage = run.stage && run.stage !== "training" ? `, ${run.stage}` : "";
    add(card, el("p", `step ${number(run.step)} of ${number(run.steps)}, epoch ${run.epoch} of ${run.epochs_asked}${stage}` +
      (run.state === "running" ? `, ETA ${span(run.eta_s)}` : "") + `, last word ${ago(run.updated)}`, "soft progress"));
  }
  return card;
}
function bar(share) {
  const bar = el("div", null, "bar"), inner = el("i"), shown = Math.min(1, share);
  inner.style.width = (100 * shown).toFixed(2) + "%";
  bar.setAttribute("role", "progressbar"); bar.setAttribute("aria-valuenow", (100 * shown).toFixed(0));
  return add(bar, inner);
}
function figures(pairs) {
  const box = el("div", null, "figures");
  for (const [name, value, cls] of pairs) add(box, add(el("div"), el("b", value, cls), el("span", name)));
  return box;
}
function rows(pairs) {
  const table = el("table");
  for (const pair of pairs) add(table, add(el("tr"), ...pair.map(cell => cell instanceof Node ? add(el("td"), cell) : el("td", cell, String(cell).length < 12 ? "short" : ""))));
  return add(el("div", null, "wide"), table);
}
function link(id, text) { const made = el("a", text); made.href = "#" + id; return made; }
function card(title, ...parts) { return add(el("section", null, "card"), el("h3", title), ...parts); }

function device(run) {
  const d = run.device;
  if (!d) return null;
  const going = run.state === "running";
  const pairs = [[going ? "outputs" : "outputs when it was asked last", d.outputs ? "on" : "off", d.outputs && going ? "running" : "soft"]];
  if (d.watchdog_s !== undefined) pairs.push(["watchdog", number(d.watchdog_s) + " s"]);
  if (d.lease_s !== undefined) pairs.push(["lease, " + (d.lease_left_s === undefined ? "" : `${number(d.lease_left_s)} s of it left then`), number(d.lease_s) + " s"]);
  if (d.temperature_k !== undefined) pairs.push(["chip, at most " + number(d.most_temperature_k) + " K", number(d.temperature_k) + " K",
    d.temperature_k > 0.97 * d.most_temperature_k ? "lost" : ""]);
  if (d.resent !== undefined) pairs.push(["frames sent again", number(d.resent), d.resent ? "warn" : ""]);
  if (d.damaged !== undefined) pairs.push(["damaged frames", number(d.damaged), d.damaged ? "warn" : ""]);
  const box = card("Device", figures(pairs), el("p", "as of " + ago(d.t), "soft"));
  if (d.instruments) add(box, rows(d.instruments.map(i => [i.name, i.output, i.compliance || ""])));
  return box;
}
function spent(run) {
  const l = run.ledger;
  if (!l) return null;
  if (l.damaged) return card("Ledger", el("p", l.damaged, "lost"));
  const box = card("Ledger", rows(l.done), el("h3", "Energy"), rows(l.joules));
  if (l.shares.length) add(box, rows(l.shares));
  if (l.digital) add(box, el("p", l.digital, "soft"));
  if (l.wear.length) add(box, el("h3", "Wear"), rows(l.wear));
  const budget = run.device && run.device.pulses;
  if (budget) add(box, el("p", `busiest cell: ${number(l.most_pulses)} of ${number(budget)} pulses allowed`, "soft"));
  const joules = run.device && run.device.energy_j;
  if (joules) add(box, el("p", `busiest cell: ${number(l.most_energy_j)} of ${number(joules)} J allowed`, "soft"));
  return box;
}
function calibration(run) {
  const c = run.calibration;
  if (!c) return null;
  const old = c.valid_days !== undefined && c.age_days > c.valid_days, of = c.valid_days === undefined ? "" : `, holds for ${number(c.valid_days)} d`;
  const box = card("Calibration", figures([["age" + of, number(c.age_days) + " d", old ? "lost" : ""]]), el("p", [c.id, c.file].filter(Boolean).join(" · "), "soft"));
  for (const why of c.overridden || []) add(box, el("p", "used by name although " + why, "warn"));
  return box;
}
function epochs(run) {
  if (!run.epochs || !run.epochs.length) return null;
  const there = (of, k) => run.epochs.some(e => e[of + k] !== undefined), kinds = [["training", ""], ["validation", "validation_"], ["test", "test_"]];
  const keys = ["loss", "accuracy", "mean_squared_error"].filter(k => kinds.some(([, of]) => there(of, k)));
  const shown = kinds.filter(([, of]) => keys.some(k => there(of, k)));
  const table = add(el("table"), add(el("tr"), el("th", "epoch"), ...shown.map(([name]) => el("th", name))));
  for (const e of run.epochs.slice(-12).reverse()) add(table, add(el("tr"), el("td", number(e.epoch)),
    ...shown.map(([, of]) => add(el("td"), ...keys.map(k => el("div", number(e[of + k], k), "short"))))));
  return card("Epochs: " + keys.map(k => WORDS[k]).join(", "), add(el("div", null, "wide epochs"), table));
}

function layout() {
  charts = {};
  main.replaceChildren();
  for (const id of ["head", "now", "charts", "side", "pictures"]) { const box = el("div"); box.id = id; box.className = id === "side" || id === "charts" ? "cards" : ""; add(main, box); }
}
function draw(run) {
  const box = document.getElementById("charts"), at = Object.fromEntries(run.names.map((n, i) => [n, run.series[i] || []]));
  for (const [title, keys, log] of CHARTS) {
    const there = keys.filter(k => at[k].some(v => v !== null));
    if (!there.length || at.step.length < 2) continue;
    const columns = [at.step, ...there.map(k => at[k])], logged = log && there.every(k => at[k].every(v => v === null || v > 0));
    const made = charts[title];
    if (made && made.logged === logged && made.keys === there.join()) { made.plot.setData(columns); continue; }
    if (made) { made.plot.destroy(); made.host.remove(); }
    const host = el("div", null, "card chart"); add(box, host);
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    const colours = [colour("--accent"), colour("--warn")];
    const plot = new uPlot({ title, width: Math.max(240, host.clientWidth - 32), height: 200, cursor: { drag: { x: true, y: false } },
      scales: { x: { time: false }, y: { distr: logged ? 3 : 1 } }, axes: [{ ...axis }, { ...axis, size: 60, values: (u, marks) => marks.map(v => v === null ? "" : number(v)) }],
      series: [{ label: "step" }, ...there.map((k, i) => ({ label: WORDS[k], stroke: colours[i], width: 1.5, spanGaps: true,
        value: (u, v) => number(v, k) }))] }, columns, host);
    charts[title] = { plot, host, logged, keys: there.join() };
  }
}
function ramp(x) {  // viridis, five stops
  const stops = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], p = Math.min(0.9999, Math.max(0, x)) * 4, i = Math.floor(p), f = p - i;
  return stops[i].map((v, c) => Math.round(v + f * (stops[i + 1][c] - v)));
}
function map(values, title, unit) {
  const flat = values.flat().filter(v => v !== null), low = Math.min(...flat), high = Math.max(...flat);
  if (!flat.length) return null;
  const canvas = el("canvas"), rows = values.length, columns = values[0].length;
  canvas.width = columns; canvas.height = rows;
  canvas.style.aspectRatio = `${columns} / ${rows}`; canvas.style.maxHeight = "320px";
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  values.forEach((row, y) => row.forEach((v, x) => {
    const c = v === null ? [128, 128, 128] : ramp(high > low ? (v - low) / (high - low) : 0.5);
    image.data.set([...c, 255], 4 * (y * columns + x));
  }));
  context.putImageData(image, 0, 0);
  const words = `${title}: ${number(low)} .. ${number(high)} ${unit}`;
  canvas.setAttribute("role", "img"); canvas.setAttribute("aria-label", words);
  return add(el("figure"), canvas, el("figcaption", words));
}
function pictures(found) {
  const box = document.getElementById("pictures");
  if (!box || shown === null) return;
  const cards = [];
  for (const [name, block] of Object.entries(found.blocks || {})) {
    const maps = add(el("div", null, "maps"), ...block.layers.map((l, i) => map(l.states, `layer ${i}, samples down`, "")));
    const contrast = block.layers.map((l, i) => l.contrast === undefined ? null : `layer ${i} ${number(l.contrast)}`).filter(Boolean);
    cards.push(card(`States of the last batch, ${name}`, maps, contrast.length ? el("p", "contrast of the nudged phases: " + contrast.join(", "), "soft contrast") : null));
  }
  for (const [name, c] of Object.entries(found.cells || {}))
    cards.push(card(`Cells of ${name}: ${c.rows} x ${c.columns}, G+ above G-`, add(el("div", null, "maps"), map(c.held_s, "conductance written", "S"),
      map(c.pulses, "pulses and writes", ""), c.energy_j.flat().some(v => v) ? map(c.energy_j, "energy", "J") : null)));
  box.className = "cards";
  box.replaceChildren(...cards);
}

function showRun(run) {
  if (!document.getElementById("head")) layout();
  document.getElementById("head").replaceChildren(head(run));
  const now = document.getElementById("now"), parts = [];
  const f = run.fault;
  if (f) parts.push(add(el("section", null, "card error"), el("h3", f.earlier ? "Last error, of an earlier session" : "Last error"), el("p", `${f.error}: ${f.text}`, "fault"), el("p", ago(f.t), "soft")));
  const pairs = Object.entries(run.now).map(([k, v]) => [WORDS[k], number(v, k)]);
  if (pairs.length) parts.push(card("Now", figures(pairs)));
  now.replaceChildren(...parts);
  now.className = "cards";
  draw(run);
  document.getElementById("side").replaceChildren(...[device(run), spent(run), epochs(run), calibration(run)].filter(Boolean));
}
function showOther(thing) {
  const parts = [head(thing)];
  if (thing.kind === "characterization") {
    const steps = Object.entries(thing.steps || {});
    if (thing.items) parts.push(card("Items", el("p", thing.items.length ? "measured: " + thing.items.join(", ") : "none is complete yet"),
      steps.length ? rows(steps.map(([k, v]) => [k, `${v} steps`])) : null));
    if (thing.figures) parts.push(card("Figures", rows(thing.figures.map(f => [f.name, f.value, f.note]))));
    const left = Object.entries(thing.skipped || {});
    if (left.length) parts.push(card("Left out", rows(left)));
  }
  if (thing.kind === "study") {
    parts.push(card("Points", figures([["done", thing.points ? `${thing.done} of ${thing.points}` : String(thing.done)],
      ["under way", String(thing.busy.length)], ["failed", String(thing.failed), thing.failed ? "lost" : ""]])));
    if (thing.going.length) parts.push(card("Under way", rows(thing.going.map(g => [link(g.id, g.name), `step ${number(g.step)} of ${number(g.steps)}`,
      g.now.loss === undefined ? "" : `loss ${number(g.now.loss)}`, g.eta_s === null ? "" : `ETA ${span(g.eta_s)}`]))));
    if (thing.rows.length) parts.push(card("So far", rows(thing.rows.map(r => [link(r.id, r.name), r.accuracy === null ? "failed" : number(r.accuracy, "accuracy"), r.seconds === null ? "" : span(r.seconds), r.note]))));
  }
  main.replaceChildren(...parts);
}
function showAll(found) {
  said.textContent = found.things.length ? `${found.things.length} in ${found.root}` : `nothing in ${found.root} yet`;
  const order = { running: 0, lost: 1, damaged: 1, new: 2, ended: 3 };
  found.things.sort((a, b) => (order[a.state] ?? 2) - (order[b.state] ?? 2) || (b.updated || 0) - (a.updated || 0));
  const box = el("div", null, "cards");
  for (const thing of found.things) {
    const shown = link(thing.id); shown.className = "card";
    const inner = head(thing); add(shown, ...inner.childNodes);
    if (thing.kind === "run" && Object.keys(thing.now).length) add(shown, figures(Object.entries(thing.now).slice(0, 3).map(([k, v]) => [WORDS[k], number(v, k)])));
    add(box, shown);
  }
  main.replaceChildren(...(found.things.length ? [box] : [el("p", "No run, characterization or study is here yet; this page looks again by itself.", "soft")]));
}

async function get(path) { const reply = await fetch(path); if (!reply.ok && reply.status !== 404) throw new Error(reply.status); return reply.json(); }
async function look() {
  clearTimeout(timer);
  const wanted = location.hash.slice(1);
  if (wanted !== shown) { shown = wanted; main.replaceChildren(); charts = {}; pictureAt = 0; }
  try {
    if (!wanted) showAll(await get("api/things"));
    else {
      const thing = await get("api/things/" + encodeURIComponent(wanted));
      if (wanted !== location.hash.slice(1)) return look();
      if (thing.kind === "run") showRun(thing); else showOther(thing);
      said.textContent = "up to date";
      if (thing.kind === "run" && Date.now() - pictureAt > PICTURE_MS) { pictureAt = Date.now(); pictures(await get("api/things/" + encodeURIComponent(wanted) + "/picture")); }
    }
  } catch (error) { said.textContent = `no answer from the server (${error.message}); asking again`; }
  timer = setTimeout(look, document.hidden ? 5 * EVERY_MS : EVERY_MS);
}
addEventListener("hashchange", look);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { shown = null; look(); });
addEventListener("resize", () => { for (const c of Object.values(charts)) c.plot.setSize({ width: Math.max(240, c.host.clientWidth - 32), height: 200 }); });
look();
