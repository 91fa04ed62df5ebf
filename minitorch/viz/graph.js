// The page of a graph: lays groups out at their folding (as layout.py does), draws, explains, and steps through backward.
// What is drawn is one SVG; only what is unfolded becomes elements, so that a graph of thousands of nodes opens at once.
const graph = JSON.parse(document.getElementById("graph-data").textContent);
const {vertices, groups, steps, texts} = graph;
const GAP = 26, ROW = 30, PAD = 14, HEAD = 26, LANE = 13, PILL = 22;
const byId = id => document.getElementById(id);
const picture = byId("picture"), details = byId("details");
const state = {chosen: null, step: 0, timer: null, hits: [], hit: -1, x: 0, y: 0, scale: 1};
let box = {}, place = {}, rows = {}, lanes = {}, shown = new Map();

// Layout: extents of every item around its anchor, from the inside out; then places, from the outside in

/** Inputs stand at the foot of their rank, near the op that takes them, and do not push others aside. */
const goesIn = key => vertices[key] && vertices[key].kind !== "op";

function measure(key) {
  const vertex = vertices[key], group = groups[key];
  if (vertex) {
    const side = vertex.beside.length ? Math.max(...vertex.beside.map(b => vertices[b].w)) + GAP / 2 : 0;
    const height = Math.max(vertex.h, vertex.beside.length * (PILL + 4) - 4);
    return box[key] = {left: vertex.w / 2, right: vertex.w / 2 + side, height};
  }
  if (group.folded) return box[key] = {left: group.w / 2, right: group.w / 2, height: group.h};
  let y = HEAD + ROW / 2, left = 0, right = 0;
  const spans = [];
  rows[key] = group.ranks.map(members => {
    const boxes = members.map(measure), anchors = [];
    let x = 0;
    for (const b of boxes) { anchors.push(x + b.left); x += b.left + b.right + GAP; }
    const own = anchors.filter((_, i) => !goesIn(members[i])), counted = own.length ? own : anchors;
    const middle = counted.reduce((a, b) => a + b, 0) / counted.length;
    const at = anchors.map(a => a - middle), height = Math.max(...boxes.map(b => b.height));
    spans.push([at[0] - boxes[0].left, at.at(-1) + boxes.at(-1).right]);
    left = Math.min(left, spans.at(-1)[0]);
    right = Math.max(right, spans.at(-1)[1]);
    y += height + ROW;
    return {top: y - height - ROW, height, at};
  });
  const placed = [];
  const long = group.pieces.map((p, i) => [p, i]).filter(([p]) => p[4] !== null);
  long.sort(([p], [q]) => (p[3] - p[2]) - (q[3] - q[2]) || p[4] - q[4]);
  for (const [[, , first, last, lane, side], i] of long) {
    let out = Math.max(...spans.slice(first + 1, last).flat().map(edge => side * edge)) + LANE;  // how far out, on its side
    for (const o of placed)
      if (o.side === side && o.lane < lane && o.first < last && first < o.last) out = Math.max(out, o.out + LANE);
    placed.push({first, last, lane, side, out});
    lanes[key + "/" + i] = side * out;
    left = Math.min(left, side * out);
    right = Math.max(right, side * out);
  }
  return box[key] = {left: Math.max(PAD - left, group.head), right: Math.max(right + PAD, group.w / 2),
                     height: y - ROW / 2 + 2};
}

function put(key, x, y) {
  place[key] = {x, y};
  if (vertices[key] || groups[key].folded) return;
  groups[key].ranks.forEach((members, r) => {
    const row = rows[key][r];
    members.forEach((m, i) => {
      const spare = row.height - box[m].height;
      put(m, x + row.at[i], y + row.top + (goesIn(m) ? spare : spare / 2));
    });
  });
}

function layout() {
  box = {}; place = {}; rows = {}; lanes = {};
  measure("g0");
  put("g0", box.g0.left, 0);
}

