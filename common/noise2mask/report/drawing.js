// What the viewer draws: tiles of sheets, contours, hatched areas, maps of numbers in colours.
"use strict";

// What Python says of colours, once for the page.
let SAID = null;

function readSaid() {
  SAID = JSON.parse(byId("said").textContent);
}

// Told apart by lightness and by direction of the hatching, not by colour alone; the colours are those of
// `noise2mask explain --what compare`.
const KINDS = {
  hit: { words: "in both: right" },
  missed: { words: "label only: missed", hatch: (x, y) => (x + y) % 10 < 6, between: [255, 255, 255] }, // dark on dark else
  false: { words: "mask only: false", hatch: (x, y) => (x - y + 10000) % 10 < 5 },
  wrong: { words: "another structure", hatch: (x, y) => x % 8 < 3 || y % 8 < 3 },
  unknown: { words: "not labelled", hatch: (x, y) => x % 6 < 2 && y % 6 < 2 },
};
const DIMMED = 0.55; // of the image under errors: white shows on it, too
// From dark to bright, so that it reads in grey too: matplotlib's inferno at 0, 1/6 .. 1.
const INFERNO = [[0, 0, 4], [51, 10, 95], [120, 28, 109], [187, 55, 84], [237, 105, 37], [252, 181, 25], [252, 255, 164]];

async function readSheet(uri) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return { context, width: image.width };
}

// Pixels of one tile, RGBA; of grey ones red is enough.
function tileOf(sheet, [height, width], number) {
  const columns = Math.round(sheet.width / width);
  return sheet.context.getImageData((number % columns) * width, Math.floor(number / columns) * height, width, height).data;
}

// Fill a canvas pixel by pixel: `colour(cell, x, y)` gives red, green, blue of a place; cell counts the tile's pixels.
function fill(canvas, [height, width], colour) {
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  for (let y = 0, at = 0; y < canvas.height; y++) {
    const row = Math.floor((y * height) / canvas.height) * width;
    for (let x = 0; x < canvas.width; x++, at += 4) {
      picture.data.set(colour(row + Math.floor((x * width) / canvas.width), x, y), at);
      picture.data[at + 3] = 255;
    }
  }
  context.putImageData(picture, 0, 0);
}

function at(pixels, cell) {
  return [pixels[4 * cell], pixels[4 * cell + 1], pixels[4 * cell + 2]];
}

function mixed(under, over, part) {
  return under.map((value, k) => value * (1 - part) + over[k] * part);
}

function rgb(colour) {
  return [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
}

function inferno(value) {
  const place = Math.min(value, 0.9999) * (INFERNO.length - 1);
  const below = Math.floor(place);
  return mixed(INFERNO[below], INFERNO[below + 1], place - below);
}

// The image under a map: what is high is bright and hides the image.
function drawMap(canvas, size, image, map) {
  fill(canvas, size, (cell) => {
    const value = map[4 * cell] / 255;
    return mixed(at(image, cell), inferno(value), Math.min(0.9, 2.5 * value));
  });
}

function kindOf(mask, label) {
  if (label === SAID.unlabelled) return "unknown";
  if (!mask && !label) return "";
  if (mask === label) return "hit";
  if (!mask) return "missed";
  return label ? "wrong" : "false";
}

function errorColour(name, image, x, y) {
  const under = image.map((value) => value * DIMMED);
  const kind = KINDS[name];
  if (!kind) return under;
  if (!kind.hatch) return mixed(under, SAID.errors[name], 0.8);
  if (kind.hatch(x, y)) return SAID.errors[name];
  return kind.between ? mixed(under, kind.between, 0.6) : mixed(under, SAID.errors[name], 0.25);
}

function drawErrors(canvas, size, image, mask, label) {
  fill(canvas, size, (cell, x, y) => errorColour(kindOf(mask[4 * cell], label[4 * cell]), at(image, cell), x, y));
}

// Edges between pixels of a structure and its neighbours, as lines. Dashed ones leave every other piece out; where a
// piece is one edge, each is shortened instead, so that what is one pixel wide keeps all its sides.
function contour(canvas, [height, width], numbers, structure, colour, dashed) {
  const context = canvas.getContext("2d");
  const [across, down] = [canvas.width / width, canvas.height / height];
  const piece = Math.max(1, Math.round(7 / Math.max(across, down))); // pixels of the tile in a dash
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && numbers[4 * (y * width + x)] === structure;
  const gap = (k) => dashed && piece > 1 && Math.floor(k / piece) % 2;
  const short = dashed && piece === 1 ? 0.24 : 0;
  context.beginPath();
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      if (inside(x, y) !== inside(x - 1, y) && !gap(y)) {
        context.moveTo(x * across, (y + short) * down);
        context.lineTo(x * across, (y + 1 - short) * down);
      }
      if (inside(x, y) !== inside(x, y - 1) && !gap(x)) {
        context.moveTo((x + short) * across, y * down);
        context.lineTo((x + 1 - short) * across, y * down);
      }
    }
  }
  context.lineCap = dashed ? "butt" : "round";
  for (const [style, thick] of [["#000", 5], [colour, 2.5]]) { // a dark border, so that it shows on white, too
    context.strokeStyle = style;
    context.lineWidth = thick;
    context.stroke();
  }
}

// Letters at the four edges say which side of the body lies there; `axcodes` say where rows, columns and slices run to.
const OPPOSITE = { L: "R", R: "L", P: "A", A: "P", I: "S", S: "I" };

function edgesOf(axcodes) {
  const [bottom, right] = axcodes || "";
  if (!OPPOSITE[bottom] || !OPPOSITE[right]) return null;
  return { top: OPPOSITE[bottom], bottom, left: OPPOSITE[right], right };
}

function drawEdges(canvas, { top, bottom, left, right }) {
  const context = canvas.getContext("2d");
  const [width, height, margin] = [canvas.width, canvas.height, 14];
  const places = [
    [top, width / 2, margin],
    [bottom, width / 2, height - margin],
    [left, margin, height / 2],
    [right, width - margin, height / 2],
  ];
  Object.assign(context, { font: "bold 22px sans-serif", textAlign: "center", textBaseline: "middle", lineWidth: 5 });
  Object.assign(context, { lineJoin: "round", strokeStyle: "#000", fillStyle: "#fff" });
  for (const place of places) {
    context.strokeText(...place);
    context.fillText(...place);
  }
}

// Legend

function swatch(words, paint) {
  const item = document.createElement("li");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [30, 18];
  paint(canvas);
  item.append(canvas, words);
  return item;
}

function lineSwatch(words, colour, dashed) {
  return swatch(words, (canvas) => {
    const context = canvas.getContext("2d");
    for (const [style, thick] of [["#000", 6], [colour, 3]]) {
      context.strokeStyle = style;
      context.lineWidth = thick;
      context.setLineDash(dashed ? [7, 6] : []);
      context.beginPath();
      context.moveTo(2, 9);
      context.lineTo(28, 9);
      context.stroke();
    }
  });
}

function errorSwatch(name) {
  return swatch(KINDS[name].words, (canvas) => fill(canvas, [1, 1], (cell, x, y) => errorColour(name, [70, 70, 70], x, y)));
}

function mapSwatch(words) {
  return swatch(words, (canvas) => {
    canvas.width = 160;
    fill(canvas, [1, 160], (cell) => inferno(cell / 159));
  });
}
