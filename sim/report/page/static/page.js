// The page: a form, a run, its answer. No library; everything shown is set as text.
const $ = (id) => document.getElementById(id);
const FORM = JSON.parse($("form").textContent);
const FIELDS = ["place", "gpus", "arch", "config", "busy", "pue", "policies"];
const KEPT = 4;
const SHOWN = {
  gpus: "GPUs", peak_load_mw: "peak at the meter [MW]", mean_load_mw: "mean at the meter [MW]",
  energy_mwh: "energy [MWh]", swing_mw: "swing [MW]", training_tokens: "tokens trained",
  training_mfu: "MFU", output_tokens: "output tokens", energy_j_per_output_token: "J per output token",
  held_back_mwh: "work held back [MWh]", energy_cost_usd: "energy [USD]", carbon_t: "CO2 [t]",
};
let question = { ...FORM.first };
let run = null;
let source = null;
let shown = null;
let answers = [];

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
  $("gpus-slider").value = Math.log10(question.gpus);
  $("arch").value = question.arch;
  $("busy").value = question.busy;
  $("pue").value = question.pue;
  $("busy-row").hidden = question.work !== "serving";
  for (const radio of document.querySelectorAll("input[name=work]")) radio.checked = radio.value === question.work;
  for (const tile of $("tiles").children) tile.setAttribute("aria-pressed", tile.dataset.zone === question.place);
  $("link").href = `#${encoded({ ...question, config: null })}`;
}