function port(key, below) {
  const {x, y} = place[key];
  return [x, y + (!below ? 0 : vertices[key] ? vertices[key].h : box[key].height)];
}

function curve(key, i) {
  const [start, end, , , lane] = groups[key].pieces[i], {x, y} = place[key];
  const [x0, y0] = start === "in" ? [x, y] : port(start, true);
  const [x1, y1] = end === "out" ? [x, y + box[key].height] : port(end, false);
  if (lane === null) {
    const d = (y1 - y0) / 2;
    return `M${x0} ${y0}C${x0} ${y0 + d} ${x1} ${y1 - d} ${x1} ${y1}`;
  }
  const l = x + lanes[key + "/" + i], d = Math.min(26, (y1 - y0) / 4);
  return `M${x0} ${y0}C${x0} ${y0 + d} ${l} ${y0 + d * .4} ${l} ${y0 + 2 * d}V${y1 - 2 * d}` +
    `C${l} ${y1 - d * .4} ${x1} ${y1 - d} ${x1} ${y1}`;
}

// Drawing

const escaped = text => String(text).replace(/[&<>"]/g, c => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[c]);
const written = (kind, x, y, text) => `<text class="${kind}" x="${x}" y="${y}">${escaped(text)}</text>`;

function drawVertex(key) {
  const v = vertices[key], {x, y} = place[key], left = x - v.w / 2, end = x + v.w / 2;
  const outline = v.kind === "input" || v.kind === "leaf"
    ? `<path class="box" d="M${left + 10} ${y}H${end - 10}L${end} ${y + v.h / 2}L${end - 10} ${y + v.h}H${left + 10}L${left} ${y + v.h / 2}Z"/>`
    : `<rect class="box" x="${left}" y="${y}" width="${v.w}" height="${v.h}" rx="6"/>`;
  const sides = v.beside.map((b, i) => {
    const leaf = vertices[b], px = end + GAP / 2, py = y + i * (PILL + 4), bend = (end + px) / 2;
    return `<path class="edge" d="M${px} ${py + PILL / 2}C${bend} ${py + PILL / 2} ${bend} ${y + v.h / 2} ${end} ${y + v.h / 2}"/>` +
      `<g class="item ${leaf.kind}" data-key="${b}"><title>${escaped(leaf.hover)}</title><rect class="box" x="${px}" y="${py}" width="${leaf.w}" height="${PILL}" rx="${PILL / 2}"/>` +
      written("sub", px + 10, py + 15, leaf.side) + "</g>";
  });
  return `<g class="item ${v.kind}${v.result ? " result" : ""}" data-key="${key}" tabindex="0"><title>${escaped(v.hover)}</title>${outline}` +
    written("name middle", x, y + 17, v.label) + written("sub middle", x, y + 32, v.sub) + bar(key) + "</g>" + sides.join("");
}

function drawGroup(key) {
  const g = groups[key], {x, y} = place[key], b = box[key], left = x - b.left, width = b.left + b.right;
  const rect = d => `<rect class="box" x="${left + d}" y="${y + d}" width="${width}" height="${b.height}" rx="9"/>`;
  if (!g.folded)
    return `<g class="item open" data-key="${key}" tabindex="0">${rect(0)}<rect class="grip" x="${left}" y="${y}" width="${width}" height="${HEAD}"/>` +
      written("sub", left + 10, y + 17, "− " + g.title) + "</g>";
  return `<g class="item group" data-key="${key}" tabindex="0"><title>${escaped(g.name)}</title>${g.kind === "repeat" ? rect(8) + rect(4) : ""}${rect(0)}` +
    written("name middle", x, y + 20, "+ " + g.title) + written("sub middle", x, y + 37, g.text) + bar(key) + "</g>";
}

function draw() {
  layout();
  most = Object.keys(place).filter(k => vertices[k] || groups[k].folded).map(figure).reduce((a, b) => Math.max(a, b), 0);
  const open = Object.keys(groups).filter(k => place[k] && !groups[k].folded), parts = [];
  for (const k of Object.keys(groups)) if (place[k] && k !== "g0") parts.push(drawGroup(k));
  for (const k of open) groups[k].pieces.forEach((p, i) => {
    const plain = p[1] === "out" || (groups[p[1]] && !groups[p[1]].folded);
    parts.push(`<path class="edge" d="${curve(k, i)}"${plain ? "" : ' marker-end="url(#tip)"'}/>`);
  });
  for (const k of Object.keys(vertices)) if (place[k]) parts.push(drawVertex(k));
  picture.innerHTML = '<defs><marker id="tip" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="6" markerHeight="6" orient="auto">' +
    `<path class="tip" d="M0 0L8 4L0 8z"/></marker></defs><g id="world">${parts.join("")}</g>`;
  shown = new Map();
  for (const e of picture.querySelectorAll("[data-key]"))
    shown.set(e.dataset.key, [...(shown.get(e.dataset.key) || []), e]);
  move();
  marks();
}

// Figures: a bar at the foot of each box, its length the share of the largest that is seen

let most = 0;
const within = key => vertices[key] ? [key] : groups[key].ranks.flat().flatMap(within);

function figure(key) {
  const what = byId("bars").value, values = within(key).map(k => Number(vertices[k][what]) || 0);
  return what === "norm" ? values.reduce((a, b) => Math.max(a, b), 0) : values.reduce((a, b) => a + b, 0);
}

function bar(key) {
  if (!byId("bars").value) return "";
  const w = (vertices[key] || groups[key]).w, h = (vertices[key] || groups[key]).h, share = most ? figure(key) / most : 0;
  return `<rect class="bar" x="${place[key].x - w / 2 + 3}" y="${place[key].y + h - 5}" width="${(w - 6) * share}" height="4" rx="2"/>`;
}

// What is chosen, found, or reached by backward

/** The item that stands for a vertex at the present folding: itself, or the outermost folded group around it. */
function standing(key) {
  let found = key;
  for (let g = vertices[key] ? vertices[key].group : groups[key].group; g; g = groups[g].group)
    if (groups[g].folded) found = g;
  return found;
}

const mark = (kind, keys) => keys.forEach(k => (shown.get(standing(k)) || []).forEach(e => e.classList.add(kind)));

function marks() {
  for (const elements of shown.values()) for (const e of elements)
    e.classList.remove("chosen", "hit", "now", "next", "done");
  mark("hit", state.hits);
  if (state.chosen) mark("chosen", [state.chosen]);
  if (state.step) {
    const now = steps[state.step - 1];
    for (const [key, elements] of shown) {
      const own = within(key).filter(k => vertices[k].kind === "op");
      if (own.length && own.every(k => done.has(k))) elements.forEach(e => e.classList.add("done"));
    }
    mark("next", (now.to || []).map(t => t[0]).filter(k => standing(k) !== standing(now.at)));
    mark("now", [now.at]);
  }
}

function toggle(key) {
  groups[key].folded = !groups[key].folded;
  const before = place[key];
  draw();
  if (place[key]) {  // what was clicked stays where it was on the screen
    state.x += (before.x - place[key].x) * state.scale;
    state.y += (before.y - place[key].y) * state.scale;
    move();
  }
}

function reveal(key) {
  for (let g = vertices[key].group; g; g = groups[g].group) groups[g].folded = false;
  draw();
}

// The details of one item

const size = n => n >= 2 ** 30 ? (n / 2 ** 30).toPrecision(3) + " GiB" : n >= 2 ** 20 ? (n / 2 ** 20).toPrecision(3) + " MiB"
  : n >= 1024 ? (n / 1024).toPrecision(3) + " KiB" : n + " bytes";
const time = s => s === null || s === undefined ? null : s >= 1 ? s.toFixed(2) + " s" : s >= 1e-3 ? (s * 1e3).toFixed(2) + " ms" : (s * 1e6).toFixed(1) + " µs";
const number = x => x === null || x === undefined ? null : typeof x === "number" ? x.toPrecision(4) : x;
const table = rows => "<table>" + rows.map(([name, value]) =>
  `<tr><th>${escaped(name)}</th><td>${value === null || value === "" ? '<span class="muted">not known</span>' : escaped(value)}</td></tr>`).join("") + "</table>";
const untraced = graph.traced ? null : "not known: computed outside of viz.trace()";

function explain(key) {
  const v = vertices[key];
  if (!v) return explainGroup(key);
  if (v.kind !== "op") {
    details.innerHTML = `<h2>${escaped(v.label)}</h2>` + table([["kind", v.kind], ["shape, type", v.out], ["used by", v.uses + (v.uses === 1 ? " op" : " ops")],
      ["gradient norm", v.gradient ? number(v.norm) ?? graph.ended : "needs no gradient"]]);
    return;
  }
  const kernels = keys => keys.filter(k => k).map(k => `<details><summary><code>${escaped(k.replace(/ #\d+$/, ""))}</code></summary><pre>${escaped(texts[k])}</pre></details>`).join("");
  const kept = v.kept.map(([name, text, bytes]) => `${name}: ${text} (${size(bytes)})`).join("; ");
  const missing = graph.ended || "no gradient arrived";
  details.innerHTML = `<h2>${escaped(v.label)} <span class="muted">${escaped(v.name)}</span></h2>` + table([
    ["module", v.module || untraced || "none"], ["line", v.source || untraced],
    ...v.in.map((text, i) => [i ? "" : "takes", text]), ["gives", v.out + (v.outputs > 1 ? ` (first of ${v.outputs} outputs)` : "")],
    ["forward", time(v.forward) || untraced || "not measured"], ["backward", time(v.backward) || missing],
    ["keeps", v.freed ? "freed by backward" : kept || "nothing"], ["gradient norm", number(v.norm) ?? missing],
    ...(v.hooks ? [["hooks", `${v.hooks}, not called for this picture`]] : [])]) +
    (v.formula ? `<h3>Formula</h3><p class="formula">${escaped(texts[v.formula])}</p>` : "") +
    (v.gradient ? `<h3>Gradient, from dy of the result</h3><pre>${escaped(texts[v.gradient])}</pre>` : "") +
    (v.body ? `<details><summary>The whole op</summary><pre>${escaped(texts[v.body])}</pre></details>` : "") +
    "<h3>Kernels, forward</h3>" + (kernels(v.kernels) || `<p class="muted">${untraced || "none of the table: NumPy itself"}</p>`) +
    "<h3>Kernels, backward</h3>" + (kernels(v.gradient_kernels) || `<p class="muted">${v.backward === null ? escaped(missing) : "none of the table: NumPy itself"}</p>`);
}

function explainGroup(key) {
  const g = groups[key], ops = within(key).map(k => vertices[k]).filter(v => v.kind === "op");
  const sum = what => ops.every(v => v[what] === null) ? null : ops.reduce((a, v) => a + (v[what] || 0), 0);
  details.innerHTML = `<h2>${escaped(g.title)}</h2>` + table([[g.kind === "part" ? "members" : "module", g.name || "none"], ["ops", ops.length],
    ["forward", time(sum("forward")) || untraced || "not measured"], ["backward", time(sum("backward")) || graph.ended || "none"], ["keeps", size(sum("bytes"))]]) +
    `<p><button id="turn">${g.folded ? "Unfold" : "Fold"}</button></p>`;
  byId("turn").onclick = () => { toggle(key); explainGroup(key); };
}

function help() {
  details.classList.toggle("idle", !details.classList.contains("idle"));
  details.innerHTML = "<p>Click a node for its formula, its kernels and its gradient; a module to unfold it. Drag moves, the wheel or two fingers zoom, " +
    "arrow keys step through backward.</p><p>Boxes are ops; cut corners what goes in; pills parameters; pills with long dashes buffers, " +
    "with dots constants. The result has a thick border, a stack is one of several like modules.</p><p>In backward the node whose turn it is has a filled thick border, those that its gradient goes to a dashed one; what has had its turn is pale.</p>";
}

/** What a click does: a module folds or unfolds, everything explains itself. */
function act(key) {
  if (groups[key]) toggle(key);
  choose(key);
}

function choose(key) {
  details.classList.remove("idle");
  state.chosen = key;
  explain(key);
  marks();
}

// Backward, step by step

let done = new Set();

function go(step) {
  state.step = Math.max(0, Math.min(steps.length, step));
  byId("at").value = state.step;
  done = new Set(steps.slice(0, state.step).map(s => s.at));
  const now = steps[state.step - 1], said = byId("said");
  if (!now) {
    said.textContent = `Backward has ${steps.length} steps; ${size(graph.kept)} are kept for it.` + (graph.ended ? ` No norms: ${graph.ended}.` : "");
  } else {
    const v = vertices[now.at], to = (now.to || []).map(([key, name, norm, shape]) => `${name} → ${vertices[key].label} (${shape}, norm ${number(norm)})`);
    said.textContent = `Step ${state.step} of ${steps.length}: ${v.name}${v.module ? " in " + v.module : ""}. ` +
      (now.shape ? `Arrives: ${now.shape}, norm ${number(now.norm)}. Handed on: ${to.join("; ") || "nothing"}. ` : "") +
      (v.kept.length ? `Frees ${size(v.bytes)}: ${v.kept.map(k => k[0]).join(", ")}.` : "Frees nothing.");
    look(standing(now.at));
  }
  if (state.step === steps.length) stop();
  marks();
}

function stop() {
  clearInterval(state.timer);
  state.timer = null;
  byId("run").textContent = "▶ backward";
}

function play() {
  if (state.timer) return stop();
  if (state.step === steps.length) go(0);
  byId("run").textContent = "❚❚ pause";
  state.timer = setInterval(() => go(state.step + 1), 700);
}

// Moving about

function move() {
  const world = byId("world");
  if (world) world.setAttribute("transform", `translate(${state.x} ${state.y}) scale(${state.scale})`);
}

function zoom(factor, x = picture.clientWidth / 2, y = picture.clientHeight / 2) {
  const scale = Math.max(0.02, Math.min(4, state.scale * factor)), ratio = scale / state.scale;
  Object.assign(state, {scale, x: x - (x - state.x) * ratio, y: y - (y - state.y) * ratio});
  move();
}

/** The whole width if that stays legible, from the top. */
function fit(whole = false) {
  const width = box.g0.left + box.g0.right, height = box.g0.height, w = picture.clientWidth, h = picture.clientHeight;
  const all = Math.min(w / (width + 20), h / (height + 20), 1.25);
  state.scale = whole ? all : Math.max(all, Math.min(0.62, w / (width + 20)));
  state.x = Math.max((w - width * state.scale) / 2, Math.min(10, w / 2 - box.g0.left * state.scale));
  if (width * state.scale > w) state.x = w / 2 - box.g0.left * state.scale;
  state.y = Math.max(10, (h - height * state.scale) / 2);
  move();
}

/** Bring an item into view. */
function look(key) {
  if (!place[key]) return;
  const x = place[key].x * state.scale + state.x, y = place[key].y * state.scale + state.y;
  const w = picture.clientWidth, h = picture.clientHeight;
  if (x < 60 || x > w - 60) state.x += w / 2 - x;
  if (y < 40 || y > h - 60) state.y += h / 2 - y;
  move();
}

function search() {
  const wanted = byId("search").value.trim().toLowerCase();
  const has = v => `${v.label} ${v.name || ""} ${v.module || ""} ${v.source || ""} ${v.kind}`.toLowerCase().includes(wanted);
  state.hits = wanted ? Object.keys(vertices).filter(k => vertices[k].group && (has(vertices[k]) || vertices[k].beside.some(b => has(vertices[b])))) : [];
  state.hit = -1;
  byId("found").textContent = wanted ? `${state.hits.length} found` + (state.hits.length ? ", Enter: next" : "") : "";
  marks();
}

const pointers = new Map();
let dragged = 0, pressed = null;
picture.addEventListener("pointerdown", e => {
  pointers.set(e.pointerId, e);
  pressed = e.target.closest("[data-key]");
  dragged = 0;
  picture.setPointerCapture(e.pointerId);
});
picture.addEventListener("pointermove", e => {
  const before = pointers.get(e.pointerId);
  if (!before) return;
  const frame = picture.getBoundingClientRect();
  if (pointers.size === 2) {
    const other = [...pointers.values()].find(p => p.pointerId !== e.pointerId);
    const apart = p => Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY) || 1;
    zoom(apart(e) / apart(before), (e.clientX + other.clientX) / 2 - frame.left, (e.clientY + other.clientY) / 2 - frame.top);
  } else {
    state.x += e.clientX - before.clientX;
    state.y += e.clientY - before.clientY;
    move();
  }
  dragged += Math.abs(e.clientX - before.clientX) + Math.abs(e.clientY - before.clientY);
  pointers.set(e.pointerId, e);
});
picture.addEventListener("pointerup", e => {
  pointers.delete(e.pointerId);
  if (pressed && dragged <= 6) act(pressed.dataset.key);
});
picture.addEventListener("pointercancel", e => pointers.delete(e.pointerId));
picture.addEventListener("wheel", e => {
  e.preventDefault();
  const frame = picture.getBoundingClientRect();
  zoom(Math.exp(-e.deltaY * 0.0015), e.clientX - frame.left, e.clientY - frame.top);
}, {passive: false});
document.addEventListener("keydown", e => {
  if (e.target.matches("input,select") || e.ctrlKey || e.metaKey || e.altKey) return;
  const keys = {ArrowRight: () => go(state.step + 1), ArrowLeft: () => go(state.step - 1), ArrowUp: () => { state.y += 60; move(); },
    ArrowDown: () => { state.y -= 60; move(); }, "+": () => zoom(1.25), "-": () => zoom(0.8), "0": () => fit(true), "/": () => byId("search").focus(),
    Enter: () => e.target.dataset.key && act(e.target.dataset.key)};
  if (keys[e.key] && !(e.key === "Enter" && !e.target.dataset.key)) { e.preventDefault(); keys[e.key](); }
});

const setAll = folded => { for (const k of Object.keys(groups)) groups[k].folded = folded && k !== "g0"; draw(); fit(); };
const on = (id, what, event = "click") => byId(id).addEventListener(event, what);
on("unfold", () => setAll(false));
on("fold", () => setAll(true));
on("in", () => zoom(1.25));
on("out", () => zoom(0.8));
on("fit", () => fit(true));
on("bars", draw, "change");
on("search", search, "input");
on("search", e => {
  if (e.key !== "Enter" || !state.hits.length) return;
  const key = state.hits[state.hit = (state.hit + 1) % state.hits.length];
  reveal(key);
  choose(key);
  look(key);
}, "keydown");
on("first", () => { stop(); go(0); });
on("previous", () => { stop(); go(state.step - 1); });
on("next", () => { stop(); go(state.step + 1); });
on("run", play);
on("help", help);
on("at", () => { stop(); go(Number(byId("at").value)); }, "input");
on("download", () => {
  const copy = picture.cloneNode(true), style = document.createElement("style");
  style.textContent = [...document.querySelectorAll("style")].map(s => s.textContent).join("\n");
  copy.prepend(style);
  copy.setAttribute("viewBox", `0 0 ${box.g0.left + box.g0.right} ${box.g0.height}`);
  copy.querySelector("#world").removeAttribute("transform");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], {type: "image/svg+xml"}));
  link.download = "graph.svg";
  link.click();
});
byId("at").max = steps.length;
draw();
fit();
go(0);
help();
