// The page of a lab: asks the control API once a second, and shows what has changed.
const SVG = "http://www.w3.org/2000/svg";
const PERIOD_MS = 1000;
const NEWS_KEPT = 100;

const $ = (id) => document.getElementById(id);

function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function s(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// ---- talking to the API

if (location.hash.length > 1) {
  sessionStorage.setItem("token", location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}

function headers(more = {}) {
  return { Authorization: "Bearer " + (sessionStorage.getItem("token") ?? ""), ...more };
}

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: headers(body === undefined ? {} : { "Content-Type": "application/json" }),
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await response.json();
  if (!response.ok) throw new Refused(response.status, answer.error);
  return answer;
}

const part = encodeURIComponent;

// Reads a stream of events until it ends or is aborted.
async function listen(path, signal, heard) {
  const response = await fetch(path, { headers: headers(), signal });
  if (!response.ok) throw new Refused(response.status, (await response.json()).error);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (name) => lines.find((line) => line.startsWith(name))?.slice(name.length);
      const type = field("event: ");
      if (type) heard(type, JSON.parse(field("data: ")));
    }
  }
}

function say(text, bad = false) {
  setText($("status"), text);
  $("status").classList.toggle("bad", bad);
}

async function act(what, method, path, body) {
  say(what + " …");
  try {
    const answer = await ask(method, path, body);
    say(answer.done.join("; "));
  } catch (e) {
    say(e.message, true);
  }
  await refresh();
}

// ---- numbers

const UNITS = ["", "k", "M", "G", "T"];

function scaled(value, step) {
  let unit = 0;
  while (value >= step && unit < UNITS.length - 1) {
    value /= step;
    unit++;
  }
  return (value >= 100 || unit === 0 ? value.toFixed(0) : value.toFixed(1)) + " " + UNITS[unit];
}

const bits = (bytes) => scaled(bytes * 8, 1000) + "bit/s";
const bytes = (count) => scaled(count, 1024) + (count >= 1024 ? "iB/s" : "B/s");
const perSecond = (count) => scaled(count, 1000) + "/s";

let before = new Map();
let now = new Map();
let beforeAt = 0;
let nowAt = 0;

// What a counter has grown by in a second; 0 for one that began anew.
function rate(key, value) {
  now.set(key, value);
  const last = before.get(key);
  if (last === undefined || value < last || nowAt === beforeAt) return 0;
  return ((value - last) * 1000) / (nowAt - beforeAt);
}

// ---- state

let domains = [];
let networks = [];
let rings = []; // of the chosen domain
let chosen = null; // {kind: "domain" | "network", name}
let detailOf = "";
let updates = []; // what the detail pane does at each look

function rates(domain) {
  const sum = { tx: 0, rx: 0, read: 0, write: 0, requests: 0, vifs: new Map() };
  for (const device of domain.devices) {
    const key = domain.name + "/" + device.name + "/";
    const meter = (name) => rate(key + name, device.meters[name] ?? 0);
    if (device.type === "vif") {
      const tx = meter("tx_bytes");
      const rx = meter("rx_bytes");
      sum.tx += tx;
      sum.rx += rx;
      sum.vifs.set(device.id, [tx, rx]);
    } else if (device.type === "vbd") {
      sum.read += 512 * meter("rd_sect");
      sum.write += 512 * meter("wr_sect");
      sum.requests += meter("rd_req") + meter("wr_req") + meter("f_req") + meter("ds_req");
    }
  }
  return sum;
}

// xvda of vbd/xvda
const shortName = (device) => device.name.slice(device.type.length + 1);

function stateOf(domain) {
  if (!domain.attached) return ["off", domain.guest === "java" ? "stopped" : "nobody attached"];
  if (domain.suspended) return ["warm", "suspended"];
  const wrong = domain.devices.filter((device) => device.backend_state !== "connected");
  return wrong.length === 0
    ? ["good", "running"]
    : ["warm", wrong.map((device) => device.name + " " + device.backend_state).join(", ")];
}

