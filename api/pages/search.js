"use strict";
const $ = id => document.getElementById(id);
const NAMES = { hybrid: "Both fused", sparse: "By words", learned: "By learned words", dense: "By meaning" };
const DELAY = 180, HITS = 8;
/* What is shown side by side: a column is a mode, and which sparse legs. */
const state = { columns: ["hybrid", "sparse", "dense"], legs: ["bm25", "dense"], shown: "hybrid", ready: false, typing: 0, searching: null, asking: null, bodies: {}, tops: {} };

const el = (tag, props = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "style") for (const [key, v] of Object.entries(value)) node.style.setProperty(key, v);
    else if (name.startsWith("aria-") || name === "for") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter(child => child != null));
  return node;
};
const number = (value, digits = 3) => Number(value).toFixed(digits);
const percent = share => `${Math.max(0, Math.min(100, 100 * share))}%`;
/* Positions from the server count code points; texts here are cut the same way. */
const points = text => Array.from(text);

async function call(path, options = {}) {
  const key = sessionStorage.getItem("twindex-key");
  const headers = { ...(options.body ? { "content-type": "application/json" } : {}), ...(key ? { authorization: `Bearer ${key}` } : {}), ...options.headers };
  const response = await fetch(path, { ...options, headers, body: options.body && JSON.stringify(options.body), method: options.body ? "POST" : "GET" });
  if (response.ok) return response;
  let problem = {};
  try { problem = await response.json(); } catch { /* not a problem response */ }
  if (response.status === 401) askForKey();
  throw new Error(problem.detail || `the server answered ${response.status}`);
}
const json = async (path, options) => (await call(path, options)).json();
const say = (text, bad = false) => { $("status").textContent = text; $("status").classList.toggle("bad", bad); };
const base = () => `/v1/indexes/${encodeURIComponent($("index").value)}`;

/* Results ------------------------------------------------------------------------------------------------------ */

function layColumns() {
  const results = $("results"), modes = $("modes");
  results.style.setProperty("--count", state.columns.length);
  results.replaceChildren(...state.columns.map(mode => el("section", { className: `column ${mode}`, id: `column-${mode}`, "aria-labelledby": `head-${mode}` },
    el("h2", { id: `head-${mode}` }, NAMES[mode], el("span", { id: `took-${mode}` })), el("ol", { className: "hits", id: `hits-${mode}` }))));
  modes.replaceChildren(el("legend", {}, "Show"), ...state.columns.map(mode => {
    const radio = el("input", { type: "radio", name: "shown", value: mode, checked: mode === state.shown });
    radio.addEventListener("change", () => show(mode));
    return el("label", {}, radio, NAMES[mode]);
  }));
  modes.hidden = state.columns.length < 2;
  show(state.columns.includes(state.shown) ? state.shown : state.columns[0]);
}
function show(mode) {
  state.shown = mode;
  if (state.bodies[mode]) showRequest();
  for (const column of document.querySelectorAll(".column")) column.classList.toggle("shown", column.id === `column-${mode}`);
}

