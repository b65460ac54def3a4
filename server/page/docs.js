// The page: reads openapi.json, shows each model and its operations, and sends what its reader edits.
//
// Names of models and tensors are text nodes, never markup. Nothing here knows a protocol: paths, bodies and words come
// from the document.

import { Num, format, parse } from "./json.js";

const ROOT = new URL("../", import.meta.url); // behind whatever prefix the page was found
const UNSETTLED = new Set(["new", "loading"]);
const WORDS = { new: "not loaded", closed: "unloaded" };
const ASK_AGAIN = 2000; // ms, while a model is loading
const MOST_SHOWN = 200_000; // characters of a reply

const drafts = new Map(); // operation id → what its reader made of the example
const opened = new Map(); // operation id → whether its reader opened or closed it
let shown = ""; // the document's text

// ---- elements

function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, given] of Object.entries(attributes)) {
    if (typeof given === "function") element.addEventListener(name, given);
    else if (given !== false) element.setAttribute(name, given === true ? "" : given);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function more(title, ...children) {
  return h("details", { class: "more" }, h("summary", {}, title), ...children);
}

function pairs(entries) {
  return h("dl", {}, ...entries.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]));
}

function at(value, ...keys) {
  return keys.reduce((inner, key) => (inner instanceof Map ? inner.get(key) : undefined), value);
}

// ---- the document

async function refresh() {
  const notice = document.getElementById("notice");
  let text;
  try {
    const reply = await fetch(new URL("openapi.json", ROOT));
    if (!reply.ok) throw new Error(`the server answered ${reply.status}`);
    text = await reply.text();
    notice.hidden = true;
  } catch (error) {
    notice.textContent = `openapi.json cannot be read: ${error.message}`;
    notice.hidden = false;
    return;
  }
  const api = parse(text);
  if (text !== shown) {
    shown = text;
    keepingFocus(() => show(api));
  }
  const states = models(api).flatMap((tag) => at(tag, "x-versions").map((version) => at(version, "state")));
  if (states.some((state) => UNSETTLED.has(state))) setTimeout(refresh, ASK_AGAIN);
}

function keepingFocus(change) {
  const before = document.activeElement;
  const place = [before?.selectionStart, before?.selectionEnd];
  change();
  const after = before?.id && document.getElementById(before.id);
  if (!after || after === before) return;
  after.focus({ preventScroll: true });
  if (after instanceof HTMLTextAreaElement) after.setSelectionRange(...place);
}

function models(api) {
  return at(api, "tags").filter((tag) => tag.has("x-versions"));
}

function operationsOf(api, name) {
  const found = [];
  for (const [path, methods] of at(api, "paths")) {
    for (const [method, operation] of methods) {
      if (at(operation, "tags")[0] === name) found.push({ path, method, operation });
    }
  }
  // What people come for first: what runs the model. The order is the document's otherwise.
  return [...found.filter((own) => own.method !== "get"), ...found.filter((own) => own.method === "get")];
}

function show(api) {
  const info = at(api, "info");
  const tags = at(api, "tags");
  const title = at(info, "title");
  document.getElementById("title").textContent = title;
  document.getElementById("version").textContent = at(info, "version");
  document.title = models(api).length === 1 ? `${at(models(api)[0], "name")} · ${title}` : title;
  const known = [...models(api), ...tags.filter((tag) => !tag.has("x-versions"))];
  document.getElementById("models").replaceChildren(...known.map(link));
  document.getElementById("sections").replaceChildren(
    ...known.map((tag, position) => section(api, tag, position === 0)),
  );
}

function anchor(tag) {
  return `${tag.has("x-versions") ? "model" : "of"}-${at(tag, "name")}`;
}

/** The state of the version that most of a model's callers get: a ready one where there is one. */
function stateOf(tag) {
  const states = at(tag, "x-versions").map((version) => at(version, "state"));
  return states.includes("ready") ? "ready" : states.at(-1);
}

function link(tag) {
  const state = tag.has("x-versions") ? stateOf(tag) : "none";
  const dot = h("span", { class: `dot ${state}`, role: "img", "aria-label": WORDS[state] ?? state });
  return h("li", {}, h("a", { href: `#${encodeURIComponent(anchor(tag))}` }, dot, h("span", {}, at(tag, "name"))));
}

