// The page: a form, a run, its answer. No library; everything shown is set as text.
const $ = (id) => document.getElementById(id);
const FORM = JSON.parse($("form").textContent);
const FIELDS = ["place", "gpus", "arch", "config", "beside", "busy", "ttft_s", "tpot_s", "pue", "policies"];
const KEPT = 4;
const LINKED = 6000; // characters of an uploaded config that a link can carry
const SHOWN = {
  gpus: "GPUs", peak_load_mw: "peak at the meter [MW]", mean_load_mw: "mean at the meter [MW]",
  energy_mwh: "energy [MWh]", swing_mw: "swing [MW]", training_tokens: "tokens trained",
  training_mfu: "MFU", output_tokens: "output tokens", energy_j_per_output_token: "J per output token",
  ttft_p99_s: "first token, 99th percentile [s]", tpot_p99_s: "further tokens, 99th percentile [s]",
  held_back_mwh: "work held back [MWh]", energy_cost_usd: "energy [USD]", carbon_t: "CO2 [t]",
};
const OBJECTIVES = ["ttft_s", "tpot_s"];
const SETTLE_MS = 250; // a slider that is still held asks nothing
const SILENT = "the server does not answer";
const PATIENCE_MS = 2000; // to stop a run costs the server more than to let a short one end
let question = { ...FORM.first };
let run = null;
let state = null; // of that run, as last heard
let asks = 0;
let later = null;
let policiesMade = 0;
let kept = { asked: null, runs: [] };
let source = null;
let shown = null;
let answers = [];
let texas = null;

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function encoded(value) {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function decoded(text) {
  try {
    const bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0))));
  } catch {
    return null;
  }
}

function show() {
  $("place").value = question.place;
  $("gpus").value = question.gpus;
  // A step of the slider can be less than one of its figure: where they agree, it stays.
  if (slid() !== question.gpus) $("gpus-slider").value = Math.log10(question.gpus);
  $("arch").value = question.arch;
  $("beside").value = question.beside;
  $("busy").value = question.busy;
  for (const name of OBJECTIVES) $(name).value = question[name] ?? "";
  $("pue").value = question.pue;
  $("busy-row").hidden = question.work !== "serving";
  for (const radio of document.querySelectorAll("input[name=work]")) radio.checked = radio.value === question.work;
  for (const tile of $("tiles").children) tile.setAttribute("aria-pressed", tile.dataset.zone === question.place);
  $("link").href = `#${encoded(linkable(question))}`;
  $("link-told").textContent = question.config && !linkable(question).config ? "without the uploaded config: it is too long for a link" : "";
  if (texas) drawTexas();
}

function slid() {
  return Math.round(10 ** $("gpus-slider").value / 800) * 800;
}

function linkable(asked) {
  return { ...asked, config: small(asked.config) };
}

// What a link says, as far as it is a question: it may be old, or made by hand.
function linked() {
  const told = decoded(location.hash.slice(1));
  const parts = Object.entries(told ?? {}).filter(([key]) => Object.hasOwn(FORM.first, key));
  const { policies = FORM.first.policies, ...rest } = Object.fromEntries(parts);
  return parts.length ? { ...rest, policies: Array.isArray(policies) ? policies.map(String) : [] } : null;
}

// An uploaded config without its spaces, if a link can carry it.
function small(config) {
  try {
    const text = config && JSON.stringify(JSON.parse(config));
    return text && text.length <= LINKED ? text : null;
  } catch {
    return null;
  }
}

function change(part) {
  // A layout belongs to the model and the size that it was found for.
  const drop = ["gpus", "arch", "work", "config"].some((key) => key in part);
  question = { ...question, ...part, ...(drop ? { layout: null } : {}) };
  show();
}

function slide() {
  if (slid() === question.gpus) return;
  change({ gpus: slid() });
  clearTimeout(later);
  later = setTimeout(ask, SETTLE_MS);
}

function drawTiles() {
  for (const [zone, [row, column]] of Object.entries(FORM.tiles)) {
    const tile = element("button", zone.replace("TX-ERCOT", "TX").replace("TX-other", "tx"), { type: "button", "aria-label": zone, "aria-pressed": "false" });
    tile.dataset.zone = zone;
    tile.style.gridRow = row + 1;
    tile.style.gridColumn = column + 1;
    tile.addEventListener("click", () => change({ place: zone }));
    $("tiles").append(tile);
  }
}