async function search() {
  if (!state.ready) return; // start() searches once the indexes are known
  clearTimeout(state.typing);
  const query = $("query").value, filter = $("filter").value.trim();
  const link = { q: query, ...(filter ? { f: filter } : {}), ...($("index").length > 1 ? { index: $("index").value } : {}), ...chosenForLink() };
  history.replaceState(null, "", query ? `#${new URLSearchParams(link)}` : location.pathname);
  if (state.searching) state.searching.abort();
  const mine = state.searching = new AbortController();
  if (!query.trim()) { layColumns(); $("request").hidden = true; say("Type to search. Press Enter, or Ask, for an answer with citations."); return; }
  try {
    const bodies = state.columns.map(column => ({ query, k: HITS, explain: true, highlight: true, filter: filter || null, ...asked(column) }));
    const found = await Promise.all(bodies.map(body => json(`${base()}/search`, { body, signal: mine.signal })));
    if (mine.signal.aborted) return;
    found.forEach((result, place) => draw(state.columns[place], result, bodies[place]));
    showRequest();
    const most = Math.max(...found.map(result => result.hits.length));
    const counts = found.map((result, place) => `${result.hits.length} ${NAMES[state.columns[place]].toLowerCase()}`);
    const notes = new Set(found.flatMap(result => result.notes || []));
    say([most ? `Best hits: ${counts.join(", ")}.` : "Nothing found.", ...notes].join(" "));
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, true);
  }
}
/* The options of a column: of the mode itself, and those that were chosen. */
function asked(column) {
  const options = column === "learned" ? { mode: "sparse", sparse: "learned" } : { mode: column };
  if (state.legs.includes("learned") && column === "sparse") options.sparse = "bm25";
  return { ...options, ...chosen(column) };
}
function draw(mode, result, body) {
  $(`took-${mode}`).textContent = `${number(result.took_ms, 1)} ms`;
  state.bodies[mode] = body;
  state.tops[mode] = Math.max(1e-9, ...result.hits.map(hit => hit.score));
  if (!result.hits.length) { $(`hits-${mode}`).replaceChildren(el("li", { className: "meta" }, "Nothing found.")); return; }
  $(`hits-${mode}`).replaceChildren(...result.hits.map((hit, place) => item(mode, hit, place + 1, state.tops[mode])));
  offerMore(mode, result.cursor);
}
/* Below the last hit, a way to the next page. */
function offerMore(mode, cursor) {
  const old = $(`more-${mode}`);
  if (old) old.remove();
  if (!cursor) return;
  const button = el("button", { type: "button", className: "plain", id: `more-${mode}` }, "More hits");
  button.addEventListener("click", () => more(mode, cursor, button));
  $(`column-${mode}`).append(button);
}
async function more(mode, cursor, button) {
  const list = $(`hits-${mode}`), body = state.bodies[mode], before = list.childElementCount;
  button.disabled = true;
  try {
    const result = await json(`${base()}/search`, { body: { ...body, cursor } });
    if (state.bodies[mode] !== body) return; // another search was drawn meanwhile
    list.append(...result.hits.map((hit, place) => item(mode, hit, before + place + 1, state.tops[mode])));
    offerMore(mode, result.cursor);
    say([`${result.hits.length} more hits ${NAMES[mode].toLowerCase()}.`, ...(result.notes || [])].join(" "));
    list.children[before]?.querySelector("summary").focus();
  } catch (error) { button.disabled = false; say(error.message, true); }
}
function showRequest() {
  const body = state.bodies[state.shown];
  $("request").hidden = !body;
  if (body) $("curl").textContent = asCurl(`${base()}/search`, body);
}
function item(mode, hit, rank, top) {
  const why = el("details", {}, el("summary", {}, "Why this rank"));
  why.addEventListener("toggle", () => { if (why.open && why.childElementCount === 1) why.append(explain(hit.explanation, mode)); });
  const meta = Object.entries(hit.metadata).slice(0, 6).map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(", ") : value}`).join(" · ");
  const places = Object.entries(hit.ranks || {}).map(([leg, place]) => `${legName(leg)} #${place}`).join(", ");
  return el("li", {},
    el("div", { className: "hit-head" }, el("span", { className: "rank" }, `${rank}`), el("span", { className: "title" }, hit.title || hit.id), el("span", { className: "score", title: "score" }, number(hit.score))),
    el("div", { className: "meter", "aria-hidden": "true" }, el("i", { style: { width: percent(hit.score / top) } })),
    el("p", { className: "text" }, ...snippet(hit.text, hit.highlights || [])),
    el("p", { className: "meta" }, [hit.title ? hit.id : "", places, meta].filter(Boolean).join(" · ")), why);
}
/* The part of a text around its first match, with the matches marked. */
function snippet(text, spans, width = 260) {
  const chars = points(text);
  let from = 0;
  if (spans.length && chars.length > width) from = Math.max(0, Math.min(spans[0][0] - 60, chars.length - width));
  while (from > 0 && chars[from - 1] !== " " && from > spans[0][0] - 80) from--;
  const to = Math.min(chars.length, from + width), out = [from > 0 ? "… " : ""];
  let at = from;
  for (const [start, end] of spans) {
    if (start < at || end > to) continue;
    out.push(chars.slice(at, start).join(""), el("mark", {}, chars.slice(start, end).join("")));
    at = end;
  }
  out.push(chars.slice(at, to).join(""), to < chars.length ? " …" : "");
  return out;
}

