// Visits pages with a real Chromium, as it is told on standard input: one JSON object per line, answered by one line.
//
//   {"name", "url", "status", "themes", "steps": [{"fill": selector, "with": text} | {"click": selector}], "shots"?: folder}
//
// Each page is seen in both themes, on a phone and on a desk. The answer lists all that is wrong with it; an empty list
// is a page without a fault. What is right for a page is decided here and nowhere else; which pages there are, by who asks.

import { accessSync, constants, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const VIEWS = [
  { width: 390, height: 844 },
  { width: 1280, height: 900 },
];
const QUIET = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
];

function findChromium() {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // The next one, then.
      }
    }
  }
  throw new Error("no Chromium on PATH; type: sudo apt-get install -y chromium");
}

// What a browser says of an answer that is meant to be an error is not a fault of the page.
function expected(text, status) {
  return status >= 400 && text.startsWith(`Failed to load resource: the server responded with a status of ${status}`);
}

async function steps(page, list) {
  for (const step of list) {
    if (step.fill) await page.fill(step.fill, step.with);
    else if (step.click) await Promise.all([page.waitForEvent("load"), page.click(step.click)]);
  }
}

async function look(browser, visit, colorScheme, viewport) {
  const faults = [];
  const context = await browser.newContext({ colorScheme, viewport, reducedMotion: "reduce" });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const status = visit.status;
  let last = 0;
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !expected(message.text(), last || status))
      faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("dialog", async (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    await dialog.dismiss();
  });
  page.on("request", (request) => {
    if (!request.isNavigationRequest()) faults.push(`request: ${request.method()} ${request.url()}`);
  });
  page.on("response", (response) => {
    last = response.status();
  });
  try {
    await page.goto(visit.url, { waitUntil: "load" });
    await steps(page, visit.steps);
    if (last !== status) faults.push(`status: ${last} instead of ${status}`);
    const seen = await page.evaluate(() => ({
      title: document.title,
      text: document.body.innerText,
      scripts: document.querySelectorAll("script, iframe, object, embed, base, [onerror], [onload], [onclick]").length,
      images: document.querySelectorAll("img").length,
      styled: getComputedStyle(document.querySelector("main")).maxWidth !== "none",
      wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      h1: document.querySelectorAll("h1").length,
    }));
    if (seen.scripts) faults.push(`markup: ${seen.scripts} elements that could run something`);
    if (seen.images) faults.push(`markup: ${seen.images} images`);
    if (!seen.styled) faults.push("style: the style sheet is not in force");
    if (seen.wide > 0) faults.push(`width: ${seen.wide} pixels too wide`);
    if (seen.h1 !== 1) faults.push(`markup: ${seen.h1} first headings`);
    await page.evaluate(AXE);
    const result = await page.evaluate(
      (tags) => window.axe.run(document, { runOnly: tags, rules: { "target-size": { enabled: true } }, resultTypes: ["violations"] }),
      RULES,
    );
    for (const violation of result.violations) {
      const node = violation.nodes[0];
      faults.push(`axe: ${violation.id}: ${violation.help}: ${node.html.slice(0, 200)} (${violation.nodes.length}): ${node.failureSummary}`);
    }
    if (visit.shots)
      await page.screenshot({ path: join(visit.shots, `${visit.name}-${colorScheme}-${viewport.width}.png`), fullPage: true });
    await keyboard(page, faults);
    return { faults, title: seen.title, text: seen.text };
  } finally {
    await context.close();
  }
}

// The first key leads to the skip link, which shows itself; no stop on the way is invisible.
async function keyboard(page, faults) {
  await page.evaluate(() => document.activeElement?.blur?.());
  for (let stop = 0; stop < 12; stop += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const box = element.getBoundingClientRect();
      const style = getComputedStyle(element);
      const seen = box.width > 0 && box.height > 0 && box.right > 0 && box.left < innerWidth;
      return { seen, ring: style.outlineStyle !== "none", skip: element.classList.contains("skip"), html: element.outerHTML.slice(0, 120) };
    });
    if (at === null) return;
    if (stop === 0 && !at.skip) faults.push(`keyboard: the first stop is ${at.html}`);
    if (!at.seen || !at.ring) faults.push(`keyboard: focus cannot be seen on ${at.html}`);
  }
}

const browser = await chromium.launch({ executablePath: findChromium(), args: QUIET, timeout: 120_000 });
for await (const line of createInterface({ input: process.stdin })) {
  const visit = JSON.parse(line);
  const answer = { name: visit.name, faults: [], title: "", text: "" };
  for (const theme of visit.themes) {
    for (const view of VIEWS) {
      try {
        const seen = await look(browser, visit, theme, view);
        Object.assign(answer, { title: seen.title, text: seen.text });
        answer.faults.push(...seen.faults.map((fault) => `${theme}, ${view.width} px: ${fault}`));
      } catch (why) {
        answer.faults.push(`${theme}, ${view.width} px: ${why}`);
      }
    }
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
