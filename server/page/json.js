// JSON that loses nothing: numbers keep their spelling (1.0 is not 1, and 64 bits stay whole), keys their order.

export class Num {
  constructor(text) {
    this.text = text;
  }
}

const TOKEN = /\s*([{}[\]:,]|"(?:[^"\\]|\\.)*"|[^\s{}[\]:,"]+)/y;

/** Objects are Maps, numbers are Nums. Throws SyntaxError, with the position, where the text is no JSON. */
export function parse(text) {
  JSON.parse(text);
  TOKEN.lastIndex = 0;
  return value(text, next(text));
}

function next(text) {
  return TOKEN.exec(text)[1];
}

function value(text, token) {
  switch (token[0]) {
    case "{":
      return object(text);
    case "[":
      return list(text);
    case '"':
      return JSON.parse(token);
    case "t":
      return true;
    case "f":
      return false;
    case "n":
      return null;
    default:
      return new Num(token);
  }
}

function object(text) {
  const found = new Map();
  for (let token = next(text); token !== "}"; token = next(text)) {
    if (token === ",") continue;
    next(text); // the colon
    found.set(JSON.parse(token), value(text, next(text)));
  }
  return found;
}

function list(text) {
  const found = [];
  for (let token = next(text); token !== "]"; token = next(text)) {
    if (token !== ",") found.push(value(text, token));
  }
  return found;
}

/** What fits a line stands on one; numbers fill lines; the rest is a line each. */
export function format(value, width = 84, indent = "") {
  const line = inline(value, width - indent.length);
  if (line !== null) return line;
  const deeper = indent + "  ";
  if (value instanceof Map) {
    const lines = [...value].map(([key, inner]) => `${deeper}${JSON.stringify(key)}: ${format(inner, width, deeper)}`);
    return `{\n${lines.join(",\n")}\n${indent}}`;
  }
  if (Array.isArray(value)) {
    const items = value.map((inner) => format(inner, width, deeper));
    const plain = value.every((inner) => inner === null || inner instanceof Num || typeof inner !== "object");
    const lines = plain ? filled(items, width - deeper.length) : items;
    return `[\n${lines.map((own) => deeper + own).join(",\n")}\n${indent}]`;
  }
  return scalar(value);
}

/** The value on one line, or null where that is longer than `room`. */
function inline(value, room) {
  if (room < 2) return null;
  if (!(value instanceof Map) && !Array.isArray(value)) {
    const text = scalar(value);
    return text.length <= room ? text : null;
  }
  const isMap = value instanceof Map;
  const parts = [];
  let left = room - 2;
  for (const item of value) {
    const head = isMap ? `${JSON.stringify(item[0])}: ` : "";
    const inner = inline(isMap ? item[1] : item, left - head.length);
    if (inner === null) return null;
    parts.push(head + inner);
    left -= head.length + inner.length + 2;
  }
  return isMap ? `{${parts.join(", ")}}` : `[${parts.join(", ")}]`;
}

function filled(items, room) {
  const lines = [];
  let line = "";
  for (const item of items) {
    if (line && line.length + item.length + 2 > room) {
      lines.push(line);
      line = item;
    } else {
      line = line ? `${line}, ${item}` : item;
    }
  }
  return line ? [...lines, line] : lines;
}

function scalar(value) {
  return value instanceof Num ? value.text : JSON.stringify(value);
}
