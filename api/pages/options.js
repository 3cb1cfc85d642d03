"use strict";
/* Options of a search. A choice carries the fields of its request; its list says which columns it is for (data-for)
   and what the index or the server must have (data-needs). So a new option is a line of the page. */

const lists = () => [...document.querySelectorAll("#choices select")];

/* The fields that were chosen for a column. */
function chosen(column) {
  const fields = {};
  for (const list of lists()) if (list.dataset.for.split(" ").includes(column) && list.value) Object.assign(fields, JSON.parse(list.value));
  if (!fields.rerank) delete fields.rerank_weight;
  return fields;
}
/* Only what the index and the server can do is offered. */
function offer(info) {
  const there = new Set([...info.legs, ...(info.reranker ? ["reranker"] : []), ...(info.settings.expansion ? ["expansion"] : [])]);
  for (const list of lists()) {
    const fits = list.dataset.needs.split(" ").every(need => there.has(need));
    list.parentElement.hidden = !fits;
    if (!fits) list.selectedIndex = 0;
  }
  $("choices").hidden = lists().every(list => list.parentElement.hidden);
  tell();
}
/* How many choices differ from what the server would do, where they are folded away; and what depends on what. */
function tell() {
  $("rerank-share").disabled = !$("rerank").value;
  const count = lists().filter(list => list.value && !list.disabled).length;
  $("choices").firstElementChild.textContent = count ? `Options (${count} chosen)` : "Options";
}
/* What a link to this search needs, and back. */
const chosenForLink = () => Object.fromEntries(lists().filter(list => list.value).map(list => [list.id, list.value]));
function chooseFromLink(given) {
  for (const list of lists()) {
    const value = given.get(list.id);
    if (value && [...list.options].some(option => option.value === value)) list.value = value;
  }
  if (lists().some(list => list.value)) $("choices").open = true;
  tell();
}
/* The search of a column as a line for a terminal. */
function asCurl(path, body) {
  const quoted = text => `'${text.replaceAll("'", "'\\''")}'`;
  const plain = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null && value !== false));
  const key = sessionStorage.getItem("twindex-key") ? ` -H "authorization: Bearer $TWINDEX_KEY"` : "";
  return `curl ${quoted(location.origin + path)}${key} --json ${quoted(JSON.stringify(plain))}`;
}
