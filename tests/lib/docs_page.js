// Runs producer/http/pages/docs.js on just enough of a browser, opens all that can be opened, sends one request, and
// prints what was shown and asked for. docs_page.js SCRIPT DOCUMENT OPERATION NAME=VALUE...
'use strict';
const fs = require('fs');
const vm = require('vm');

class Element {
  constructor(tag) { Object.assign(this, { tag, children: [], attributes: {}, listeners: {}, open: false, hidden: false, own: '', typed: null }); }
  get value() { return this.typed ?? (this.tag === 'select' && this.children.length ? this.children[0].value : ''); }
  set value(text) { this.typed = text; }
  get childElementCount() { return this.children.filter((c) => c instanceof Element).length; }
  get firstChild() { return this.children[0]; }
  get textContent() { return this.own + this.children.map((c) => (c instanceof Element ? c.textContent : c)).join(''); }
  set textContent(text) { this.children = []; this.own = text; }
  set innerHTML(_) { throw new Error('nothing is to be read as HTML'); }
  setAttribute(name, value) { this.attributes[name] = value; if (name === 'value') this.value = value; }
  addEventListener(name, fn) { (this.listeners[name] ||= []).push(fn); }
  append(...more) { this.children.push(...more.map((m) => (m instanceof Element ? m : String(m)))); }
  replaceChildren(...more) { this.children = []; this.own = ''; this.append(...more); }
  fire(name) { for (const fn of this.listeners[name] || []) fn({ preventDefault() {}, target: this }); }
  scrollIntoView() {}
  * all() { for (const c of this.children) if (c instanceof Element) { yield c; yield* c.all(); } }
  get elements() {
    return new Proxy({}, { get: (_, name) => [...this.all()].find((e) => e.attributes.name === name) });
  }
}

const [script, file, operation, ...values] = process.argv.slice(2);
const places = Object.fromEntries(['version', 'who', 'key', 'whoami', 'find', 'contents', 'main', 'state'].map((id) => [id, new Element(id)]));
const asked = [];
const storage = { 'jobmill.key': 'kept-in-this-tab' };
const answer = (text, kind) => ({ ok: true, status: 200, statusText: 'OK', headers: { get: (h) => (h === 'Content-Type' ? kind : null) }, text: async () => text, json: async () => JSON.parse(text) });
const context = {
  console, URL, URLSearchParams, TextDecoder, performance,
  HTMLDetailsElement: Element,
  location: { hash: '', href: 'http://127.0.0.1:8470/docs' },
  window: new Element('window'),
  sessionStorage: { getItem: (k) => storage[k] ?? null, setItem: (k, v) => { storage[k] = v; }, removeItem: (k) => { delete storage[k]; } },
  document: {
    createElement: (tag) => new Element(tag),
    getElementById: (id) => places[id] || [...places.main.all()].find((e) => e.attributes.id === id) || null,
    querySelectorAll: () => [...places.contents.all()].filter((e) => e.tag === 'a'),
  },
  fetch: async (url, options = {}) => {
    asked.push({ url, method: options.method || 'GET', headers: options.headers || {}, body: options.body });
    if (url.endsWith('openapi.json')) return answer(fs.readFileSync(file, 'utf8'), 'application/json');
    return answer('{"actor":"key:x","scope":"admin","project":null}', 'application/json');
  },
};

async function main() {
  vm.runInNewContext(fs.readFileSync(script, 'utf8'), context);
  await new Promise((done) => setTimeout(done, 50));
  for (let opened = true; opened;) { // what is opened may have more to open
    opened = false;
    for (const box of [...places.main.all()].filter((e) => e.tag === 'details' && !e.open)) { box.open = opened = true; box.fire('toggle'); }
  }
  const box = context.document.getElementById(operation);
  const form = [...box.all()].find((e) => e.tag === 'form');
  for (const value of values) { const at = value.indexOf('='); form.elements[value.slice(0, at)].value = value.slice(at + 1); }
  form.fire('submit');
  await new Promise((done) => setTimeout(done, 50));
  places.find.value = 'calendars';
  places.find.fire('input');
  const links = [...places.contents.all()].filter((e) => e.tag === 'a');
  const operations = [...places.main.all()].filter((e) => e.attributes.class === 'operation').map((e) => e.attributes.id);
  console.log(JSON.stringify({ asked, operations, shown: links.filter((l) => !l.hidden).map((l) => l.textContent), answer: form.textContent, text: places.main.textContent }));
}

main().catch((error) => { console.error(error); process.exit(1); });
