"use strict";
// Selectors: of the blocks of a group, the chosen one is shown. Without this script all are.
function choose(select) {
  for (const block of document.querySelectorAll("[data-in]"))
    if (block.dataset.in === select.name) block.hidden = block.dataset.option !== select.value;
}
for (const select of document.querySelectorAll("select[name]")) {
  for (const other of document.querySelectorAll("select[name]"))
    if (other.name === select.name) select.addEventListener("change", () => { other.value = select.value; });
  select.addEventListener("change", () => choose(select));
  select.closest("label").hidden = false;
  choose(select);
}

// Tables are sorted by a click on a column's name, numbers by their values; what has none comes last.
function key(row, column) {
  const cell = row.cells[column], value = cell.dataset.key ?? cell.textContent.trim();
  return value === "" || isNaN(value) ? value : Number(value);
}
function sort(head) {
  const body = head.closest("table").tBodies[0], column = head.cellIndex;
  const sign = head.ariaSort === "ascending" ? -1 : 1;
  for (const other of head.parentNode.cells) other.ariaSort = null;
  head.ariaSort = sign > 0 ? "ascending" : "descending";
  const rows = [...body.rows].map(row => [key(row, column), row]);
  rows.sort(([a], [b]) => (a === "") - (b === "") || sign *
    (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))));
  body.append(...rows.map(([, row]) => row));
}
for (const button of document.querySelectorAll("th button"))
  button.addEventListener("click", () => sort(button.parentNode));

// The numbers of a chart's lines where the pointer is.
const told = document.createElement("div");
told.id = "told";
told.hidden = true;
document.body.append(told);
function number(place, [low, high, start, end, logarithmic]) {
  const share = (place - start) / (end - start);
  return logarithmic ? low * (high / low) ** share : low + share * (high - low);
}
function show(value) { return Number(value.toPrecision(4)).toLocaleString("en"); }
function tell(svg, event) {
  const scales = [svg.dataset.x, svg.dataset.y].map(text => text.split(" ").map(Number));
  const box = svg.getBoundingClientRect(), at = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
  const found = [];
  let x = null;
  for (const line of svg.querySelectorAll("polyline")) {
    let nearest = null;
    for (const point of line.points)
      if (nearest === null || Math.abs(point.x - at) < Math.abs(nearest.x - at)) nearest = point;
    if (x === null || Math.abs(nearest.x - at) < Math.abs(x - at)) x = nearest.x;
    found.push([line.dataset.name, nearest]);
  }
  if (x === null) return;
  const lines = found.filter(([, point]) => Math.abs(point.x - x) < 12)
    .map(([name, point]) => `${name}: ${show(number(point.y, scales[1]))}`);
  told.textContent = [show(number(x, scales[0])), ...lines].join("\n");
  told.hidden = false;
  told.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - told.offsetWidth - 8))}px`;
  told.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - told.offsetHeight - 8))}px`;
}
for (const svg of document.querySelectorAll(".chart svg")) {
  svg.addEventListener("pointermove", event => tell(svg, event));
  svg.addEventListener("pointerleave", () => { told.hidden = true; });
}
