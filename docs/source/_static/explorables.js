"use strict";
// A flow to play with takes the place of the picture of it.
for (const place of document.querySelectorAll(".explorable")) {
  const frame = Object.assign(document.createElement("iframe"), {
    src: place.dataset.page, title: place.title, loading: "lazy",
  });
  place.removeAttribute("title");
  place.replaceChildren(frame);
}
