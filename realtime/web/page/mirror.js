"use strict";
// Shows what the station sends, newest first, and says which keys were pressed. Everything it needs is in this page.
const SILENT_MS = 600, AGAIN_MS = 1500, STILL_MS = 4000, SURE_MS = 3000, FAIR_SCORE = 50;
const KEYS = new Set(Array.from(document.querySelectorAll("[data-key]"), (button) => button.dataset.key));
KEYS.add("p");
const part = (id) => document.getElementById(id);
const canvas = part("picture"), pen = canvas.getContext("2d", { alpha: false, desynchronized: true });
const state = { pictures: 0, failures: 0, over: false, last: -Infinity, words: null }; // read by tests and for finding faults
window.posemirror = state;
let socket = null;

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/mirror${location.search}`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { state.failures = 0; state.over = false; };
  // The next picture comes only now, and is then the newest: measured, this gives the least delay where drawing is slow.
  socket.onmessage = (event) => show(event.data).catch(() => {}).finally(() => send({ seen: true }));
  socket.onclose = (event) => {
    state.over = event.code === 1001 || state.over;
    state.failures += 1;
    setTimeout(connect, AGAIN_MS);
  };
}

function send(message) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

async function show(data) {
  const length = new DataView(data).getUint32(0);
  const words = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  const image = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
  if (canvas.width !== image.width || canvas.height !== image.height) [canvas.width, canvas.height] = [image.width, image.height];
  pen.drawImage(image, 0, 0);
  image.close();
  state.pictures += 1;
  state.last = performance.now();
  say(words);
  refresh();
}

function put(id, text) {
  if (part(id).textContent !== text) part(id).textContent = text;
}

function say(words) {
  state.words = words;
  put("target", words.target);
  put("score", words.score === null ? "--" : String(words.score));
  part("score").className = words.score === null ? "" : words.score >= words.pass_score ? "good" :
    words.score >= Math.min(FAIR_SCORE, words.pass_score) ? "fair" : "poor";
  part("hold").style.strokeDasharray = `${100 * Math.min(1, words.hold)} 100`;
  put("inside", words.countdown || words.inside);
  put("say", words.hint || words.cue);
  if (part("moves").textContent !== words.moves.join("")) {
    part("moves").replaceChildren(...words.moves.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  }
  put("lines", words.lines.join(" · "));
}

// An old picture is never shown as if it were live.
function refresh() {
  const waiting = performance.now() - state.last > SILENT_MS;
  document.body.classList.toggle("waiting", waiting);
  if (!waiting) return;
  const open = socket && socket.readyState === WebSocket.OPEN;
  put("notice", open ? "Waiting for the picture" : state.over ? "The session is over" :
    state.failures > 3 ? "No connection: open the address that run_live.py printed" : "Connection lost: trying again");
}

function press(key) {
  send({ key });
}

let stillTimer = 0, sureTimer = 0;
function moved() {
  document.body.classList.remove("still");
  clearTimeout(stillTimer);
  stillTimer = setTimeout(() => document.body.classList.add("still"), STILL_MS);
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen().catch(() => {});
}

// It ends the session for everybody, and a finger can slip: button and key ask once more.
function leave() {
  const button = part("leave"), sure = button.classList.contains("sure");
  clearTimeout(sureTimer);
  if (sure) press("q");
  else sureTimer = setTimeout(unsure, SURE_MS);
  button.classList.toggle("sure", !sure);
  button.textContent = sure ? "Leave" : "Leave?";
}

function unsure() {
  part("leave").classList.remove("sure");
  part("leave").textContent = "Leave";
}

for (const name of ["pointermove", "pointerdown", "keydown", "focusin"]) addEventListener(name, moved);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key.toLowerCase();
  if (key === " " && document.activeElement !== document.body) return; // presses the button in focus
  if (key === "f") fullScreen();
  else if (key === "q") { if (!event.repeat) leave(); } // a key held down does not answer its own question
  else if (KEYS.has(key)) press(key);
  else return;
  event.preventDefault();
});
part("keys").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.key) press(button.dataset.key);
  else if (button.id === "full") fullScreen();
  else leave();
  if (event.detail > 0) button.blur(); // not when the keyboard pressed it
});
part("stage").addEventListener("dblclick", fullScreen);
document.addEventListener("visibilitychange", stayAwake);

function stayAwake() {
  if (document.visibilityState === "visible" && navigator.wakeLock) navigator.wakeLock.request("screen").catch(() => {});
}

setInterval(refresh, SILENT_MS / 3);
moved();
stayAwake();
connect();