/* Asking -------------------------------------------------------------------------------------------------------- */

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").filter(line => !line.startsWith(":")).map(line => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
      if (fields.event) yield [fields.event, JSON.parse(fields.data)];
    }
  }
}
async function ask() {
  const question = $("query").value.trim();
  if (!question || !$("index").value) { $("query").focus(); return; }
  if (state.asking) state.asking.abort();
  const mine = state.asking = new AbortController();
  $("answer").hidden = false;
  $("words").replaceChildren(); $("passages").replaceChildren(); $("answer-note").textContent = "Reading …";
  $("words").setAttribute("aria-busy", "true");
  $("ask").disabled = true;
  try {
    const body = { question, stream: true, ...asked(state.columns.includes("hybrid") ? "hybrid" : "sparse"), filter: $("filter").value.trim() || null };
    const citations = [];
    let passages = [];
    for await (const [name, data] of events(await call(`${base()}/answer`, { body, signal: mine.signal }))) {
      if (name === "retrieved") passages = data.passages;
      else if (name === "token") $("words").append(data.text);
      else if (name === "citation") citations.push(data);
      else if (name === "error") throw new Error(data.detail);
      else if (name === "done") finish(data, passages, citations);
    }
  } catch (error) {
    if (error.name !== "AbortError") { $("answer-note").textContent = ""; say(error.message, true); }
  } finally {
    if (state.asking === mine) { $("ask").disabled = false; $("words").setAttribute("aria-busy", "false"); }
  }
}
function finish(answer, passages, citations) {
  const words = [];
  for (const part of answer.answer.split(/(\[\d+\])/)) {
    const found = /^\[(\d+)\]$/.exec(part);
    if (!found) { words.push(part); continue; }
    const cite = el("button", { type: "button", className: "cite", "aria-label": `Source ${found[1]}` }, found[1]);
    cite.addEventListener("click", () => point(Number(found[1])));
    words.push(cite);
  }
  $("words").replaceChildren(...words);
  $("answer-note").textContent = answer.abstained ? "No answer is better than an unsupported one." : `support ${number(answer.support, 2)} · ${answer.generator} · ${number(answer.took_ms, 0)} ms`;
  const cited = new Set(citations.map(citation => citation.marker));
  $("passages").replaceChildren(...passages.filter(passage => cited.has(passage.number)).map(passage => source(passage, citations)));
}
function source(passage, citations) {
  const chars = points(passage.text), out = [];
  const spans = citations.filter(c => c.marker === passage.number).map(c => [c.start - passage.start, c.end - passage.start]).sort((a, b) => a[0] - b[0]);
  let at = 0;
  for (const [start, end] of spans) {
    if (start < at) continue;
    out.push(chars.slice(at, start).join(""), el("mark", {}, chars.slice(start, end).join("")));
    at = end;
  }
  out.push(chars.slice(at).join(""));
  return el("article", { className: "passage", id: `source-${passage.number}`, tabIndex: -1, "aria-label": `Source ${passage.number}` },
    el("h3", {}, `[${passage.number}] ${passage.title || passage.doc_id}`), el("p", { className: "text" }, ...out));
}
function point(marker) {
  for (const node of document.querySelectorAll(".passage")) node.classList.toggle("on", node.id === `source-${marker}`);
  const node = $(`source-${marker}`);
  if (node) { node.scrollIntoView({ block: "nearest" }); node.focus({ preventScroll: true }); }
}