async function refresh() {
  let lab;
  try {
    const shown = chosen?.kind === "domain" && domains.some((each) => each.name === chosen.name);
    [lab, domains, networks, rings] = await Promise.all([
      ask("GET", "/v1/lab"),
      ask("GET", "/v1/domains"),
      ask("GET", "/v1/networks"),
      shown ? ask("GET", `/v1/domains/${part(chosen.name)}/rings`) : [],
    ]);
  } catch (e) {
    $("token-asked").hidden = e.status !== 401;
    say(e.status ? e.message : "the lab does not answer", true);
    return;
  }
  if ($("status").classList.contains("bad") && $("status").textContent === "the lab does not answer") say("");
  $("token-asked").hidden = true;
  nowAt = performance.now();
  now = new Map();
  setText($("lab"), `${lab.file}, process ${lab.pid}, up ${duration(lab.up_seconds)}`);
  document.title = "Splitring: " + lab.file.split("/").pop();
  const all = new Map(domains.map((domain) => [domain.name, rates(domain)]));
  showDomains(all);
  showTopology(all);
  showDetail();
  before = now;
  beforeAt = nowAt;
}

function duration(seconds) {
  if (seconds < 120) return seconds + " s";
  if (seconds < 7200) return Math.floor(seconds / 60) + " min";
  return Math.floor(seconds / 3600) + " h";
}

// ---- table of domains

const rows = new Map();

function showDomains(all) {
  const body = $("domains").tBodies[0];
  const filter = $("filter").value;
  for (const [name, row] of rows) {
    if (!all.has(name)) {
      row.node.remove();
      rows.delete(name);
    }
  }
  for (const domain of domains) {
    let row = rows.get(domain.name);
    if (!row) {
      row = newRow(domain);
      rows.set(domain.name, row);
      body.append(row.node);
    }
    const sum = all.get(domain.name);
    const [kind, text] = stateOf(domain);
    row.state.className = kind;
    setText(row.state, text);
    const cells = [bits(sum.tx), bits(sum.rx), bytes(sum.read), bytes(sum.write), perSecond(sum.requests)];
    cells.forEach((cell, i) => setText(row.cells[i], cell));
    row.start.disabled = domain.guest !== "java" || domain.pid != null;
    row.stop.disabled = domain.guest !== "java" || domain.pid == null;
    row.console.disabled = !domain.attached;
    row.node.hidden = filter !== "" && !domain.name.includes(filter);
  }
}

function newRow(domain) {
  const name = domain.name;
  const path = "/v1/domains/" + part(name);
  const state = h("td");
  const cells = Array.from({ length: 5 }, () => h("td", { class: "n" }));
  const start = h("button", { type: "button", "aria-label": "Start " + name,
    onclick: () => act("starting " + name, "POST", path + "/start", {}) }, "Start");
  const stop = h("button", { type: "button", "aria-label": "Stop " + name,
    onclick: () => act("stopping " + name, "POST", path + "/stop", {}) }, "Stop");
  const con = h("button", { type: "button", "aria-label": "Console of " + name,
    onclick: () => openConsole(name) }, "Console");
  const pick = h("button", { type: "button", onclick: () => choose("domain", name) }, name);
  const node = h("tr", { "data-domain": name }, h("th", { scope: "row" }, pick), h("td", {}, String(domain.domid)),
    state, ...cells, h("td", {}, start, " ", stop, " ", con));
  return { node, state, cells, start, stop, console: con };
}

// ---- topology

const ROW = 34;
const BOX = { width: 160, height: 24 };
const COLUMNS = { domain: 10, network: 340, port: 670 }; // where boxes begin
const WIDTH = COLUMNS.port + BOX.width + 10;
let drawn = "";
let nodes = new Map();
let cables = []; // {line, label, flow}: flow gives [to the right, to the left] in bytes per second

const vifs = (domain) => domain.devices.filter((device) => device.type === "vif");

// Ports to others than guests. A cable between two networks has a port at both: the first one is drawn.
function outsidePorts() {
  const found = [];
  const linked = new Set();
  for (const network of networks) {
    for (const port of network.ports) {
      const ends = [network.name, port.to].sort().join("\n");
      if (port.kind === "vif" || (port.kind === "network" && linked.has(ends))) continue;
      if (port.kind === "network") linked.add(ends);
      found.push({ network: network.name, ...port });
    }
  }
  return found;
}