async function showMap(name) {
  for (const one of ["states", "buses"]) $(`map-${one}`).setAttribute("aria-pressed", one === name);
  $("tiles").hidden = name !== "states";
  $("texas").hidden = name !== "buses";
  if (name !== "buses") return;
  if (!texas) {
    $("bus-told").textContent = "reading the buses";
    const found = await fetch("/api/buses").then((r) => r.json()).catch(() => null);
    if (!found) { $("bus-told").textContent = SILENT; return; }
    const [lons, lats] = [1, 2].map((k) => found.buses.map((bus) => bus[k]));
    const [west, south, north] = [Math.min(...lons), Math.min(...lats), Math.max(...lats)];
    const stretch = Math.cos(((south + north) / 2) * Math.PI / 180);
    const scale = Math.min(620 / ((Math.max(...lons) - west) * stretch), 580 / (north - south));
    texas = { ...found, at: found.buses.map(([, lon, lat]) => [10 + (lon - west) * stretch * scale, 10 + (north - lat) * scale]) };
  }
  drawTexas();
}

function chosenBus() {
  const number = Number(/^bus (\d+)$/.exec(question.place)?.[1]);
  return texas.buses.findIndex((bus) => bus[0] === number);
}

function drawTexas() {
  const pen = $("buses").getContext("2d");
  pen.clearRect(0, 0, 640, 600);
  pen.strokeStyle = "#c9ced4";
  pen.beginPath();
  for (const [from, to] of texas.lines) { pen.moveTo(...texas.at[from]); pen.lineTo(...texas.at[to]); }
  pen.stroke();
  const upward = [...texas.buses.entries()].sort(([, a], [, b]) => a[3] - b[3]); // the highest voltage on top
  upward.forEach(([k, bus]) => spot(pen, k, bus[3] >= 345 ? 4 : bus[3] >= 230 ? 3 : 2, bus[3] >= 345 ? "#D55E00" : bus[3] >= 230 ? "#0072B2" : "#56B4E9"));
  const chosen = chosenBus();
  if (chosen >= 0) {
    pen.lineWidth = 3;
    pen.strokeStyle = "#000";
    pen.beginPath();
    pen.arc(...texas.at[chosen], 9, 0, 2 * Math.PI);
    pen.stroke();
    pen.lineWidth = 1;
  }
  tellBus(chosen);
}

function spot(pen, k, radius, colour) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(...texas.at[k], radius, 0, 2 * Math.PI);
  pen.fill();
}

function tellBus(k) {
  const levels = "orange 345 kV and more, dark blue 230 kV, light blue below; a synthetic grid";
  $("bus-told").textContent = k < 0 ? `${texas.buses.length} buses: ${levels}` : `bus ${texas.buses[k][0]}, ${texas.buses[k][3]} kV${among(k)} (${levels})`;
}

// The buses of a substation stand at one place of the map.
function here(k) {
  const [x, y] = texas.at[k];
  return [...texas.at.keys()].filter((n) => texas.at[n][0] === x && texas.at[n][1] === y);
}

function among(k) {
  const all = here(k);
  return all.length > 1 ? `, ${all.indexOf(k) + 1} of ${all.length} at this place: click again or press Enter for the next` : "";
}

// The first bus of a place; the next one if one of them is chosen.
function choose(k) {
  const all = here(k);
  change({ place: `bus ${texas.buses[all[(all.indexOf(chosenBus()) + 1) % all.length]][0]}` });
}

// The bus nearest to a point of the map; with `from`, the nearest one in a direction.
function nearest(x, y, from = -1, along = [0, 0]) {
  let best = -1;
  let least = Infinity;
  texas.at.forEach(([u, v], k) => {
    const ahead = (u - x) * along[0] + (v - y) * along[1];
    const far = Math.hypot(u - x, v - y);
    if (far < least && k !== from && (from < 0 || ahead > 0.7 * far)) [best, least] = [k, far];
  });
  return best;
}

function under(event) {
  const box = $("buses").getBoundingClientRect();
  return nearest(((event.clientX - box.left) * 640) / box.width, ((event.clientY - box.top) * 600) / box.height);
}

function walk(event) {
  if (event.key === "Enter" && texas && chosenBus() >= 0) return choose(chosenBus());
  const along = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!along || !texas) return;
  event.preventDefault();
  const from = chosenBus();
  const next = from < 0 ? nearest(320, 300) : nearest(...texas.at[from], from, along);
  if (next >= 0) change({ place: `bus ${texas.buses[next][0]}` });
}

