// Shows the API's own description, and lets it be tried. Asks only the server that it came from; a key stays in this tab.
'use strict';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const SCOPES = { none: 'needs no key', read: 'scope read', submit: 'scope submit', admin: 'scope admin' };
let doc = null;

// Everything is made of elements and text: nothing of the document is ever read as HTML.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function resolve(node) {
  while (node && node.$ref) {
    let found = doc;
    for (const part of node.$ref.split('/').slice(1)) found = found[part.replaceAll('~1', '/').replaceAll('~0', '~')];
    const { $ref, ...beside } = node;
    node = { ...found, ...beside };
  }
  return node || {};
}

function nameOf(node) {
  return node && node.$ref ? node.$ref.split('/').pop() : null;
}

function flat(schema) {
  const own = resolve(schema);
  if (!own.allOf) return own;
  const out = { ...own, properties: {}, required: [] };
  for (const part of [...own.allOf.map(flat), own]) {
    Object.assign(out.properties, part.properties);
    out.required.push(...(part.required || []));
  }
  delete out.allOf;
  return out;
}

function kindOf(schema) {
  const own = resolve(schema);
  for (const word of ['oneOf', 'anyOf']) if (own[word]) return [...new Set(own[word].map(kindOf))].join(' or ');
  if (own.enum) return own.enum.map((v) => JSON.stringify(v)).join(', ');
  if ('const' in own) return JSON.stringify(own.const);
  if (own.type === 'array') return 'list of ' + kindOf(own.items || {});
  const kind = [own.type || (own.properties || own.allOf ? 'object' : 'any')].flat().join(' or ');
  let text = own.format === 'date-time' ? kind.replace('string', 'time') : nameOf(schema) && own.properties ? nameOf(schema) : kind;
  if (own.minimum !== undefined) text += own.maximum !== undefined ? ` ${own.minimum}–${own.maximum}` : ` from ${own.minimum}`;
  if (own.maxLength !== undefined) text += ` of at most ${own.maxLength} characters`;
  if (own.default !== undefined && own.default !== null) text += `, default ${JSON.stringify(own.default)}`;
  return text;
}

// ---- what a schema says ----

function members(schema, depth) {
  const own = flat(schema);
  if (own.type === 'array' && own.items) return members(own.items, depth);
  for (const word of ['oneOf', 'anyOf']) {
    const lists = (own[word] || []).map((part) => members(part, depth)).filter(Boolean);
    if (lists.length && !own.properties) return make('div', {}, ...lists);
  }
  if (!own.properties || !Object.keys(own.properties).length || depth > 6) return null;
  const required = new Set(own.required || []);
  return make('ul', { class: 'members' }, ...Object.entries(own.properties).map(([name, member]) => {
    const line = [make('code', {}, name), ' ', make('span', { class: 'soft' }, kindOf(member)),
      required.has(name) ? make('span', { class: 'need' }, ' required') : null,
      ...(resolve(member).description ? [' · ', ...inline(resolve(member).description)] : [])];
    const below = depth < 6 && hasMembers(member) ? make('details', {}, make('summary', {}, ...line.filter(Boolean))) : null;
    if (!below) return make('li', {}, ...line);
    below.addEventListener('toggle', () => {
      if (below.childElementCount === 1) below.append(members(member, depth + 1) || '');
    });
    return make('li', {}, below);
  }));
}

function hasMembers(schema) {
  const own = flat(schema);
  if (own.type === 'array' && own.items) return hasMembers(own.items);
  return Boolean(own.properties && Object.keys(own.properties).length) || [...(own.oneOf || []), ...(own.anyOf || [])].some(hasMembers);
}

// Code between backquotes; links lead into the repository, which is not here.
function inline(text) {
  return (text || '').split(/(`[^`]*`)/).filter(Boolean).map((piece) => (
    piece.startsWith('`') ? make('code', {}, piece.slice(1, -1)) : piece.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')));
}

function paragraphs(text) {
  return (text || '').trim().split(/\n\s*\n/).filter(Boolean).map((part) => make('p', {}, ...inline(part)));
}

function exampleOf(media) {
  if (media.example !== undefined) return media.example;
  const examples = Object.values(media.examples || {});
  return examples.length ? examples[0].value : undefined;
}

function asText(value) {
  return typeof value === 'string' ? value : JSON.stringify(value, null, 2);
}

function parametersOf(item, operation) {
  return [...(item.parameters || []), ...(operation.parameters || [])].map(resolve);
}

// ---- trying it ----

function inputFor(parameter) {
  const schema = resolve(parameter.schema || {});
  const attributes = { name: parameter.in + ' ' + parameter.name, 'aria-label': parameter.name };
  if (schema.enum || schema.type === 'boolean') {
    const values = ['', ...(schema.enum || [true, false]).filter((v) => v !== null)];
    return make('select', attributes, ...values.map((v) => make('option', { value: v }, String(v))));
  }
  return make('input', { ...attributes, placeholder: parameter.example !== undefined ? String(parameter.example) : kindOf(schema) });
}

