// The viewer of one case. Its pictures are decoded when it is opened, so that the page itself opens at once.
"use strict";

const LONGEST = 512; // pixels of a canvas
const VIEWS = [
  ["contours", "outlines"],
  ["errors", "errors", "label"],
  ["probability", "probability"],
  ["std", "standard deviation"],
  ["entropy", "entropy"],
  ["sample", "one sample", "samples"],
  ["step", "from noise to mask", "noisy"],
  ["none", "image alone"],
];
const SCALES = {
  probability: "probability: 0 (left) to 1",
  std: "standard deviation over the samples: 0 (left) to 0.5",
  entropy: "entropy: 0 (left) to the largest that there can be",
};

let table = null;
let current = null; // the open case: its JSON, and what of it has been decoded
let view = "contours"; // stays from case to case

function startViewer(ofCases) {
  readSaid();
  table = ofCases;
  table.tBodies[0].addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row) open(row);
  });
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => byId("viewer").close());
  byId("viewer").addEventListener("close", leave);
  byId("viewer").addEventListener("keydown", keys);
  for (const name of ["slice", "sample", "step"]) byId(name).addEventListener("input", () => moved(name));
}

// Rows as they stand, without those that the search has hidden.
function shownRows() {
  return rowsOf(table).filter((row) => !row.hidden);
}

function rowOf(number) {
  return table.tBodies[0].querySelector(`tr[data-case="${number}"]`);
}

function step(by) {
  const rows = shownRows();
  const row = rows[rows.indexOf(rowOf(current.number)) + by];
  if (row) open(row);
}

// Arrows turn pages, but where they move a slider or choose a view.
function keys(event) {
  if (event.target.matches("input") || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
}

function leave() {
  rowOf(current.number).querySelector(".open").focus();
  current = null;
}

async function open(row) {
  const number = row.dataset.case;
  const content = JSON.parse(byId(`case-${number}`).textContent);
  const own = { ...content, number, sheets: {} };
  current = own;
  describe(own, row);
  if (!byId("viewer").open) byId("viewer").showModal();
  if (!own.layers) return;
  prepare(own.layers);
  const uris = Object.entries(own.layers.sheets);
  const sheets = await Promise.all(uris.map(([, uri]) => readSheet(uri)));
  if (current !== own) return; // another one was opened meanwhile
  uris.forEach(([name], k) => { own.sheets[name] = sheets[k]; });
  draw();
}

function describe(own, row) {
  const rows = shownRows();
  const place = rows.indexOf(row);
  byId("viewer-title").textContent = own.name;
  byId("viewer-place").textContent = `${place + 1} of ${rows.length}${own.patient ? `, ${own.unit} ${own.patient}` : ""}`;
  byId("previous").disabled = place <= 0;
  byId("next").disabled = place >= rows.length - 1;
  byId("viewer-path").textContent = own.path;
  byId("viewer-notes").replaceChildren(...own.notes.map((note) => element("li", note)));
  byId("viewer-missing").hidden = !own.missing;
  byId("viewer-missing").textContent = own.missing;
  byId("viewer-pictures").hidden = !own.layers;
  byId("viewer-numbers").replaceChildren(numbers(own.details));
}

function element(name, words = "") {
  const made = document.createElement(name);
  made.textContent = words;
  return made;
}

function numbers({ head, rows }) {
  const made = document.createElement("table");
  if (head.length) made.createTHead().insertRow().append(...head.map((words) => element("th", words)));
  const body = made.createTBody();
  for (const [title, ...values] of rows) {
    body.insertRow().append(element("th", title), ...values.map((words) => element("td", words)));
  }
  return made;
}

// Sliders and views of what this case has.
function prepare(layers) {
  const depth = layers.slices ? layers.slices.length : 1;
  slider("slice", depth, layers.start);
  slider("sample", layers.samples, 0);
  slider("step", layers.sheets.noisy ? layers.timesteps.length : 0, 0);
  byId("slice-label").hidden = depth < 2;
  byId("slice-some").hidden = !withGaps(layers.slices || []);
  const there = VIEWS.filter(([, , needed]) => !needed || layers.sheets[needed]);
  if (!there.some(([name]) => name === view)) view = "contours";
  byId("views").replaceChildren(element("legend", "Show"), ...there.map(([name, words]) => choice(name, words)));
  const [height, width] = [0, 1].map((k) => layers.size[k] * layers.spacing[k]);
  for (const canvas of [byId("left"), byId("right")]) {
    canvas.width = Math.max(1, Math.round((LONGEST * width) / Math.max(width, height)));
    canvas.height = Math.max(1, Math.round((LONGEST * height) / Math.max(width, height)));
  }
}

function slider(name, count, value) {
  byId(name).max = Math.max(0, count - 1);
  byId(name).value = value;
  byId(`${name}-label`).hidden = count < 1;
}

function choice(name, words) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  Object.assign(input, { type: "radio", name: "view", value: name, checked: name === view });
  input.addEventListener("change", () => { view = name; draw(); });
  label.append(input, ` ${words}`);
  return label;
}