function addPolicy(kind, given = {}) {
  const about = FORM.policies[kind];
  const place = ++policiesMade; // a policy may be there twice
  const box = element("div", undefined, { class: "policy" });
  box.dataset.kind = kind;
  box.append(element("strong", kind), element("p", about.says));
  for (const [name, knob] of Object.entries(about.knobs)) {
    const id = `${kind}-${place}-${name}`;
    const value = given[name] ?? knob.default ?? "";
    const input = knob.choices.length ? element("select", undefined, { id }) : element("input", undefined, { id });
    for (const choice of knob.choices) input.append(element("option", choice));
    input.value = value;
    input.dataset.knob = name;
    input.dataset.standard = knob.default ?? "";
    box.append(element("label", knob.says, { for: id }), input);
    input.addEventListener("change", readPolicies);
  }
  const remove = element("button", `Remove ${kind}`, { type: "button" });
  remove.addEventListener("click", () => { box.remove(); readPolicies(); $("policy").focus(); });
  box.append(remove);
  $("policies").append(box);
}

function readPolicies() {
  const texts = [...$("policies").children].map((box) => {
    const pairs = [...box.querySelectorAll("[data-knob]")].filter((i) => i.value !== "" && i.value !== i.dataset.standard).map((i) => `${i.dataset.knob}=${i.value}`);
    return pairs.length ? `${box.dataset.kind}:${pairs.join(",")}` : box.dataset.kind;
  });
  change({ policies: texts });
}

function showPolicies() {
  $("policies").replaceChildren();
  for (const text of question.policies) {
    const [kind, rest = ""] = text.split(/:(.*)/s);
    if (Object.hasOwn(FORM.policies, kind)) addPolicy(kind, Object.fromEntries(rest.split(",").filter(Boolean).map((p) => p.split(/=(.*)/s))));
  }
}

function wrong(field, text) {
  for (const name of FIELDS) {
    $(`wrong-${name}`).textContent = name === field ? text : "";
    const input = $(name);
    if (input && "value" in input) input.setAttribute("aria-invalid", name === field && text !== "");
  }
  if (text && $(field)) $(field).focus();
}

// What the fields say now: a value that was typed counts even if its field was never left.
function readFields() {
  const now = { place: $("place").value.trim(), gpus: Number($("gpus").value), busy: Number($("busy").value), pue: Number($("pue").value), ...objectives() };
  const changed = Object.entries(now).filter(([key, value]) => value !== question[key]);
  if (changed.length) change(Object.fromEntries(changed));
}

function objectives() {
  return Object.fromEntries(OBJECTIVES.map((name) => [name, $(name).value === "" ? null : Number($(name).value)]));
}

// What is not shown for training is not asked either: an error could not stand at its field.
function posed() {
  return question.work === "serving" ? question : { ...question, busy: FORM.first.busy, ttft_s: null, tpot_s: null };
}

async function ask(event) {
  event?.preventDefault();
  if (event) readFields();
  clearTimeout(later);
  const turn = ++asks;
  if (state === "waiting" || state === "running") {
    source?.close(); // or a refusal of this question would be written over by the run before it
    stopLater(run, state);
  }
  state = null;
  const asked = question, there = $("link-told").textContent ? location.pathname : $("link").getAttribute("href");
  wrong("", "");
  busy(true, "asking");
  const [status, text] = await send("/api/runs", JSON.stringify(posed()));
  if (turn !== asks) return status === 202 ? cancel(JSON.parse(text).run) : undefined; // asked anew meanwhile
  if (status === 422) return refused(JSON.parse(text).wrong);
  if (status !== 202) return busy(false, text);
  ({ run } = JSON.parse(text));
  state = "waiting";
  remember({ asked });
  // The address says what is asked, where a link can: a reload, or a bookmark, finds it again.
  history.replaceState(null, "", there);
  follow();
}

// Status and text of the reply to a POST; status 0 if there is none.
async function send(path, body) {
  try {
    const reply = await fetch(path, { method: "POST", body, headers: { "Content-Type": "application/json" } });
    return [reply.status, await reply.text()];
  } catch {
    return [0, SILENT];
  }
}

// Whose answer nobody waits for any more need not be worked out.
function stopLater(number, was) {
  setTimeout(() => cancel(number), was === "running" ? PATIENCE_MS : 0);
}

async function cancel(number) {
  const [status, text] = await send(`/api/runs/${number}/cancel`, "");
  if (number === run && status !== 200) $("progress").textContent = text;
}

// What a reload finds again: the last question, its run and those beside it.
function remember(part = {}) {
  const runs = [run, ...answers.map((a) => a.run)].filter((n, k, all) => all.indexOf(n) === k).slice(0, KEPT);
  kept = { ...kept, ...part, server: FORM.server, runs };
  sessionStorage.setItem("last", JSON.stringify(kept));
}