function change(part) {
  // A layout belongs to the model and the size that it was found for.
  const drop = ["gpus", "arch", "work", "config"].some((key) => key in part);
  question = { ...question, ...part, ...(drop ? { layout: null } : {}) };
  show();
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

function addPolicy(kind, given = {}) {
  const about = FORM.policies[kind];
  const box = element("div", undefined, { class: "policy" });
  box.dataset.kind = kind;
  box.append(element("strong", kind), element("p", about.says));
  for (const [name, knob] of Object.entries(about.knobs)) {
    const id = `${kind}-${name}`;
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
  remove.addEventListener("click", () => { box.remove(); readPolicies(); });
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
    if (kind in FORM.policies) addPolicy(kind, Object.fromEntries(rest.split(",").filter(Boolean).map((p) => p.split(/=(.*)/s))));
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
  const now = { place: $("place").value.trim(), gpus: Number($("gpus").value), busy: Number($("busy").value), pue: Number($("pue").value) };
  const changed = Object.entries(now).filter(([key, value]) => value !== question[key]);
  if (changed.length) change(Object.fromEntries(changed));
}

async function ask(event) {
  event?.preventDefault();
  if (event) readFields();
  wrong("", "");
  busy(true, "asking");
  const reply = await fetch("/api/runs", { method: "POST", body: JSON.stringify(question), headers: { "Content-Type": "application/json" } });
  if (reply.status === 422) {
    const { wrong: found } = await reply.json();
    return refused(found);
  }
  if (!reply.ok) return busy(false, await reply.text());
  run = (await reply.json()).run;
  sessionStorage.setItem("run", run);
  follow();
}

function follow() {
  source?.close();
  shown = null;
  source = new EventSource(`/api/runs/${run}/events`);
  source.onmessage = (message) => hear(JSON.parse(message.data));
  source.onerror = () => { source.close(); if (shown !== run) busy(false, "the run is no longer known; ask again"); };
}

function hear(told) {
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

function table(header, rows, numeric) {
  const made = element("table");
  const head = element("tr");
  for (const name of header) head.append(element("th", name, { scope: "col" }));
  made.append(element("thead"));
  made.tHead.append(head);
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((cell, place) => line.append(element(place ? "td" : "th", cell, place ? (numeric(place) ? { class: "n" } : {}) : { scope: "row" })));
  }
  return made;
}

// A figure is loaded when it comes into view; its caption is its alternative text too.
function figure(base, name, caption) {
  const made = element("figure");
  made.dataset.name = name;
  const image = element("img", undefined, { src: `${base}${name}.svg`, alt: `Figure ${name.replaceAll("_", " ")}. ${caption}`, loading: "lazy" });
  const told = element("figcaption", `${caption} `);
  told.append(element("a", `${name}.svg`, { href: `${base}${name}.svg`, download: `${name}.svg` }), " ", element("a", `${name}.csv`, { href: `${base}${name}.csv`, download: `${name}.csv` }));
  made.append(image, told);
  return made;
}

function showAnswer(told) {
  busy(false, `answered, run ${told.answer.hash}`);
  const label = `${question.gpus.toLocaleString("en-US")} in ${question.place}`;
  answers = [{ label, policies: question.policies.join("; "), ...told.answer }, ...answers].slice(0, KEPT);
  $("answer").hidden = false;
  $("verdict").textContent = told.answer.answer;
  const rows = Object.entries(SHOWN).filter(([key]) => answers.some((a) => key in a.figures)).map(([key, words]) => [words, ...answers.map((a) => number(a.figures[key]))]);
  rows.unshift(["policies", ...answers.map((a) => a.policies || "none")]);
  $("runs").replaceChildren(table(["", ...answers.map((a) => a.label)], rows, () => true));
  const readings = told.answer.readings.map((r) => [r.limit, r.zone, r.verdict, r.margin_mw === null ? "not assessed" : number(r.margin_mw), r.probability === null ? "–" : r.probability.toFixed(2), r.detail]);
  $("readings").replaceChildren(table(["limit", "where", "answer", "margin [MW]", "P(binds)", "basis"], readings, (p) => p === 3 || p === 4));
  $("assumed").textContent = `${told.answer.assumptions.length} assumptions`;
  $("assumptions").replaceChildren(...told.answer.assumptions.map((a) => element("li", a)));
  $("figures").replaceChildren();
}

function showFigures(told) {
  const base = `/api/runs/${told.run}/files/`;
  const there = new Set([...$("figures").children].map((made) => made.dataset.name));
  for (const [name, caption] of Object.entries(told.answer.captions)) if (!there.has(name)) $("figures").append(figure(base, name, caption));
  $("drawing").textContent = told.drawn ? told.trouble : "drawing the figures and the report";
  const figures = Object.keys(told.answer.captions).flatMap((name) => [`${name}.svg`, `${name}.csv`]);
  $("downloads").replaceChildren("Take away: ", ...told.files.filter((name) => !figures.includes(name)).map((name) => element("a", name, { href: base + name, download: name })));
}

function start() {
  drawTiles();
  for (const kind of Object.keys(FORM.policies)) $("policy").append(element("option", kind));
  const linked = decoded(location.hash.slice(1));
  if (linked) question = { ...question, ...linked };
  showPolicies();
  show();
  $("question").addEventListener("submit", ask);
  $("place").addEventListener("change", () => change({ place: $("place").value.trim() }));
  $("gpus").addEventListener("change", () => change({ gpus: Number($("gpus").value) }));
  $("gpus-slider").addEventListener("change", () => { change({ gpus: Math.round(10 ** $("gpus-slider").value / 800) * 800 }); ask(); });
  $("gpus-slider").addEventListener("input", () => { $("gpus").value = Math.round(10 ** $("gpus-slider").value / 800) * 800; });
  $("arch").addEventListener("change", () => change({ arch: $("arch").value, config: null }));
  $("busy").addEventListener("change", () => change({ busy: Number($("busy").value) }));
  $("pue").addEventListener("change", () => change({ pue: Number($("pue").value) }));
  for (const radio of document.querySelectorAll("input[name=work]")) radio.addEventListener("change", () => change({ work: radio.value }));
  $("config").addEventListener("change", async () => { const [file] = $("config").files; change({ config: file ? await file.text() : null }); });
  $("policy").addEventListener("change", () => { if ($("policy").value) addPolicy($("policy").value); $("policy").value = ""; readPolicies(); });
  $("cancel").addEventListener("click", () => fetch(`/api/runs/${run}/cancel`, { method: "POST", body: "" }));
  const before = sessionStorage.getItem("run");
  if (before && !linked) { run = Number(before); follow(); } else ask();
}

start();
