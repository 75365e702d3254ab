(() => {
  "use strict";
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const value = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // Colours are names of CSS variables; only under keys that hold colours, so that no class name is taken for one.
  const coloured = (node, key) => {
    if (typeof node === "string") return /color/i.test(key) && node.startsWith("--") ? value(node) : node;
    if (Array.isArray(node)) return node.map((item) => coloured(item, key));
    if (node && typeof node === "object")
      return Object.fromEntries(Object.entries(node).map(([k, item]) => [k, coloured(item, k === "colorscale" ? k : /^(x|y|z|text|customdata|ticktext)$/.test(k) ? "" : k)]));
    return node;
  };
  const axis = (own) => ({
    gridcolor: value("--line"), linecolor: value("--line"), zeroline: false, automargin: true, fixedrange: true,
    ...own, title: { standoff: 12, ...own.title, font: { size: 13, color: value("--muted") } },
  });
  const draw = () => {
    for (const place of document.querySelectorAll("[data-figure]")) {
      const { data, layout } = coloured(figures[place.dataset.figure], "");
      const small = place.clientWidth < 480;
      const legend = data.filter((trace) => trace.name && trace.showlegend !== false).length > 1;
      const height = layout.height ? (small ? Math.min(layout.height, 440) : layout.height) : 380;
      if (small && data[0].type === "heatmap") data[0].showscale = false;
      place.style.minHeight = `${height}px`; // instead of the room that the style keeps until the figure is there
      Plotly.react(place, data, {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", dragmode: false,
        font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: value("--text") },
        margin: { l: 52, r: 14, t: 14, b: 48 }, showlegend: legend,
        legend: { orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom", font: { size: 12 } },
        hoverlabel: { bgcolor: value("--panel"), bordercolor: value("--line"), font: { color: value("--text"), size: 13 } },
        ...layout, height, xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis),
      }, { displayModeBar: false, responsive: true, scrollZoom: false });
    }
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details")) part.open = true;
    draw();
  });
  addEventListener("afterprint", draw);
})();
