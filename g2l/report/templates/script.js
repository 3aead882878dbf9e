"use strict";
// In the frame that MLflow shows the page in, a link to a part of the page would load it anew, which is refused.
for (const link of document.querySelectorAll('a[href^="#"]')) {
  link.addEventListener("click", (event) => {
    const target = document.getElementById(link.hash.slice(1));
    event.preventDefault();
    target.scrollIntoView();
    target.tabIndex = -1;
    target.focus();
  });
}
// What is folded away on a screen is printed.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