function requestOf(form, path, parameters) {
  const query = new URLSearchParams();
  const headers = {};
  let url = path;
  for (const p of parameters) {
    const value = form.elements[p.in + ' ' + p.name].value;
    if (p.in === 'path') url = url.replace(`{${p.name}}`, encodeURIComponent(value));
    else if (value !== '' && p.in === 'header') headers[p.name] = value;
    else if (value !== '' && p.name.endsWith('.*')) freeParameters(query, p.name.slice(0, -1), value);
    else if (value !== '') query.append(p.name, value);
  }
  const key = sessionStorage.getItem('jobmill.key');
  if (key) headers['X-API-Key'] = key;
  return { url: 'api/v1' + url + (query.size || String(query) ? '?' + query : ''), headers };
}

// "metadata.*": name=value pairs, parted by commas.
function freeParameters(query, prefix, text) {
  for (const pair of text.split(',')) {
    const at = pair.indexOf('=');
    if (at > 0) query.append(prefix + pair.slice(0, at).trim(), pair.slice(at + 1));
  }
}

function curlOf(method, request, body) {
  const quote = (text) => "'" + text.replaceAll("'", "'\\''") + "'";
  const words = ['curl', '-X', method.toUpperCase(), quote(new URL(request.url, location.href).href)];
  for (const [name, value] of Object.entries(request.headers)) words.push('-H', name === 'X-API-Key' ? '"X-API-Key: $KEY"' : quote(`${name}: ${value}`));
  if (body) words.push('--data-binary', quote(body));
  return words.join(' ');
}

async function showStream(response, out, stop) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  stop.hidden = false;
  stop.onclick = () => reader.cancel();
  for (let part = await reader.read(); !part.done; part = await reader.read()) out.append(decoder.decode(part.value, { stream: true }));
  stop.hidden = true;
}

async function send(method, request, body, answer) {
  const began = performance.now();
  const out = make('pre', {});
  const stop = make('button', { type: 'button', hidden: true }, 'Stop');
  answer.replaceChildren(make('pre', {}, curlOf(method, request, body)), make('p', { class: 'soft' }, 'waiting…'));
  try {
    const response = await fetch(request.url, { method: method.toUpperCase(), headers: request.headers, body, credentials: 'same-origin' });
    const kind = response.headers.get('Content-Type') || '';
    const took = Math.round(performance.now() - began);
    const said = ['ETag', 'Location', 'Link', 'X-Request-Id', 'Retry-After'].filter((h) => response.headers.get(h)).map((h) => `${h}: ${response.headers.get(h)}`);
    answer.replaceChildren(answer.firstChild,
      make('p', {}, make('strong', { class: response.ok ? 'good' : 'bad' }, `${response.status} ${response.statusText}`), ` in ${took} ms · ${kind} `, stop),
      make('p', { class: 'soft' }, said.join(' · ')), out);
    if (kind.startsWith('text/event-stream')) return await showStream(response, out, stop);
    const text = await response.text();
    try { out.textContent = kind.includes('json') ? JSON.stringify(JSON.parse(text), null, 2) : text; } catch { out.textContent = text; }
  } catch (error) {
    answer.append(make('p', { class: 'bad' }, String(error)));
  }
}

function tryForm(path, method, item, operation) {
  const parameters = parametersOf(item, operation);
  const bodies = Object.entries((operation.requestBody || {}).content || {});
  const answer = make('div', {});
  const kind = make('select', { 'aria-label': 'Content-Type', hidden: bodies.length < 2 }, ...bodies.map(([name]) => make('option', { value: name }, name)));
  const body = make('textarea', { spellcheck: 'false', 'aria-label': 'Body' });
  const fill = () => { const media = (bodies.find(([name]) => name === kind.value) || [])[1]; body.value = media && exampleOf(media) !== undefined ? asText(exampleOf(media)) : ''; };
  kind.addEventListener('change', fill);
  if (bodies.length) fill();
  const form = make('form', {},
    make('fieldset', {}, make('legend', {}, 'Try it'),
      make('table', {}, ...parameters.map((p) => make('tr', {}, make('td', {}, make('code', {}, p.name)), make('td', {}, inputFor(p))))),
      ...(bodies.length ? [kind, body] : []),
      make('p', {}, make('button', { type: 'submit' }, 'Send')), answer));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const request = requestOf(form, path, parameters);
    const text = bodies.length && body.value !== '' ? body.value : undefined;
    if (text !== undefined) request.headers['Content-Type'] = kind.value;
    send(method, request, text, answer);
  });
  return form;
}

// ---- the page ----

