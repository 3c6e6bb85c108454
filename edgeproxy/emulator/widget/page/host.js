// The host page's own script: lists what the browser loaded, and over which protocol.
"use strict";

const body = document.getElementById("resources");
const release = document.getElementById("release");

function cell(row, text, className) {
  const td = row.insertCell();
  td.textContent = text;
  if (className) {
    td.className = className;
  }
}

function addRow(entry) {
  const url = new URL(entry.name);
  const row = body.insertRow();
  row.dataset.protocol = entry.nextHopProtocol;
  row.dataset.path = url.pathname;
  cell(row, url.pathname);
  cell(row, entry.nextHopProtocol || "unknown");
  // nothing was transferred although there is a body: the browser's own cache answered
  cell(row, entry.transferSize === 0 && entry.decodedBodySize > 0 ? "own cache" : String(entry.transferSize), "number");
  cell(row, entry.duration.toFixed(1), "number");
}

function listResources() {
  body.replaceChildren();
  performance.getEntriesByType("navigation").forEach(addRow);
  performance.getEntriesByType("resource").forEach(addRow);
}

async function showRelease() {
  const response = await fetch("/manifest.json");
  const manifest = await response.json();
  release.textContent = `Widget release ${manifest.version}, ${manifest.files.length} files.`;
}

document.addEventListener("chat-widget:ready", () => {
  document.documentElement.dataset.widget = "ready";
  showRelease().catch(() => {
    release.textContent = "The widget is there; its manifest could not be read.";
  }).finally(listResources);
});

window.addEventListener("load", listResources);
