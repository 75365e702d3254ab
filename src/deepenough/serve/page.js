"use strict";
// The page speaks two languages; class names stay as they are. What depends on the model or on an error is a function.
const WORDS = {
  en: {
    page: "deepenough: what is in this image?", other: "中文", title: "What is in this image?", drop: "Drop an image here, or paste one.",
    choose: "Choose an image", camera: "Camera", take: "Take the picture", cancel: "Cancel", looking: "Looking at the image…",
    seen: "What it looked at", strength: "Heat", method: "Method", gradients: "Integrated gradients", occlusion: "Occlusion (slow)",
    whose: (name) => `Heat for ${name}`, computing: (name) => `Computing the heat for ${name}…`,
    unseen: "This browser can't show images of this kind, so there is no heat over it. The answer holds all the same.",
    classes: "What it says", pick: "Select a class to see what speaks for it.",
    depths: "What would a shallower network have said?", depth: "Depth", accuracy: "Accuracy", says: "Says", curve: "Accuracy against depth",
    unfinished: "unfinished", routes: "Routes for programs",
    about: (m) => `${m.classes.length} classes, ${m.depth} layers deep` + (m.test === null ? "" : `, ${percent(m.test)} right on test images`),
    note: (m) => "Networks of this run by depth, with their accuracy on the decision images. Filled: the one that was chosen."
      + (folded(m) ? ` The accuracy is out of fold, over ${m.folds} folds; a depth that was not chosen speaks through the network of its first fold.` : "")
      + (m.architectures.every(whole) ? "" : " Dashed: not trained to its end."),
    failed: { look: "", heat: "No heat: ", depths: "The other depths gave no answer: " },
    // The server explains its refusals in English, with their numbers.
    errors: {
      offline: () => "The server does not answer; is it still running?", status: (e) => `The server could not answer (${e.message}).`,
      nocamera: (e) => `The camera can't be used: ${e.message}`, unreadable: () => "The file can't be read.",
    },
  },
  zh: {
    page: "deepenough：这张图片是什么？", other: "English", title: "这张图片是什么？", drop: "把图片拖到这里，或直接粘贴。",
    choose: "选择图片", camera: "摄像头", take: "拍照", cancel: "取消", looking: "正在识别图片…",
    seen: "模型看了哪里", strength: "热力图", method: "方法", gradients: "积分梯度", occlusion: "遮挡法（较慢）",
    whose: (name) => `热力图所支持的类别：${name}`, computing: (name) => `正在计算热力图：${name}…`,
    unseen: "此浏览器无法显示这种格式的图片，因此没有热力图；模型的回答仍然有效。",
    classes: "模型的回答", pick: "点选一个类别，查看支持它的区域。",
    depths: "更浅的网络会怎么回答？", depth: "深度", accuracy: "准确率", says: "回答", curve: "准确率与深度",
    unfinished: "未训练完", routes: "程序接口",
    about: (m) => `${m.classes.length} 个类别，${m.depth} 层` + (m.test === null ? "" : `，测试准确率 ${percent(m.test)}`),
    note: (m) => "本次运行中不同深度的网络及其准确率。实心点为最终选中的网络。"
      + (folded(m) ? `准确率为 ${m.folds} 折交叉验证的折外准确率；未选中的深度由其第一折的网络回答。` : "")
      + (m.architectures.every(whole) ? "" : "虚线点为未训练完的网络。"),
    failed: { look: "", heat: "没有热力图：", depths: "其他深度没有回答：" },
    errors: {
      offline: () => "服务器没有响应，它还在运行吗？", status: (e) => `服务器无法回答（${e.message}）。`,
      nocamera: (e) => `无法使用摄像头：${e.message}`, unreadable: () => "无法读取该文件。",
      "not-an-image": () => "无法识别为图片。支持 JPEG、PNG、WebP、GIF、BMP 和 TIFF。", "no-image": () => "没有收到图片。",
      "too-large": () => "文件太大" + (model ? `，上限为 ${+(model.limits.upload / 2 ** 20).toFixed(1)} MiB。` : "。"),
      "too-many-pixels": () => "图片的像素太多" + (model ? `，上限为 ${model.limits.pixels / 1e4} 万像素。` : "。"),
      "too-many-files": () => "一次发送的文件太多。", damaged: () => "图片已损坏。", animated: () => "不支持动图，请使用静态图片。",
      tiny: () => "图片太小。", bomb: () => "图片解压后过大，已拒绝。", "too-slow": () => "上传时间过长，请使用较小的文件。",
      busy: () => "服务器正忙，请稍后再试。", "too-long": () => "计算时间过长，已停止。", failed: () => "服务器出错了。", "unknown-class": () => "模型没有这个类别。", "bad-request": () => "请求有误。",
    },
  },
};
const $ = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)}%`;
const folded = (about) => about.folds > 1;
const whole = (architecture) => architecture.finished !== false;
const PIXELATED = 64; // pictures smaller than this (pixels) are shown as squares, not as a blur
const trouble = (code, message = "") => Object.assign(new Error(message), { code });
let language = (new URLSearchParams(location.search).get("lang") || navigator.language).startsWith("zh") ? "zh" : "en";
let model = null, meeting = null, image = null, answer = null, said = null, shown = null, film = null, looking = false;
// What the page asks for: an answer, its heat, other depths. Each fails alone, and tells it in its own place.
const running = {}, errors = { look: null, heat: null, depths: null };

function speak() {
  const words = WORDS[language];
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const each of document.querySelectorAll("[data-word]")) each.textContent = words[each.dataset.word];
  $("language").textContent = words.other;
  $("language").lang = language === "zh" ? "en" : "zh-Hans";
  $("curve").setAttribute("aria-label", words.curve);
  if (model) [$("about").textContent, $("note").textContent] = [words.about(model), words.note(model)];
  for (const place of Object.keys(errors)) tell(place, errors[place]);
  drawState();
  if (answer) drawDepths();
}

function tell(place, error) {
  errors[place] = error;
  const words = WORDS[language], known = error && words.errors[error.code];
  $(`${place}-error`).textContent = error ? words.failed[place] + (known ? known(error) : error.message) : "";
  $(`${place}-error`).hidden = !error;
}

function stop(place) {
  if (running[place]) running[place].abort();
  tell(place, null);
}

// A newer question calls off the older one of its kind, whose answer or error then says nothing.
// Gives whether it was answered; null for one that was called off.
async function attempt(place, work) {
  stop(place);
  const { signal } = (running[place] = new AbortController());
  try {
    await work(signal);
    return signal.aborted ? null : true;
  } catch (error) {
    if (signal.aborted) return null;
    tell(place, error);
    return false;
  }
}

async function ask(path, kind, body, signal) {
  let response;
  try {
    response = await fetch(path, body ? { method: "POST", body, signal, headers: { "Content-Type": "application/octet-stream" } } : { signal });
    if (response.ok) return await response[kind]();
  } catch {
    throw trouble("offline");
  }
  const { code, detail } = (await response.json().catch(() => null)) || {};
  if (typeof detail === "string") throw trouble(code, detail);
  // FastAPI's own refusals are lists of what is wrong with each part of a question.
  if (Array.isArray(detail)) throw trouble(code || "bad-request", detail.map((each) => `${[each.loc].flat().pop()}: ${each.msg}`).join("; "));
  throw trouble(code || "status", `${response.status} ${response.statusText}`.trim());
}

// Asked again by the next image if it failed.
function meet() {
  meeting ||= ask("model", "json").then((found) => { model = found; speak(); }, (error) => { meeting = null; throw error; });
  return meeting;
}

// An image element that is ready to be put in place, so that nothing is ever laid over the picture before.
function loaded(content) {
  return new Promise((resolve, reject) => {
    const made = new Image(), url = URL.createObjectURL(content);
    made.onload = () => { URL.revokeObjectURL(url); resolve(made); };
    made.onerror = () => { URL.revokeObjectURL(url); reject(trouble("unreadable")); };
    made.src = url;
  });
}

function put(id, made) {
  [made.id, made.alt] = [id, $(id).alt];
  $(id).replaceWith(made);
}

// The old picture and its answer stay, dimmed, until the new answer is there; its heat goes at once.
async function look(file) {
  forget();
  looking = true;
  drawState();
  const done = await attempt("look", async (signal) => {
    const picture = loaded(file).catch(() => null);
    const found = (await ask("predict?top=5", "json", file, signal)).predictions[0];
    const made = await picture;
    if (signal.aborted) return;
    forget();
    [image, answer, shown, said] = [file, found, found.label, null];
    $("sight").hidden = $("pick").hidden = !made;
    $("unseen").hidden = Boolean(made);
    if (made) {
      put("picture", made);
      made.alt = file.name || "";
      frame(made.naturalWidth, made.naturalHeight);
    }
    drawBars();
  });
  if (done === null) return;
  looking = false;
  if (!done) answer = null;
  $("answer").hidden = !answer;
  drawState();
  if (!answer) return;
  drawHeat();
  compare();
}

function forget() {
  stop("heat");
  stop("depths");
  $("heat").hidden = true;
}

function frame(width, height) {
  $("stage").style.setProperty("--width", `${width}px`);
  $("stage").style.setProperty("--ratio", width / height);
  $("stage").classList.toggle("pixelated", Math.max(width, height) < PIXELATED);
}

// What is being done, and whose heat is shown. Screen readers hear the answer from here: this line is always there.
function drawState() {
  const words = WORDS[language], calm = !answer || looking || $("sight").hidden || errors.heat;
  $("answer").setAttribute("aria-busy", String(looking));
  $("doing").classList.toggle("aloud", !looking);
  $("doing").textContent = looking ? words.looking : answer ? $("label").textContent : "";
  $("whose").textContent = calm ? "" : words[$("heat").hidden ? "computing" : "whose"](shown);
}

function drawBars() {
  const sure = document.createElement("span"); // set apart: classes may be numbers too
  [sure.className, sure.textContent] = ["share", percent(answer.probabilities[0])];
  $("label").replaceChildren(`${answer.label} `, sure);
  $("bars").replaceChildren(...answer.classes.map((name, at) => {
    const item = document.createElement("li"), button = document.createElement("button");
    const [word, share, bar] = ["span", "span", "progress"].map((kind) => document.createElement(kind));
    button.type = "button";
    button.disabled = $("sight").hidden;
    button.setAttribute("aria-pressed", String(name === shown));
    [word.className, word.textContent, share.className, share.textContent] = ["name", name, "share", percent(answer.probabilities[at])];
    bar.max = 1;
    bar.value = answer.probabilities[at];
    bar.setAttribute("aria-hidden", "true");
    button.append(word, share, bar);
    button.addEventListener("click", () => {
      shown = name;
      for (const each of $("bars").querySelectorAll("button")) each.setAttribute("aria-pressed", String(each === button));
      drawHeat();
    });
    item.append(button);
    return item;
  }));
}

async function drawHeat() {
  $("heat").hidden = true;
  if (looking || $("sight").hidden) return; // the image that is on its way will have its own
  const query = new URLSearchParams({ view: "heat", class: shown, method: $("method").value });
  const asked = attempt("heat", async (signal) => {
    const made = await loaded(await ask(`explain?${query}`, "blob", image, signal));
    if (!signal.aborted) put("heat", made);
  });
  drawState();
  await asked;
  dim();
  drawState();
}

function dim() { $("heat").style.opacity = $("strength").value / 100; }

async function compare() {
  drawDepths();
  await attempt("depths", async (signal) => {
    await meet();
    if (signal.aborted || model.architectures.length < 2) return;
    said = (await ask("depths", "json", image, signal)).depths;
  });
  drawDepths();
}

function drawDepths() {
  const several = model && model.architectures.length > 1;
  $("depths").hidden = !several && !errors.depths;
  $("architectures").hidden = !several;
  if (!several) return;
  const architectures = model.architectures, words = new Map((said || []).map((each) => [each.name, each]));
  const depths = architectures.map((r) => Math.log(r.depth)), values = architectures.map((r) => r.accuracy);
  const low = Math.min(...values), high = Math.max(...values), room = Math.max(high - low, 0.01);
  const x = (r) => 50 + 540 * (depths.length < 2 ? 0.5 : (Math.log(r.depth) - Math.min(...depths)) / Math.max(Math.max(...depths) - Math.min(...depths), 1e-9));
  const y = (r) => 170 - 120 * (r.accuracy - low) / room;
  const parts = [draw("line", { class: "axis", x1: 30, y1: 200, x2: 620, y2: 200 }), draw("polyline", { points: architectures.filter(whole).map((r) => `${x(r)},${y(r)}`).join(" ") })];
  for (const architecture of architectures) {
    const word = words.get(architecture.name), differs = word && word.label !== answer.label;
    parts.push(draw("circle", { cx: x(architecture), cy: y(architecture), r: 8, class: [architecture.chosen && "chosen", differs && "differs", !whole(architecture) && "unfinished"].filter(Boolean).join(" ") }));
    parts.push(draw("text", { x: x(architecture), y: 220, "text-anchor": "middle" }, `${architecture.depth}`));
    const [side, shift] = x(architecture) < 160 ? ["start", -10] : x(architecture) > 480 ? ["end", 10] : ["middle", 0]; // names stay inside
    parts.push(draw("text", { x: x(architecture) + shift, y: y(architecture) - 16, "text-anchor": side }, word ? word.label.slice(0, 18) : percent(architecture.accuracy)));
  }
  $("curve").replaceChildren(...parts);
  $("said").replaceChildren(...architectures.map((architecture) => {
    const row = document.createElement("tr"), word = words.get(architecture.name);
    const depth = whole(architecture) ? `${architecture.depth}` : `${architecture.depth} (${WORDS[language].unfinished})`;
    const cells = [depth, percent(architecture.accuracy), word ? `${word.label} ${percent(word.probability)}` : said || errors.depths ? "–" : "…"].map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    });
    cells[1].className = "n";
    if (word && word.label !== answer.label) cells[2].className = "differs";
    if (architecture.chosen) row.className = "chosen";
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
  tell("look", null);
  try {
    film = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    $("video").srcObject = film;
    $("film").hidden = false;
    $("take").focus();
  } catch (error) {
    tell("look", trouble("nocamera", error.message));
  }
}

function closeCamera() {
  for (const track of film ? film.getTracks() : []) track.stop();
  film = null;
  $("film").hidden = true;
  $("camera").focus();
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
$("strength").addEventListener("input", dim);
$("method").addEventListener("change", drawHeat);
for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => { event.preventDefault(); $("drop").classList.add("over"); });
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files.length) look(event.dataTransfer.files[0]); });
document.addEventListener("paste", (event) => { const file = [...event.clipboardData.files][0]; if (file) look(file); });
speak();
attempt("look", meet);
