"use strict";
// The page speaks two languages; class names stay as they are.
const WORDS = {
  en: {
    other: "中文", title: "What is in this image?", drop: "Drop an image here, or paste one.", choose: "Choose an image", camera: "Camera",
    take: "Take the picture", cancel: "Cancel", seen: "What it looked at", strength: "Heat", method: "Method", classes: "What it says",
    pick: "Select a class to see what speaks for it.", depths: "What would a shallower network have said?",
    depthsnote: "Networks of this run by depth, with their accuracy on the decision images. Filled: the one that was chosen.",
    depth: "Depth", accuracy: "Accuracy", says: "Says", routes: "Routes for programs", whose: "Heat for",
    about: (m) => `${m.classes.length} classes, ${m.depth} layers deep` + (m.test === null ? "" : `, ${percent(m.test)} right on test images`),
    gradcam: "Grad-CAM", "integrated-gradients": "Integrated gradients", occlusion: "Occlusion (slow)", offline: "The server does not answer; is it still running?",
    nocamera: "The camera can't be used:", curve: "Accuracy against depth",
  },
  zh: {
    other: "English", title: "这张图片是什么？", drop: "把图片拖到这里，或直接粘贴。", choose: "选择图片", camera: "摄像头",
    take: "拍照", cancel: "取消", seen: "模型看了哪里", strength: "热力图", method: "方法", classes: "模型的回答",
    pick: "点选一个类别，查看支持它的区域。", depths: "更浅的网络会怎么回答？",
    depthsnote: "本次运行中不同深度的网络及其准确率。实心点为最终选中的网络。",
    depth: "深度", accuracy: "准确率", says: "回答", routes: "程序接口", whose: "热力图所支持的类别：",
    about: (m) => `${m.classes.length} 个类别，${m.depth} 层` + (m.test === null ? "" : `，测试准确率 ${percent(m.test)}`),
    gradcam: "Grad-CAM", "integrated-gradients": "积分梯度", occlusion: "遮挡法（较慢）", offline: "服务器没有响应，它还在运行吗？",
    nocamera: "无法使用摄像头：", curve: "准确率与深度",
  },
};
const $ = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)}%`;
let language = (new URLSearchParams(location.search).get("lang") || navigator.language).startsWith("zh") ? "zh" : "en";
let model = null, image = null, answer = null, said = [], shown = null, film = null, turn = 0;

function speak() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const each of document.querySelectorAll("[data-word]")) each.textContent = WORDS[language][each.dataset.word];
  $("language").textContent = WORDS[language].other;
  $("curve").setAttribute("aria-label", WORDS[language].curve);
  if (!model) return;
  $("about").textContent = WORDS[language].about(model);
  $("method").replaceChildren(...model.methods.map((name) => new Option(WORDS[language][name] || name, name, false, name === $("method").value)));
  if (answer) { drawBars(); drawDepths(); tellWhose(); }
}

async function ask(path, body) {
  let response;
  try {
    response = await fetch(path, body ? { method: "POST", body, headers: { "Content-Type": "application/octet-stream" } } : {});
  } catch {
    throw new Error(WORDS[language].offline);
  }
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    throw new Error(typeof told.detail === "string" ? told.detail : `${response.status} ${response.statusText}`);
  }
  return response;
}

function complain(error) {
  $("error").textContent = error ? error.message : "";
  $("error").hidden = !error;
}

async function look(file) {
  const mine = ++turn;
  complain(null);
  try {
    const found = (await (await ask("predict?top=5", file)).json()).predictions[0];
    if (mine !== turn) return;
    [image, answer, shown, said] = [file, found, found.label, []];
    URL.revokeObjectURL($("picture").src);
    $("picture").src = URL.createObjectURL(file);
    $("picture").alt = file.name || "";
    $("answer").hidden = false;
    drawBars();
    drawDepths();
    const others = model && model.rungs.length > 1 ? ask("depths", file).then((r) => r.json()) : null;
    await drawHeat();
    if (others && mine === turn) { said = (await others).depths; drawDepths(); }
  } catch (error) {
    if (mine === turn) { complain(error); $("answer").hidden = true; answer = null; }
  }
}

function drawBars() {
  $("label").textContent = `${answer.label} ${percent(answer.probabilities[0])}`;
  $("bars").replaceChildren(...answer.classes.map((name, at) => {
    const item = document.createElement("li"), button = document.createElement("button");
    const [word, share, bar] = ["span", "span", "progress"].map((kind) => document.createElement(kind));
    button.type = "button";
    button.setAttribute("aria-pressed", String(name === shown));
    [word.className, word.textContent, share.className, share.textContent] = ["name", name, "share", percent(answer.probabilities[at])];
    bar.max = 1;
    bar.value = answer.probabilities[at];
    bar.setAttribute("aria-hidden", "true");
    button.append(word, share, bar);
    button.addEventListener("click", () => { shown = name; for (const b of $("bars").querySelectorAll("button")) b.setAttribute("aria-pressed", String(b === button)); drawHeat().catch(complain); });
    item.append(button);
    return item;
  }));
}

async function drawHeat() {
  const mine = turn, wanted = shown, method = $("method").value;
  const query = new URLSearchParams({ view: "heat", class: wanted, method });
  const content = await (await ask(`explain?${query}`, image)).blob();
  if (mine !== turn || wanted !== shown || method !== $("method").value) return;
  URL.revokeObjectURL($("heat").src);
  $("heat").src = URL.createObjectURL(content);
  $("heat").hidden = false;
  $("heat").style.opacity = $("strength").value / 100;
  tellWhose();
}

function tellWhose() { $("whose").textContent = `${WORDS[language].whose} ${shown}`; }

function drawDepths() {
  $("depths").hidden = !model || model.rungs.length < 2;
  if ($("depths").hidden) return;
  const rungs = model.rungs, words = new Map(said.map((s) => [s.name, s]));
  const depths = rungs.map((r) => Math.log(r.depth)), values = rungs.map((r) => r.accuracy);
  const low = Math.min(...values), high = Math.max(...values), room = Math.max(high - low, 0.01);
  const x = (r) => 50 + 540 * (depths.length < 2 ? 0.5 : (Math.log(r.depth) - Math.min(...depths)) / Math.max(Math.max(...depths) - Math.min(...depths), 1e-9));
  const y = (r) => 170 - 120 * (r.accuracy - low) / room;
  const parts = [draw("line", { class: "axis", x1: 30, y1: 200, x2: 620, y2: 200 }), draw("polyline", { points: rungs.map((r) => `${x(r)},${y(r)}`).join(" ") })];
  for (const rung of rungs) {
    const word = words.get(rung.name), differs = word && word.label !== answer.label;
    parts.push(draw("circle", { cx: x(rung), cy: y(rung), r: 8, class: [rung.chosen ? "chosen" : "", differs ? "differs" : ""].join(" ") }));
    parts.push(draw("text", { x: x(rung), y: 220, "text-anchor": "middle" }, `${rung.depth}`));
    parts.push(draw("text", { x: x(rung), y: y(rung) - 16, "text-anchor": "middle" }, word ? word.label.slice(0, 18) : percent(rung.accuracy)));
  }
  $("curve").replaceChildren(...parts);
  $("said").replaceChildren(...rungs.map((rung) => {
    const row = document.createElement("tr"), word = words.get(rung.name);
    const cells = [`${rung.depth}`, percent(rung.accuracy), word ? `${word.label} ${percent(word.probability)}` : "…"].map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    });
    cells[1].className = "n";
    if (word && answer && word.label !== answer.label) cells[2].className = "differs";
    if (rung.chosen) row.className = "chosen";
    row.append(...cells);
    return row;
  }));
}

function draw(kind, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

async function openCamera() {
  complain(null);
  try {
    film = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    $("video").srcObject = film;
    $("film").hidden = false;
    $("take").focus();
  } catch (error) {
    complain(new Error(`${WORDS[language].nocamera} ${error.message}`));
  }
}

function closeCamera() {
  for (const track of film ? film.getTracks() : []) track.stop();
  film = null;
  $("film").hidden = true;
}

function takePicture() {
  const canvas = document.createElement("canvas"), video = $("video");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((taken) => { closeCamera(); look(taken); }, "image/jpeg", 0.95);
}

$("language").addEventListener("click", () => { language = language === "en" ? "zh" : "en"; speak(); });
$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => { if ($("file").files.length) look($("file").files[0]); $("file").value = ""; });
$("camera").hidden = !(navigator.mediaDevices && navigator.mediaDevices.getUserMedia);
$("camera").addEventListener("click", openCamera);
$("take").addEventListener("click", takePicture);
$("leave").addEventListener("click", closeCamera);
$("strength").addEventListener("input", () => { $("heat").style.opacity = $("strength").value / 100; });
$("method").addEventListener("change", () => drawHeat().catch(complain));
for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files.length) look(event.dataTransfer.files[0]); });
document.addEventListener("paste", (event) => { const file = [...event.clipboardData.files][0]; if (file) look(file); });
speak();
ask("model").then((r) => r.json()).then((found) => { model = found; speak(); }).catch(complain);