function showTopology(all) {
  const outside = outsidePorts();
  const shape = JSON.stringify([
    domains.map((domain) => [domain.name, vifs(domain).map((d) => [d.id, d.backend.bridge])]),
    networks.map((network) => [network.name, network.mode]),
    outside.map((port) => [port.network, port.name, port.kind, port.to]),
  ]);
  if (shape !== drawn) {
    drawn = shape;
    drawTopology(outside);
  }
  for (const domain of domains) {
    nodes.get("domain " + domain.name).classList.toggle("off", !domain.attached);
  }
  for (const cable of cables) {
    const [right, left] = cable.flow(all);
    cable.line.setAttribute("stroke-width", String(1.5 + Math.log10(1 + (right + left) / 1000)));
    setText(cable.label, right + left > 0 ? `→ ${bits(right)} ← ${bits(left)}` : "");
  }
  for (const [key, node] of nodes) {
    node.classList.toggle("chosen", chosen !== null && key === chosen.kind + " " + chosen.name);
  }
}

// The middle of each row of a column; an item may need several rows.
function places(counts, height) {
  const rows = counts.reduce((sum, count) => sum + count, 0);
  let row = 0;
  return counts.map((count) => {
    const middle = 5 + ((row + count / 2) * (height - 10)) / rows;
    row += count;
    return middle;
  });
}

function drawTopology(outside) {
  const svg = $("topology");
  const focused = document.activeElement?.dataset?.key;
  const rows = domains.map((domain) => Math.max(1, vifs(domain).length));
  const leading = outside.filter((port) => port.kind !== "network");
  const count = Math.max(rows.reduce((sum, each) => sum + each, 0), networks.length, leading.length, 1);
  const height = count * ROW + 10;
  const width = outside.length > 0 ? WIDTH : COLUMNS.port - 160;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", String(width));
  svg.setAttribute("height", String(height));
  svg.replaceChildren();
  nodes = new Map();
  cables = [];
  const lines = s("g");
  svg.append(lines);
  const netAt = new Map();
  places(networks.map(() => 1), height).forEach((y, i) => netAt.set(networks[i].name, y));
  places(rows, height).forEach((y, i) => {
    const domain = domains[i];
    svg.append(newNode("domain", domain.name, domain.name, COLUMNS.domain, y, () => choose("domain", domain.name)));
    vifs(domain).forEach((device, v, own) => {
      const to = netAt.get(device.backend.bridge);
      if (to !== undefined) {
        const from = y + (v - (own.length - 1) / 2) * 16;
        lines.append(...cable(COLUMNS.domain + BOX.width, from, COLUMNS.network, to, `${domain.name}/${device.name}`,
          (all) => all.get(domain.name).vifs.get(device.id) ?? [0, 0]));
      }
    });
  });
  for (const network of networks) {
    svg.append(newNode("network", network.name, `${network.name} (${network.mode})`, COLUMNS.network, netAt.get(network.name),
      () => choose("network", network.name)));
  }
  places(leading.map(() => 1), height).forEach((y, i) => {
    const port = leading[i];
    svg.append(newNode("port", `${port.network}/${port.name}`, `${port.kind} ${port.to}`, COLUMNS.port, y,
      () => choose("network", port.network)));
    lines.append(...cable(COLUMNS.port, y, COLUMNS.network + BOX.width, netAt.get(port.network), `${port.network}/${port.name}`,
      () => portFlow(port)));
  });
  for (const port of outside.filter((each) => each.kind === "network" && netAt.has(each.to))) {
    lines.append(...loopCable(netAt.get(port.network), netAt.get(port.to), `${port.network}/${port.name}`, () => portFlow(port)));
  }
  if (focused) nodes.get(focused)?.focus();
}