// Whoever moves a slider wants to see what it moves.
function moved(name) {
  if (name !== "slice") {
    view = name;
    document.querySelector(`input[name="view"][value="${name}"]`).checked = true;
  }
  draw();
}

// Drawing

function tile(name, frame = 0) {
  const { layers, sheets } = current;
  const depth = layers.slices ? layers.slices.length : 1;
  return tileOf(sheets[name], layers.size, frame * depth + Number(byId("slice").value));
}

function draw() {
  if (!current || !current.sheets.image) return; // not decoded yet
  const { layers } = current;
  const [left, right] = [byId("left"), byId("right")];
  const image = tile("image");
  fill(left, layers.size, (cell) => at(image, cell));
  const words = DRAW[view](left, right, layers, image);
  const edges = edgesOf(layers.axcodes);
  if (edges) for (const canvas of [left, right]) drawEdges(canvas, edges);
  caption(left, byId("left-words"), words.left || "Image");
  caption(right, byId("right-words"), words.right);
  byId("legend").replaceChildren(...words.legend);
  tellSliders(layers);
}

function caption(canvas, line, words) {
  line.textContent = words;
  canvas.setAttribute("aria-label", `${current.name}: ${words}`);
}

function tellSliders(layers) {
  const [slice, sample, time] = ["slice", "sample", "step"].map((name) => Number(byId(name).value));
  say("slice", layers.slices ? `${slice + 1} of ${layers.slices.length} (${inFile(layers, slice)})` : "");
  say("sample", `${sample + 1} of ${layers.samples}`);
  say("step", `${time + 1} of ${layers.timesteps.length} (timestep ${layers.timesteps[time]})`);
}

function inFile({ slices, axis }, slice) {
  const whole = "xyz"[axis] ? `the file's ${"xyz"[axis]} axis` : "the volume";
  return `slice ${slices[slice]} of ${whole}, from 0`;
}

// Whether the file has slices between those that are shown.
function withGaps(slices) {
  return slices.some((number, k) => k > 0 && Math.abs(number - slices[k - 1]) > 1);
}

function say(name, words) {
  byId(`${name}-words`).textContent = words;
  byId(name).setAttribute("aria-valuetext", words);
}

// One structure without a name, or those that have names.
function structuresOf(layers) {
  return layers.structures.length ? layers.structures : [""];
}

// Outlines of numbers of structures; of a single structure the label has a colour of its own.
function outline(canvas, layers, name, frame, dashed) {
  const found = tile(name, frame);
  return structuresOf(layers).map((structure, k) => {
    const other = layers.structures.length < 2 && dashed ? 1 : 0;
    const colour = SAID.colours[(k + other) % SAID.colours.length];
    contour(canvas, layers.size, found, k + 1, colour, dashed);
    return [structure, colour, dashed];
  });
}

function outlines(canvas, layers, image, name, frame, what) {
  fill(canvas, layers.size, (cell) => at(image, cell));
  const drawn = layers.sheets.label ? outline(canvas, layers, "label", 0, true) : [];
  drawn.push(...outline(canvas, layers, name, frame, false)); // on top
  return drawn.map(([structure, colour, dashed]) =>
    lineSwatch([dashed ? "label" : what, structure].filter(Boolean).join(", "), colour, dashed));
}

function drawScale(name) {
  return (left, right, layers, image) => {
    drawMap(right, layers.size, image, tile(name));
    return { right: SCALES[name], legend: [mapSwatch(SCALES[name])] };
  };
}

const DRAW = {
  none: (left, right, layers, image) => {
    fill(right, layers.size, (cell) => at(image, cell));
    return { right: "Image", legend: [] };
  },
  contours: (left, right, layers, image) => {
    const legend = outlines(right, layers, image, "mask", 0, "mask");
    return { right: layers.sheets.label ? "Mask (solid) and label (dashed)" : "Mask", legend };
  },
  errors: (left, right, layers, image) => {
    const [mask, label] = [tile("mask"), tile("label")];
    drawErrors(right, layers.size, image, mask, label);
    const names = ["hit", "missed", "false"];
    if (layers.structures.length > 1) names.push("wrong");
    if (label.some((value, k) => k % 4 === 0 && value === SAID.unlabelled)) names.push("unknown");
    return { right: "Where mask and label differ", legend: names.map(errorSwatch) };
  },
  probability: drawScale("probability"),
  std: drawScale("std"),
  entropy: drawScale("entropy"),
  sample: (left, right, layers, image) => {
    const number = Number(byId("sample").value);
    const legend = outlines(right, layers, image, "samples", number, "sample");
    return { right: `Sample ${number + 1} of ${layers.samples}, drawn from noise of its own`, legend };
  },
  step: (left, right, layers) => {
    const number = Number(byId("step").value);
    const [noisy, clean] = [tile("noisy", number), tile("clean", number)];
    fill(left, layers.size, (cell) => at(noisy, cell));
    fill(right, layers.size, (cell) => at(clean, cell));
    const time = `step ${number + 1} of ${layers.timesteps.length}, timestep ${layers.timesteps[number]}`;
    return { left: `Noisy mask, ${time}`, right: "The mask that the network took it for", legend: [] };
  },
};
