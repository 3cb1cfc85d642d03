"use strict";
/* Why: the explanation tree of a hit, drawn. */

/* Legs by how their names begin: with generated queries they are called bm25f, learned+queries and dual. */
const LEGS = [["bm25", "words", "sparse"], ["learned", "learned words", "learned"], ["dense", "meaning", "dense"], ["dual", "meaning", "dense"], ["before", "before reranking", "hybrid"]];
const legOf = leg => LEGS.find(([start]) => leg.startsWith(start)) || [leg, leg, "hybrid"];
const legName = leg => legOf(leg)[1];
const legTone = leg => legOf(leg)[2];

function explain(tree, mode) {
  const box = el("div", { className: "why" });
  drawTree(box, tree, mode);
  box.append(el("details", {}, el("summary", {}, "Every number"), branch(tree)));
  return box;
}
function drawTree(box, tree, tone) {
  if (tree.data && tree.data.reranker) {
    box.append(el("p", { className: "meta" }, `Put at ${tree.data.rank} by ${tree.data.reranker}, which read it with the query; it was at ${tree.data.before}. Before that:`));
    tree.details.forEach(part => drawTree(box, part, tone));
    return;
  }
  const legs = (tree.details || []).filter(part => part.data && part.data.leg);
  if (legs.length) drawFusion(box, tree, legs); else drawLeg(box, tree, tone);
}
function drawFusion(box, tree, legs) {
  const total = legs.reduce((sum, leg) => sum + Math.max(0, leg.value), 0) || 1;
  box.append(el("p", { className: "meta" }, tree.text),
    el("div", { className: "stack", "aria-hidden": "true" }, ...legs.map(leg => el("i", { className: legTone(leg.data.leg), style: { width: percent(leg.value / total) } }))));
  const terms = legs.map(leg => {
    const parts = (leg.details || []).map(part => number(part.value)).join(" × ");
    return el("span", { className: `tone ${legTone(leg.data.leg)}` }, `${legName(leg.data.leg)} ${parts || number(leg.value)}`);
  });
  box.append(el("p", { className: "sum" }, ...terms.flatMap((term, place) => place ? [" + ", term] : [term]), ` = ${number(tree.value)}`));
  for (const leg of legs) {
    const reason = leg.details && leg.details[1] && leg.details[1].details && leg.details[1].details[0];
    if (reason) drawLeg(box, reason, legTone(leg.data.leg));
  }
}
/* One leg: its terms, or its similarities, as bars; then what matched besides the text. */
function drawLeg(box, tree, tone) {
  const terms = every(tree, part => part.data && part.data.term !== undefined);
  const rows = terms.length ? terms.sort((a, b) => b.value - a.value).slice(0, 12).map(termRow) : tone === "dense" ? similarityRows(tree) : [];
  const top = terms.length ? Math.max(...rows.map(row => row[1])) : 1;
  box.append(el("div", { className: `bars ${tone}`, role: "group", "aria-label": terms.length ? "Contribution of each term" : "Similarity" },
    ...rows.flatMap(([name, value, title]) => [el("b", { title }, name), el("div", { className: "bar", "aria-hidden": "true" }, el("i", { style: { width: percent(value / top) } })), el("span", {}, number(value))])));
  const queries = new Set(every(tree, part => part.data && (part.data.queries || part.data.query)).flatMap(part => part.data.query !== undefined ? [part.data.query] : [].concat(part.data.queries)));
  const asked = [...queries].filter(query => typeof query === "string").slice(0, 3);
  if (asked.length) box.append(el("p", { className: "meta" }, "Matched what was generated for it: ", ...asked.flatMap((query, place) => [place ? ", " : "", el("q", {}, query)])));
}
function termRow(part) {
  const data = part.data, name = data.token || (typeof data.term === "number" ? `#${data.term}` : data.term);
  if (data.impact !== undefined) return [data.in_text ? name : `${name} +`, part.value, data.in_text ? "in the text" : "not in the text: an expansion (+)"];
  const where = data.field ? data.field : `occurs ${data.tf}×`;
  return [data.tf_text === 0 ? `${name} +` : name, part.value, data.df === undefined ? where : `${where}, in ${data.df} passages`];
}
function similarityRows(tree) {
  const parts = tree.data && tree.data.alpha !== undefined ? tree.details : [];
  return parts.length > 1 ? parts.map((part, place) => [place ? "generated" : "text", part.value, part.text]) : [["similarity", tree.value, tree.text]];
}
/* The outermost parts of a tree that fit, and not what is inside of them. */
function every(tree, fits) {
  return (tree.details || []).flatMap(part => fits(part) ? [part] : every(part, fits));
}
function branch(node) {
  const line = `${number(node.value, 4)}  ${node.text}`;
  return el("ul", { className: "tree" }, el("li", {}, line, ...(node.details || []).map(branch)));
}