/* Index, health, key -------------------------------------------------------------------------------------------- */

async function describe() {
  const info = await json(base());
  state.legs = info.legs;
  state.columns = info.modes.flatMap(mode => mode === "sparse" && info.legs.includes("learned") ? ["sparse", "learned"] : [mode]);
  layColumns();
  offer(info);
  $("about").textContent = `${info.documents.toLocaleString()} documents, searched ${info.modes.length > 1 ? "by words, by meaning, and by both" : "by words"}.`;
  const fields = Object.keys(info.fields).filter(name => !["id", "doc_id", "title"].includes(name));
  $("fields").textContent = fields.length ? `Fields: ${fields.slice(0, 12).join(", ")}${fields.length > 12 ? ", …" : ""}` : "";
  const health = await json("/v1/health");
  const facts = {
    "Server": `twindex ${health.version}, ${health.status}`, "Documents": info.documents.toLocaleString(), "Passages": info.passages.toLocaleString(),
    "Deleted passages": info.deleted_passages.toLocaleString(), "Segments": info.segments, "Size": `${(info.bytes / 1e6).toFixed(1)} MB`, "Commit": info.generation,
    "Analyzer": info.settings.analyzer, "Encoder": info.settings.encoder ? info.settings.encoder.name : "none",
    ...(info.settings.sparse_encoder ? { "Sparse encoder": info.settings.sparse_encoder.name } : {}), ...(info.reranker ? { "Reranker": info.reranker } : {}),
    ...(info.settings.expansion ? { "Generated queries": `${info.settings.expansion.method}, at most ${info.settings.expansion.limit} a passage` } : {}),
    "Writes": info.writes.pending ? `${info.writes.pending} acknowledged, visible soon` : "all visible", ...(info.writes.problem ? { "Problem": info.writes.problem } : {}),
  };
  $("facts").replaceChildren(...Object.entries(facts).map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, String(value)))));
}
async function start() {
  try {
    const list = (await json("/v1/indexes")).indexes;
    $("index").replaceChildren(...list.map(one => el("option", { value: one.name }, `${one.name} (${one.documents.toLocaleString()})`)));
    if (!list.length) { say("There is no index yet: POST /v1/indexes makes one."); return; }
    const given = new URLSearchParams(location.hash.slice(1));
    if (list.some(one => one.name === given.get("index"))) $("index").value = given.get("index");
    await describe();
    state.ready = true;
    chooseFromLink(given);
    if (given.get("q") && !$("query").value) { $("query").value = given.get("q"); $("filter").value = given.get("f") || ""; }
    await search();
  } catch (error) { say(error.message, true); }
}
function askForKey() { if (!$("key-dialog").open) $("key-dialog").showModal(); }
$("key-button").addEventListener("click", askForKey);
$("key-dialog").addEventListener("close", () => {
  if ($("key-dialog").returnValue === "ok") { sessionStorage.setItem("twindex-key", $("key").value.trim()); $("key").value = ""; start(); }
});
const later = () => { clearTimeout(state.typing); state.typing = setTimeout(search, DELAY); };
$("query").addEventListener("input", later);
$("filter").addEventListener("input", later);
for (const list of lists()) list.addEventListener("change", () => { tell(); search(); });
$("copy").hidden = !navigator.clipboard;
$("copy").addEventListener("click", () => navigator.clipboard.writeText($("curl").textContent).then(() => say("Copied."), error => say(error.message, true)));
$("index").addEventListener("change", () => describe().then(search, error => say(error.message, true)));
$("form").addEventListener("submit", event => { event.preventDefault(); clearTimeout(state.typing); search(); ask(); });
$("state").addEventListener("toggle", () => { if ($("state").open) describe().then(search, error => say(error.message, true)); });
document.addEventListener("keydown", event => {
  if (event.key === "/" && !["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement.tagName)) { event.preventDefault(); $("query").focus(); $("query").select(); }
});
layColumns();
start();