function parametersTable(parameters) {
  if (!parameters.length) return null;
  return make('table', {}, ...parameters.map((p) => make('tr', {},
    make('td', {}, make('code', {}, p.name), make('span', { class: 'soft' }, ' ' + p.in), p.required ? make('span', { class: 'need' }, ' required') : null),
    make('td', { class: 'soft' }, kindOf(p.schema || {})), make('td', {}, ...inline(p.description)))));
}

function contents(content) {
  return Object.entries(content || {}).map(([kind, media]) => make('div', {},
    make('p', { class: 'soft' }, `${kind}: ${kindOf(media.schema || {})}`), media.schema ? members(media.schema, 0) : null,
    exampleOf(media) !== undefined ? make('pre', {}, asText(exampleOf(media))) : null));
}

function responseOf(status, given) {
  const response = resolve(given);
  const headers = Object.entries(response.headers || {}).map(([name, h]) => make('li', {}, make('code', {}, name), ' · ', ...inline(resolve(h).description)));
  return make('details', {}, make('summary', {}, make('strong', { class: status < 400 ? 'good' : 'bad' }, status), ' ', ...inline(response.description)),
    ...contents(response.content), make('ul', { class: 'members' }, ...headers));
}

function fillOperation(place, path, method, item, operation) {
  const body = operation.requestBody;
  place.append(...[
    ...paragraphs(operation.description), parametersTable(parametersOf(item, operation)),
    body ? make('h4', {}, 'Body') : null, ...(body ? contents(body.content) : []),
    make('h4', {}, 'Answers'), ...Object.entries(operation.responses).map(([status, r]) => responseOf(status, r)),
    tryForm(path, method, item, operation)].filter(Boolean));
}

function showOperation(path, method, item) {
  const operation = item[method];
  const place = make('div', {});
  const box = make('details', { class: 'operation', id: operation.operationId },
    make('summary', {}, make('span', { class: 'method ' + method }, method), make('span', { class: 'path' }, path), ' ',
      operation.summary || '', ' ', make('small', { class: 'soft' }, SCOPES[operation['x-scope']] || '')), place);
  box.addEventListener('toggle', () => { if (box.open && !place.childElementCount) fillOperation(place, path, method, item, operation); });
  return box;
}

function operationsOf(tag) {
  return Object.entries(doc.paths).flatMap(([path, item]) => METHODS.filter((m) => item[m] && item[m].tags[0] === tag).map((m) => [path, m, item]));
}

function show() {
  document.getElementById('version').textContent = `HTTP API ${doc.info.version}`;
  const main = document.getElementById('main');
  const list = document.getElementById('contents');
  main.replaceChildren(make('section', {}, ...paragraphs(doc.info.description)));
  for (const tag of doc.tags) {
    const operations = operationsOf(tag.name);
    main.append(make('section', {}, make('h2', {}, tag.name), ...paragraphs(tag.description), ...operations.map((o) => showOperation(...o))));
    list.append(make('div', {}, make('h2', {}, tag.name), ...operations.map(([path, method, item]) => make('a', { href: '#' + item[method].operationId },
      make('span', { class: 'method ' + method }, method), path))));
  }
}

function openNamed() {
  const box = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (box instanceof HTMLDetailsElement) { box.open = true; box.scrollIntoView(); }
}

async function askWhoIAm() {
  const key = sessionStorage.getItem('jobmill.key');
  const out = document.getElementById('whoami');
  try {
    const response = await fetch('api/v1/whoami', { headers: key ? { 'X-API-Key': key } : {}, credentials: 'same-origin' });
    const who = await response.json();
    out.textContent = response.ok ? `${who.actor}, ${who.scope}${who.project ? ', project ' + who.project : ''}` : key ? who.detail : '';
  } catch (error) {
    out.textContent = String(error);
  }
}

function listenToKey() {
  const input = document.getElementById('key');
  input.value = sessionStorage.getItem('jobmill.key') || '';
  document.getElementById('who').addEventListener('submit', (event) => {
    event.preventDefault();
    if (input.value) sessionStorage.setItem('jobmill.key', input.value.trim());
    else sessionStorage.removeItem('jobmill.key');
    askWhoIAm();
  });
}

function listenToFind() {
  document.getElementById('find').addEventListener('input', (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/);
    for (const link of document.querySelectorAll('#contents a')) link.hidden = !words.every((w) => link.textContent.toLowerCase().includes(w));
  });
}

async function start() {
  listenToKey();
  listenToFind();
  try {
    const response = await fetch('api/v1/openapi.json');
    if (!response.ok) throw new Error(`api/v1/openapi.json: ${response.status}`);
    doc = await response.json();
    show();
    window.addEventListener('hashchange', openNamed);
    openNamed();
  } catch (error) {
    document.getElementById('state').textContent = String(error);
  }
  askWhoIAm();
}

start();
