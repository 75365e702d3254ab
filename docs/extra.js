// The theme puts the button that copies a block of code into a <nav> without a name, so that a page with several blocks has several landmarks
// that a screen reader can't tell apart. They lead nowhere, so they are no landmarks.
const dropLandmarks = () => document.querySelectorAll("nav.md-code__nav:not([role])").forEach((each) => each.setAttribute("role", "none"));
new MutationObserver(dropLandmarks).observe(document.documentElement, { childList: true, subtree: true });
document.addEventListener("DOMContentLoaded", dropLandmarks);

// A table that is wider than a phone scrolls, also by keyboard.
const reachWideTables = () => document.querySelectorAll(".md-typeset__scrollwrap").forEach((each) => {
  if (each.scrollWidth > each.clientWidth) each.setAttribute("tabindex", "0");
  else each.removeAttribute("tabindex");
});
addEventListener("load", reachWideTables);
addEventListener("resize", reachWideTables);

// The theme's search is a dialog without a name; its field has one, in the page's language.
document.addEventListener("DOMContentLoaded", () => {
  const name = document.querySelector(".md-search__input")?.getAttribute("aria-label");
  if (name) document.querySelector(".md-search").setAttribute("aria-label", name);
});