function section(api, tag, first) {
  const name = at(tag, "name");
  const versions = tag.has("x-versions") ? at(tag, "x-versions") : [];
  const operations = operationsOf(api, name).map((own, position) => operation(api, own, first && position === 0));
  return h(
    "section",
    { id: anchor(tag) },
    versions.length === 1 ? heading(name, versions[0]) : h("h2", {}, name),
    ...versions.flatMap((version) => [
      versions.length > 1 ? h("h3", {}, ...labels(version)) : null,
      at(version, "reason") === null ? null : h("p", { class: "reason" }, at(version, "reason")),
      tensors(version),
    ]),
    ...operations,
  );
}

function heading(name, version) {
  return h("h2", {}, name, ...labels(version));
}

function labels(version) {
  const state = at(version, "state");
  return [
    h("span", { class: "version" }, `version ${at(version, "version")}`),
    " ",
    h("span", { class: `badge ${state}` }, WORDS[state] ?? state),
  ];
}

function tensors(version) {
  const rows = ["input", "output"].flatMap((kind) => at(version, `${kind}s`).map((own) => row(kind, own)));
  const unknown = !at(version, "inputs").length;
  const hint = "Its inputs are not declared; a schema in the graph file would say what they are.";
  const note = unknown ? h("p", { class: "quiet" }, hint) : null;
  if (!rows.length) return note;
  const head = ["", "Name", "Datatype", "Shape"].map((text) => h("th", { scope: "col" }, text));
  const table = h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows));
  return h("div", { class: "scroll" }, note, table);
}

function row(kind, tensor) {
  const dims = at(tensor, "dims").map((dim) => (dim instanceof Num ? dim.text : dim));
  return h(
    "tr",
    {},
    h("td", { class: "quiet" }, at(tensor, "optional") ? `optional ${kind}` : kind),
    h("th", { scope: "row" }, h("code", {}, at(tensor, "name"))),
    h("td", {}, h("code", {}, at(tensor, "datatype"))),
    h("td", {}, h("code", {}, `[${dims.map((dim) => (dim === "-1" ? "any" : dim)).join(", ")}]`)),
  );
}

// ---- an operation

function operation(api, own, first) {
  const id = at(own.operation, "operationId");
  const details = h(
    "details",
    { class: "operation", open: opened.get(id) ?? first },
    h(
      "summary",
      { id: `operation-${id}` },
      h("span", { class: `method ${own.method}` }, own.method.toUpperCase()),
      h("code", {}, decodeURI(own.path)),
      h("span", {}, at(own.operation, "summary")),
    ),
  );
  let built = false;
  const build = () => {
    if (details.open && !built) {
      built = true;
      details.append(inside(api, own, id));
    }
  };
  details.addEventListener("toggle", () => {
    opened.set(id, details.open);
    build();
  });
  build();
  return details;
}

function inside(api, { path, method, operation }, id) {
  const json = at(operation, "requestBody", "content", "application/json");
  // A body that may be left out says nothing where it is empty.
  const least = at(operation, "requestBody", "required") === true ? "" : "{}";
  const example = json?.has("example") ? format(json.get("example")) : least;
  const places = placesOf(operation, id, () => changed());
  const url = () =>
    new URL(places.reduce((whole, own) => whole.replace(`{${own.name}}`, encodeURIComponent(own.value)), path.slice(1)), ROOT).href;
  const answer = h("div", { class: "answer", role: "status" });
  const line = h("pre", {});
  const field = json
    ? h("textarea", { id: `body-${id}`, spellcheck: "false", autocapitalize: "off", autocomplete: "off" })
    : null;
  const call = () => ({ url: url(), method: method.toUpperCase(), body: field?.value ?? null });
  const changed = () => {
    line.textContent = curl(call());
    if (!field) return;
    if (field.value === example) drafts.delete(id);
    else drafts.set(id, field.value);
    field.rows = Math.min(24, Math.max(2, field.value.split("\n").length));
  };
  if (field) {
    if (!example) field.placeholder = "Too large to write an example of; send it in binary.";
    field.value = drafts.get(id) ?? example;
    field.addEventListener("input", changed);
  }
  const send = h("button", { type: "button", class: "first", id: `send-${id}` }, "Send");
  const sender = sending(send, call, answer);
  send.addEventListener("click", sender);
  const copy = h("button", { type: "button", id: `copy-${id}` }, "Copy as curl");
  copy.addEventListener("click", () => copied(copy, line));
  const reset = h("button", { type: "button", id: `reset-${id}` }, "Reset");
  reset.addEventListener("click", () => {
    field.value = example;
    changed();
    field.focus();
  });
  field?.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) sender();
  });
  changed();
  return h(
    "div",
    { class: "inside" },
    operation.has("description") ? h("p", { class: "quiet" }, operation.get("description")) : null,
    ...places.flatMap((own) => [h("label", { for: own.id }, own.name), own]),
    field ? h("label", { for: field.id }, "Body, application/json") : null,
    field,
    h("div", { class: "actions" }, send, copy, ...(field ? [reset, h("kbd", {}, "Ctrl+Enter sends")] : [])),
    line,
    answer,
    more("Replies", pairs(replies(api, operation))),
    json ? more("Schema of the body", h("pre", { tabindex: "0" }, format(json.get("schema")))) : null,
  );
}

