// Language and appearance, by the buttons or by the address: report.html#lang=ja&theme=dark
(function () {
  "use strict";
  const root = document.documentElement;
  const chosen = { lang: navigator.language.startsWith("ja") ? "ja" : "en", theme: "auto" };
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if (name in chosen && document.querySelector(`[data-set-${name}="${CSS.escape(value)}"]`)) {
      chosen[name] = value;
    }
  }
  function show() {
    root.lang = chosen.lang;
    root.dataset.theme = chosen.theme;
    for (const name of ["lang", "theme"]) {
      for (const button of document.querySelectorAll(`[data-set-${name}]`)) {
        const on = button.getAttribute(`data-set-${name}`) === chosen[name];
        button.setAttribute("aria-pressed", String(on));
      }
    }
  }
  for (const name of ["lang", "theme"]) {
    for (const button of document.querySelectorAll(`[data-set-${name}]`)) {
      button.addEventListener("click", function () {
        chosen[name] = button.getAttribute(`data-set-${name}`);
        show();
      });
    }
  }
  show();
})();