// Nothing if the server has started anew since: its numbers mean other runs now.
function remembered() {
  const last = JSON.parse(sessionStorage.getItem("last"));
  return last?.server === FORM.server ? last : { asked: null, runs: [] };
}

async function recall(numbers) {
  const told = await Promise.all(numbers.map((n) => fetch(`/api/runs/${n}`).then((r) => (r.ok ? r.json() : null), () => null)));
  answers = told.filter((one) => one?.state === "done").map((one) => ({ run: one.run, ...one.answer }));
}

function follow() {
  source?.close();
  shown = null;
  source = new EventSource(`/api/runs/${run}/events`);
  source.onmessage = (message) => hear(JSON.parse(message.data));
  source.onerror = () => { source.close(); if (shown !== run) busy(false, "the run is no longer known; ask again"); };
}

function hear(told) {
  state = told.state;
  if (told.state === "waiting" || told.state === "running") return busy(true, told.progress[0] ?? told.state);
  if (told.state === "done") {
    // The answer comes first, its figures after it.
    if (shown !== told.run) showAnswer(told);
    shown = told.run;
    showFigures(told);
    if (told.drawn) source.close();
    return;
  }
  source.close();
  if (told.state === "wrong") return refused(told.result);
  busy(false, told.state === "failed" ? `failed: ${told.result}` : told.state);
}

function refused(found) {
  busy(false, "");
  wrong(FIELDS.includes(found.field) ? found.field : "gpus", found.todo ? `${found.what}; ${found.todo}` : found.what);
}

function busy(on, text) {
  $("ask").disabled = on;
  $("cancel").disabled = !on;
  $("progress").textContent = text;
}

function number(value) {
  if (typeof value !== "number") return "–";
  const digits = Math.abs(value) >= 100 ? 0 : 3;
  return Math.abs(value) >= 1e10 ? value.toExponential(3) : value.toLocaleString("en-US", { maximumFractionDigits: digits });
}

function table(header, rows, caption) {
  const made = element("table");
  if (caption) made.append(element("caption", caption));
  const head = element("tr");
  const numeric = header.map((_, place) => place > 0 && rows.every((row) => /^[−–+~-]?[\d.,%]*( to −?[\d.,]+)?( [kMGTP]?(B|FLOP))?$/.test(row[place] ?? "")));
  header.forEach((name, place) => head.append(element("th", name, { scope: "col", ...(numeric[place] ? { class: "n" } : {}) })));
  made.append(element("thead"));
  made.tHead.append(head);
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((cell, place) => line.append(element(place ? "td" : "th", cell, place ? (numeric[place] ? { class: "n" } : {}) : { scope: "row" })));
  }
  return made;
}

// A figure is loaded when it comes into view; its caption is its alternative text too.
function figure(base, name, caption) {
  const made = element("figure");
  made.dataset.name = name;
  const image = element("img", undefined, { src: `${base}${name}.svg`, alt: `Figure ${name.replaceAll("_", " ")}. ${caption}`, loading: "lazy" });
  image.addEventListener("load", () => made.classList.toggle("column", image.naturalWidth < 400));
  const told = element("figcaption", `${caption} `);
  told.append(element("a", `${name}.svg`, { href: `${base}${name}.svg`, download: `${name}.svg` }), " ", element("a", `${name}.csv`, { href: `${base}${name}.csv`, download: `${name}.csv` }));
  made.append(image, told);
  return made;
}

function showAnswer(told) {
  const found = told.answer;
  busy(false, `answered, run ${found.hash}`);
  answers = [{ run: told.run, ...found }, ...answers.filter((a) => a.hash !== found.hash)].slice(0, KEPT);
  remember();
  $("answer").hidden = false;
  $("verdict").textContent = found.answer;
  $("lines").replaceChildren(...found.lines.filter(Boolean).map((line) => element("p", line)));
  $("warnings").hidden = !found.warnings.length;
  $("warnings").querySelector("ul").replaceChildren(...found.warnings.map((line) => element("li", line)));
  const figures = found.key_figures.map((row) => [row.name, row.value, row.interval || "–", row.unit]);
  $("key-figures").replaceChildren(table(["figure", "value", "interval", "unit"], figures));
  const readings = found.readings.map((r) => [r.limit, r.zone, r.verdict, r.margin_mw === null ? "–" : number(r.margin_mw), r.probability === null ? "–" : r.probability.toFixed(2), r.detail]);
  $("readings").replaceChildren(table(["limit", "where", "answer", "margin [MW]", "P(binds)", "basis"], readings));
  showRuns();
  $("tables").replaceChildren(...found.tables.flatMap((one) => {
    const box = element("div", undefined, { class: "scroll", tabindex: 0, role: "group", "aria-label": one.title });
    box.append(table(one.header, one.rows, one.caption));
    return [element("h2", one.title), box];
  }));
  $("assumed").textContent = `${found.assumptions.length} assumptions`;
  $("assumptions").replaceChildren(...found.assumptions.map((a) => element("li", a)));
  $("figures").replaceChildren();
}

