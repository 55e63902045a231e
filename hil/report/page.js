// Reads a report's drawings: the value under the pointer, a part of a drawing larger. It sends and loads nothing.
"use strict";
const NS = "http://www.w3.org/2000/svg";
function place(axis, value, from, to) {  // of a value in the drawing
  const t = v => axis[2] ? Math.log10(v) : v;
  return from + (t(value) - t(axis[0])) / (t(axis[1]) - t(axis[0])) * (to - from);
}
function valueAt(axis, at, from, to) {
  const t = v => axis[2] ? Math.log10(v) : v, x = t(axis[0]) + (at - from) / (to - from) * (t(axis[1]) - t(axis[0]));
  return axis[2] ? 10 ** x : x;
}
const said = v => v === null || !isFinite(v) ? "-" : Number(v.toPrecision(4)).toString();
function reading(axes, x, y) {
  const [x0, y0, x1, y1] = axes.box;
  if (axes.cells) {
    const column = Math.round(valueAt(axes.x, x, x0, x1)), row = Math.round(valueAt(axes.y, y, y1, y0));
    const value = (axes.cells[row] || [])[column];
    return value === undefined ? null : { at: null, text: `${axes.names[1]} ${row}, ${axes.names[0]} ${column}: ${said(value)}` };
  }
  let best = null;
  for (const curve of axes.curves) curve.x.forEach((cx, i) => {
    if (cx === null || curve.y[i] === null) return;
    const px = place(axes.x, cx, x0, x1), py = place(axes.y, curve.y[i], y1, y0), far = Math.hypot(px - x, py - y);
    if (isFinite(far) && (!best || far < best.far)) best = { far, at: [px, py], text: `${curve.name ? curve.name + ", " : ""}${axes.names[0]} ${said(cx)}: ${said(curve.y[i])}` };
  });
  return best && best.far < 60 ? best : null;
}
for (const svg of document.querySelectorAll("figure svg")) {
  const figure = svg.closest("figure"), all = JSON.parse(svg.dataset.axes || "[]"), whole = svg.getAttribute("viewBox");
  const words = document.createElement("p"), back = document.createElement("button"), mark = document.createElementNS(NS, "circle"), frame = document.createElementNS(NS, "rect");
  words.className = "reading"; words.setAttribute("role", "status"); back.textContent = "whole drawing"; back.hidden = true; back.type = "button";
  mark.setAttribute("r", 4); mark.setAttribute("class", "mark"); frame.setAttribute("class", "frame");
  for (const shape of [mark, frame]) { shape.style.display = "none"; shape.setAttribute("pointer-events", "none"); svg.append(shape); }
  svg.after(words, back);
  const point = event => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  let from = null;
  svg.addEventListener("pointerdown", event => { if (event.pointerType !== "touch" && event.button === 0) { from = point(event); event.preventDefault(); } });
  svg.addEventListener("pointermove", event => {
    const at = point(event), axes = all.find(a => at.x >= a.box[0] && at.x <= a.box[2] && at.y >= a.box[1] && at.y <= a.box[3]);
    const found = axes ? reading(axes, at.x, at.y) : null;
    words.textContent = found ? found.text : "";
    mark.style.display = found && found.at ? "" : "none";
    if (found && found.at) { mark.setAttribute("cx", found.at[0]); mark.setAttribute("cy", found.at[1]); }
    if (!from) return;
    frame.style.display = "";
    for (const [k, v] of Object.entries({ x: Math.min(from.x, at.x), y: Math.min(from.y, at.y), width: Math.abs(at.x - from.x), height: Math.abs(at.y - from.y) })) frame.setAttribute(k, v);
  });
  svg.addEventListener("pointerleave", () => { words.textContent = ""; mark.style.display = "none"; });
  addEventListener("pointerup", event => {
    if (!from) return;
    const at = point(event), width = Math.abs(at.x - from.x), height = Math.abs(at.y - from.y);
    frame.style.display = "none";
    if (width > 8 && height > 8) { svg.setAttribute("viewBox", [Math.min(from.x, at.x), Math.min(from.y, at.y), width, height].join(" ")); back.hidden = false; }
    from = null;
  });
  const reset = () => { svg.setAttribute("viewBox", whole); back.hidden = true; };
  back.addEventListener("click", reset); svg.addEventListener("dblclick", reset);
}