// What passes a port of a network: out of the network, and into it.
function portFlow({ network, name }) {
  const port = networks.find((each) => each.name === network)?.ports.find((each) => each.name === name);
  const counted = (counter) => rate(`network/${network}/${name}/${counter}`, port?.counters[counter] ?? 0);
  return [counted("out_bytes"), counted("in_bytes")];
}

// A line from a box to a network, with its label beside the box.
function cable(x, y, netX, netY, key, flow) {
  const middle = (x + netX) / 2;
  const line = s("path", { class: "cable", d: `M${x} ${y} C${middle} ${y} ${middle} ${netY} ${netX} ${netY}` });
  const right = x < netX;
  return labelled(line, right ? x + 6 : x - 6, y - 4, right ? "start" : "end", key, flow);
}

// From a network to another one below or above it.
function loopCable(y, otherY, key, flow) {
  const x = COLUMNS.network + BOX.width;
  const line = s("path", { class: "cable", d: `M${x} ${y} C${x + 60} ${y} ${x + 60} ${otherY} ${x} ${otherY}` });
  return labelled(line, x + 50, (y + otherY) / 2 + 4, "start", key, flow);
}

function labelled(line, x, y, anchor, key, flow) {
  const label = s("text", { class: "faint rate", x: String(x), y: String(y), "text-anchor": anchor, "data-link": key });
  cables.push({ line, label, flow });
  return [line, label];
}

function newNode(kind, name, text, x, middle, chooses) {
  const key = kind + " " + name;
  const top = middle - BOX.height / 2;
  const node = s("g", { class: "node", tabindex: "0", role: "button", "aria-label": kind === "port" ? `${key}: ${text}` : key, "data-key": key },
    s("title", {}, text),
    s("rect", { x: String(x), y: String(top), width: String(BOX.width), height: String(BOX.height), rx: "4" }),
    s("text", { x: String(x + 8), y: String(top + 16) }, text.length > 22 ? text.slice(0, 21) + "…" : text));
  node.addEventListener("click", chooses);
  node.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      chooses();
    }
  });
  nodes.set(key, node);
  return node;
}

// ---- what is chosen

function choose(kind, name) {
  chosen = { kind, name };
  rings = [];
  detailOf = "";
  showDetail();
  for (const [key, node] of nodes) node.classList.toggle("chosen", key === kind + " " + name);
}

function showDetail() {
  if (chosen === null) return;
  const list = chosen.kind === "domain" ? domains : networks;
  const found = list.find((each) => each.name === chosen.name);
  if (!found) {
    setText($("detail-title"), chosen.name + " is gone");
    $("detail-body").replaceChildren();
    detailOf = "";
    return;
  }
  const parts = found.devices ? found.devices.map((d) => d.name) : [found.mode];
  const shape = JSON.stringify([chosen, parts]);
  if (shape !== detailOf) {
    detailOf = shape;
    updates = [];
    setText($("detail-title"), (chosen.kind === "domain" ? "Domain " : "Network ") + found.name);
    $("detail-body").replaceChildren(...(chosen.kind === "domain" ? domainParts(found) : networkParts(found)));
  }
  for (const update of updates) update(found);
}

function domainParts(domain) {
  return domain.devices.map((device) => devicePart(domain, device.name));
}

function devicePart(domain, name) {
  const device = domain.devices.find((each) => each.name === name);
  const state = h("span");
  const box = h("section", { "data-device": name }, h("h3", {}, name + " ", state));
  updates.push((current) => {
    const d = current.devices.find((each) => each.name === name);
    const fine = d.backend_state === "connected" && d.frontend_state === "connected";
    state.className = fine ? "good" : "warm";
    setText(state, fine ? "connected" : `frontend ${d.frontend_state}, backend ${d.backend_state}`);
  });
  const path = "/v1/domains/" + part(domain.name);
  box.append(ringPart(name));
  if (device.type === "vbd") {
    box.append(latencyPart(domain.name, device), diskLimits(path, device));
  } else if (device.type === "vif") {
    box.append(vifLimit(path, device));
  }
  if (device.type !== "console") {
    box.append(h("button", { type: "button", "aria-label": "Detach " + name,
      onclick: () => act("detaching " + name, "DELETE", `${path}/devices/${part(device.type)}/${part(shortName(device))}`, {}) }, "Detach"));
  }
  box.append(metersPart(domain.name, name));
  return box;
}