// The last questions, one column each, the newest first.
function showRuns() {
  const asked = (key, words) => [words, ...answers.map((a) => a.asked[key])];
  const rows = [asked("work", "work"), asked("arch", "architecture"), ["policies", ...answers.map((a) => a.asked.policies.join("; ") || "none")]];
  for (const [key, words] of Object.entries(SHOWN)) if (answers.some((a) => key in a.figures)) rows.push([words, ...answers.map((a) => number(a.figures[key]))]);
  const labels = answers.map((a) => `${a.asked.gpus.toLocaleString("en-US")} in ${a.asked.place}`);
  $("runs").replaceChildren(table(["", ...labels], rows));
}

function showFigures(told) {
  const base = `/api/runs/${told.run}/files/`;
  const there = new Set([...$("figures").children].map((made) => made.dataset.name));
  for (const [name, caption] of Object.entries(told.answer.captions)) if (!there.has(name)) $("figures").append(figure(base, name, caption));
  $("drawing").textContent = told.drawn ? told.trouble : "drawing the figures and the report";
  const figures = Object.keys(told.answer.captions).flatMap((name) => [`${name}.svg`, `${name}.csv`]);
  // Links that stand already stay: one that is replaced under the pointer loses its click.
  const links = told.files.filter((name) => !figures.includes(name)).map((name) => element("a", name, { href: base + name, download: name }));
  const standing = [...$("downloads").querySelectorAll("a")];
  if (String(standing) !== String(links)) $("downloads").replaceChildren("Take away: ", ...links);
}

function start() {
  drawTiles();
  for (const kind of Object.keys(FORM.policies)) $("policy").append(element("option", kind));
  const told = linked();
  // A token is for the one who opens the page; its cookie stands for it now, and no link tells it.
  if (location.search) history.replaceState(null, "", location.pathname + location.hash);
  kept = remembered();
  // A link need not carry a whole config; who asked it in this tab still has it.
  const same = kept.asked && (!told || encoded(linkable(kept.asked)) === encoded({ ...question, ...told }));
  question = { ...question, ...(same ? kept.asked : told) };
  showPolicies();
  show();
  $("question").addEventListener("submit", ask);
  $("place").addEventListener("change", () => change({ place: $("place").value.trim() }));
  $("gpus").addEventListener("change", () => change({ gpus: Number($("gpus").value) }));
  $("gpus-slider").addEventListener("change", slide);
  $("gpus-slider").addEventListener("input", () => { $("gpus").value = slid(); });
  $("arch").addEventListener("change", () => { $("config").value = ""; change({ arch: $("arch").value, config: null }); });
  $("beside").addEventListener("change", () => change({ beside: $("beside").value }));
  for (const name of OBJECTIVES) $(name).addEventListener("change", () => change(objectives()));
  for (const name of ["states", "buses"]) $(`map-${name}`).addEventListener("click", () => showMap(name));
  $("buses").addEventListener("click", (event) => { if (texas) choose(under(event)); });
  $("buses").addEventListener("mousemove", (event) => { if (texas) tellBus(under(event)); });
  $("buses").addEventListener("mouseleave", () => { if (texas) tellBus(chosenBus()); });
  $("buses").addEventListener("keydown", walk);
  $("busy").addEventListener("change", () => change({ busy: Number($("busy").value) }));
  $("pue").addEventListener("change", () => change({ pue: Number($("pue").value) }));
  for (const radio of document.querySelectorAll("input[name=work]")) radio.addEventListener("change", () => change({ work: radio.value }));
  $("config").addEventListener("change", async () => { const [file] = $("config").files; change({ config: file ? await file.text() : null }); });
  $("policy").addEventListener("change", () => { if ($("policy").value) addPolicy($("policy").value); $("policy").value = ""; readPolicies(); });
  $("cancel").addEventListener("click", () => cancel(run));
  recall(kept.runs).then(() => {
    if (kept.runs.length && same) { [run] = kept.runs; follow(); } else ask();
  });
}

start();