/** A field for each part of the path that its caller chooses. */
function placesOf(operation, id, changed) {
  const names = at(operation, "parameters").filter((own) => own.get("in") === "path");
  return names.map((own) => {
    const name = at(own, "name");
    const field = h("input", { id: `${name}-${id}`, name, type: "text", spellcheck: "false", autocomplete: "off" });
    field.value = drafts.get(field.id) ?? "";
    field.addEventListener("input", () => {
      drafts.set(field.id, field.value);
      changed();
    });
    return field;
  });
}

function replies(api, operation) {
  return [...at(operation, "responses")].map(([status, reply]) => [status, at(resolved(api, reply), "description")]);
}

function resolved(api, value) {
  const path = at(value, "$ref");
  return path ? at(api, ...path.slice(2).split("/")) : value;
}

function curl({ url, method, body }) {
  const words = ["curl", ...(method === "GET" ? [] : ["-X", method]), quoted(url)];
  if (body !== null) words.push("-H", quoted("content-type: application/json"), "-d", quoted(compact(body)));
  return words.join(" ");
}

function compact(text) {
  try {
    return format(parse(text), Infinity);
  } catch {
    return text;
  }
}

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

async function copied(button, line) {
  try {
    await navigator.clipboard.writeText(line.textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy as curl"), 1500);
  } catch {
    // Without TLS a browser has no clipboard for us: the line is marked, and one key away.
    getSelection().selectAllChildren(line);
    button.textContent = "Marked; press Ctrl+C";
  }
}

// ---- a reply

/** What the button does: sends, and while it waits, gives up. */
function sending(button, call, answer) {
  let current = null;
  return async () => {
    if (current) {
      current.abort();
      return;
    }
    current = new AbortController();
    button.textContent = "Cancel";
    const { url, method, body } = call();
    const headers = body === null ? {} : { "content-type": "application/json" };
    const start = performance.now();
    try {
      const reply = await fetch(url, { method, headers, body, signal: current.signal, cache: "no-store" });
      const bytes = await reply.arrayBuffer();
      answer.replaceChildren(...answered(reply, bytes, performance.now() - start));
    } catch (error) {
      const text = error.name === "AbortError" ? "Cancelled" : `No reply: ${error.message}`;
      answer.replaceChildren(h("p", { class: "status bad" }, h("strong", {}, text)));
    } finally {
      current = null;
      button.textContent = "Send";
    }
  };
}

function answered(reply, bytes, milliseconds) {
  const facts = ` ${milliseconds.toFixed(1)} ms, ${bytes.byteLength.toLocaleString("en")} bytes`;
  const status = `${reply.status} ${reply.statusText}`.trim();
  return [
    h("p", { class: `status ${reply.ok ? "good" : "bad"}` }, h("strong", {}, status), h("span", {}, facts)),
    h("pre", { tabindex: "0", "aria-label": "Body of the reply" }, readable(reply, bytes)),
    more("Headers of the reply", pairs([...reply.headers])),
  ];
}

function readable(reply, bytes) {
  const type = reply.headers.get("content-type") ?? "";
  if (!/json|text/.test(type)) {
    // A binary reply begins with JSON where a header says how much of it there is.
    const head = [...reply.headers].find(([name]) => name.endsWith("header-content-length"));
    const length = head ? Number(head[1]) : 0;
    const json = length ? `${readableJson(decoded(bytes.slice(0, length)))}\n` : "";
    return `${json}… ${(bytes.byteLength - length).toLocaleString("en")} bytes of ${type || "unknown type"}`;
  }
  const text = decoded(bytes);
  return type.includes("json") ? readableJson(text) : cut(text);
}

function decoded(bytes) {
  return new TextDecoder().decode(bytes);
}

function readableJson(text) {
  if (text.length > MOST_SHOWN) return cut(text);
  try {
    return format(parse(text));
  } catch {
    return text;
  }
}

function cut(text) {
  if (text.length <= MOST_SHOWN) return text;
  return `${text.slice(0, MOST_SHOWN)}\n… and ${(text.length - MOST_SHOWN).toLocaleString("en")} characters more`;
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
refresh();