// Where the rings of a device stand. What a guest has put there may be anything: it is shown, and kept within its bar.
function ringPart(name) {
  const bars = h("div");
  const lines = new Map();
  const seen = () => rings.find((each) => each.name === name) ?? { answered: true, rings: [], streams: [] };
  const trouble = h("p", { class: "warm", role: "status", hidden: true }, "The loop that serves it does not answer.");
  updates.push((current) => {
    const device = current.devices.find((each) => each.name === name);
    trouble.hidden = seen().answered;
    const there = new Set(seen().rings.map((ring) => ring.name));
    for (const [key, line] of lines) {
      if (!there.has(key)) {
        line.node.remove();
        lines.delete(key);
      }
    }
    for (const ring of seen().rings) {
      let line = lines.get(ring.name);
      if (!line) {
        line = ringLine();
        lines.set(ring.name, line);
        bars.append(line.node);
      }
      const used = distance(ring.req_prod, ring.rsp_prod_pvt);
      line.fill.setAttribute("width", `${Math.min(100, (100 * used) / ring.entries)}%`);
      setText(line.text, " " + ringText(device, ring, used));
    }
  });
  const indices = table([["Ring"], ["req_prod", "n"], ["req_cons", "n"], ["req_event", "n"], ["rsp_prod", "n"], ["rsp_event", "n"],
    ["Sent", "n"], ["Received", "n"]], () => [
    ...seen().rings.map((ring) => [ring.name, ring.req_prod, ring.req_cons, ring.req_event, ring.rsp_prod, ring.rsp_event,
      ring.events_sent, ring.events_received].map(String)),
    ...seen().streams.map((stream) => [stream.name, stream.out_prod, stream.out_cons, "", stream.in_prod, "",
      stream.events_sent, stream.events_received].map(String)),
  ]);
  return h("div", {}, bars, trouble, h("details", {}, h("summary", {}, "Indices and events"), indices));
}

// How far an index is ahead of another: they wrap at 2^32.
const distance = (ahead, behind) => (ahead - behind) >>> 0;

function ringLine() {
  const fill = s("rect", { class: "fill", height: "100%", width: "0" });
  const text = h("span");
  return { fill, text, node: h("p", { class: "ring" },
    s("svg", { class: "meter", "aria-hidden": "true" }, s("rect", { class: "back", width: "100%", height: "100%" }), fill), text) };
}

function ringText(device, ring, used) {
  const waiting = distance(ring.req_prod, ring.req_cons);
  if (ring.broken || used > ring.entries) return `${ring.name}: req_prod ${ring.req_prod} cannot be`;
  if (ring.name.endsWith(" rx")) {
    return `${ring.name}: ${used} of ${ring.entries} buffers free, ${device.meters.rx_queued_packets ?? 0} frames wait for the guest`;
  }
  return `${ring.name}: ${used} of ${ring.entries} slots in use` + (waiting > 0 ? `, ${waiting} not taken` : "");
}

function latencyPart(domain, device) {
  const drawing = s("svg", { viewBox: "0 0 250 60", preserveAspectRatio: "none", role: "img" });
  const caption = h("p", { class: "hint" }, "No requests yet.");
  let busy = false;
  updates.push(async () => {
    if (busy) return;
    busy = true;
    try {
      const detail = await ask("GET", `/v1/domains/${part(domain)}/devices/vbd/${device.id}`);
      drawLatency(drawing, caption, detail.latency);
    } catch (e) {
      setText(caption, e.message);
    } finally {
      busy = false;
    }
  });
  return h("div", {}, h("div", { class: "bars" }, drawing), caption);
}

function drawLatency(drawing, caption, latency) {
  const buckets = [];
  let bounds = [];
  for (const { below_seconds, counts } of Object.values(latency)) {
    bounds = below_seconds;
    counts.forEach((count, i) => {
      buckets[i] = (buckets[i] ?? 0) + count - (i > 0 ? counts[i - 1] : 0);
    });
  }
  const total = buckets.reduce((sum, count) => sum + count, 0);
  if (total === 0) return;
  const most = Math.max(...buckets);
  const width = 250 / buckets.length;
  drawing.replaceChildren(...buckets.map((count, i) => {
    const height = (58 * count) / most;
    return s("rect", { x: String(i * width), y: String(60 - height), width: String(width - 1), height: String(height) });
  }));
  const quantile = (part) => {
    let sum = 0;
    return bounds[buckets.findIndex((count) => (sum += count) >= part * total)];
  };
  const text = `Time from ring to answer, ${total} requests, 1 µs to 8.6 s doubling: half below ${time(quantile(0.5))}, 99 % below ${time(quantile(0.99))}`;
  setText(caption, text);
  drawing.setAttribute("aria-label", text);
}

function time(seconds) {
  if (seconds === "+Inf") return "more than 8.6 s";
  const value = Number(seconds);
  if (value < 1e-3) return (value * 1e6).toFixed(0) + " µs";
  return value < 1 ? (value * 1e3).toFixed(1) + " ms" : value.toFixed(1) + " s";
}

function diskLimits(path, device) {
  const bps = h("input", { size: "8", placeholder: "20MiB", "aria-label": "bytes per second of " + device.name });
  const iops = h("input", { size: "6", placeholder: "500", "aria-label": "operations per second of " + device.name });
  return h("form", { class: "inline", onsubmit: (event) => {
    event.preventDefault();
    act("limiting " + device.name, "PATCH", `${path}/disks/${part(shortName(device))}`, { limits: { bps: bps.value, iops: iops.value } });
  } }, h("label", {}, "Bytes/s ", bps), h("label", {}, "Operations/s ", iops), h("button", { type: "submit" }, "Limit"));
}

function vifLimit(path, device) {
  const limit = h("input", { size: "10", placeholder: "100Mb/s", "aria-label": "rate of " + device.name });
  return h("form", { class: "inline", onsubmit: (event) => {
    event.preventDefault();
    act("limiting " + device.name, "PATCH", `${path}/vifs/${device.id}`, { rate: limit.value });
  } }, h("label", {}, "Rate ", limit), h("button", { type: "submit" }, "Limit"));
}

function metersPart(domain, name) {
  const body = h("tbody");
  const cells = new Map();
  updates.push((current) => {
    const d = current.devices.find((each) => each.name === name);
    for (const [key, value] of Object.entries(d.meters)) {
      let row = cells.get(key);
      if (!row) {
        row = { value: h("td", { class: "n" }), rate: h("td", { class: "n" }) };
        cells.set(key, row);
        body.append(h("tr", {}, h("th", { scope: "row" }, key), row.value, row.rate));
      }
      setText(row.value, String(value));
      const key2 = domain + "/" + name + "/meter/" + key;
      setText(row.rate, perSecond(rate(key2, value)));
    }
  });
  return h("details", {}, h("summary", {}, "Counters"),
    h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Meter"), h("th", { scope: "col", class: "n" }, "Value"),
      h("th", { scope: "col", class: "n" }, "Change"))), body));
}

function table(columns, source) {
  const body = h("tbody");
  updates.push((current) => {
    const lines = source(current);
    while (body.rows.length > lines.length) body.deleteRow(-1);
    lines.forEach((line, i) => {
      const row = body.rows[i] ?? body.insertRow();
      line.forEach((text, c) => {
        const cell = row.cells[c] ?? row.insertCell();
        cell.className = columns[c][1] ?? "";
        setText(cell, text);
      });
    });
  });
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {},
    ...columns.map(([text, kind]) => h("th", { scope: "col", class: kind ?? "" }, text)))), body));
}

function networkParts(network) {
  const key = (port, counter) => `network/${network.name}/${port.name}/${counter}`;
  const counted = (port, counter) => rate(key(port, counter), port.counters[counter] ?? 0);
  const dropped = (port) => Object.entries(port.counters)
    .filter(([name]) => name.includes("_dropped_"))
    .map(([name, count]) => `${name.replace("_dropped_", " ")} ${count}`).join(", ");
  const parts = [
    h("p", {}, `${network.mode}, MTU ${network.mtu}, ${network.subnets.join(" ") || "no subnet"}`
      + (network.gateways.length ? `, gateway ${network.gateways.join(" ")}` : "")),
    h("h3", {}, "Ports"),
    table([["Port"], ["To", "wrap"], ["In", "n"], ["Out", "n"], ["Frames in", "n"], ["Frames out", "n"], ["Dropped", "wrap"]], (current) =>
      current.ports.map((port) => [port.name, `${port.kind} ${port.to}`, bits(counted(port, "in_bytes")), bits(counted(port, "out_bytes")),
        perSecond(counted(port, "in_frames")), perSecond(counted(port, "out_frames")), dropped(port)])),
  ];
  if (network.mode === "bridge") {
    parts.push(h("h3", {}, "Learned addresses"),
      table([["MAC"], ["VLAN", "n"], ["Port"], ["Seen", "n"]], (current) =>
        current.addresses.map((each) => [each.mac, String(each.vlan), each.port, each.fixed ? "fixed" : each.age_seconds + " s ago"])));
  }
  return parts;
}

// ---- console

let viewer = null;

async function openConsole(name) {
  const output = $("console-output");
  output.textContent = "";
  setText($("console-title"), "Console of " + name);
  $("console").showModal();
  $("console-line").focus();
  const abort = new AbortController();
  const own = { abort, domain: name, session: "" };
  viewer = own;
  const decoder = new TextDecoder();
  try {
    await listen(`/v1/domains/${part(name)}/console`, abort.signal, (type, data) => {
      if (type === "session") own.session = data.session;
      if (type !== "output") return;
      const raw = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
      show(output, decoder.decode(raw, { stream: true }));
    });
  } catch (e) {
    if (!abort.signal.aborted) show(output, "\n" + e.message + "\n");
  }
}

// Plain text, with what a terminal does at the end of a line: escape sequences are left out.
function show(output, text) {
  const plain = text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "").replaceAll("\r", "");
  let all = output.textContent;
  for (const c of plain) all = c === "\b" ? all.slice(0, -1) : all + c;
  output.textContent = all.slice(-64000);
  output.scrollTop = output.scrollHeight;
}

$("console-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (viewer === null || viewer.session === "") return;
  const keys = $("console-line").value + "\n";
  $("console-line").value = "";
  try {
    await ask("POST", `/v1/domains/${part(viewer.domain)}/console/${part(viewer.session)}`, { keys });
  } catch (e) {
    show($("console-output"), "\n" + e.message + "\n");
  }
});

$("console-close").addEventListener("click", () => $("console").close());
$("console").addEventListener("close", () => {
  viewer?.abort.abort();
  viewer = null;
});

// ---- events, and the clock

function news(text) {
  const item = h("li", {}, new Date().toLocaleTimeString() + "  " + text);
  $("news").prepend(item);
  while ($("news").children.length > NEWS_KEPT) $("news").lastElementChild.remove();
}

async function followEvents() {
  for (;;) {
    try {
      await listen("/v1/events", undefined, (type, data) => {
        if (type === "news") news(data.text);
        if (type === "device") {
          const domain = domains.find((each) => each.domid === data.domid);
          const device = domain?.devices.find((each) => each.type === data.type && each.id === data.id);
          news(`${domain?.name ?? "domain " + data.domid}: ${device?.name ?? data.type + "/" + data.id} is ${data.backend_state}`);
        }
        if (type === "missed") news(`${data.events} events were missed`);
      });
    } catch (e) {
      // the next look says what is wrong
    }
    await new Promise((resolve) => setTimeout(resolve, 2 * PERIOD_MS));
  }
}

$("reload").addEventListener("click", () => act("reloading", "POST", "/v1/reload", {}));
$("filter").addEventListener("input", () => {
  for (const [name, row] of rows) row.node.hidden = !name.includes($("filter").value);
});
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value);
  refresh();
});

async function look() {
  await refresh();
  setTimeout(look, PERIOD_MS);
}

look();
followEvents();
