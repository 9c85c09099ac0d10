// What every part of the owner's page shares: the verbs, short messages, words for numbers and times.

export function at(id) { return document.getElementById(id); }
export function copy(id) { return at(id).content.firstElementChild.cloneNode(true); }
export function say(node, text) { if (node.textContent !== text) { node.textContent = text; } }
export function plural(count, one, many) { return count.toLocaleString() + ' ' + (count === 1 ? one : many); }
export function itemsOf(answer) { return (answer.data && answer.data.items) || []; }
export function photoAddress(photo, size) { return '/photo/' + encodeURIComponent(photo) + '/' + size; }

// A verb's answer; an error's own sentence where there is one.
export function call(verb, payload) {
  return fetch('/api/v1/' + verb, {
    method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(payload || {})
  }).catch(() => { throw new Error('framed is not answering. Is the server running?'); }).then((answer) => {
    if (answer.status === 401) { location.replace('/login'); }
    return answer.json().catch(() => { throw new Error('framed answered something else than JSON (' + answer.status + ').'); });
  }).then((answer) => {
    if (answer.status === 'error') { throw new Error(answer.error ? answer.error.message : 'That did not work.'); }
    return answer;
  });
}

// Says what happened: `done`, the answer's own speech where `done` is null, nothing where it is missing.
export function attempt(promise, done) {
  return promise.then((answer) => {
    if (done !== undefined) { toast(done || (answer && answer.data && answer.data.speech) || 'Done'); }
    return answer;
  }, (error) => { toast(error.message); return null; });
}

let toasting = 0;
export function toast(text) {
  const box = at('toast'), open = document.querySelector('dialog[open]');
  (open || document.body).appendChild(box);   // a dialog lies over everything that is not in it
  say(box, text);
  box.hidden = false;
  clearTimeout(toasting);
  toasting = setTimeout(() => { box.hidden = true; }, 4500);
}

export function element(kind, className, text) {
  const node = document.createElement(kind);
  if (className) { node.className = className; }
  if (text !== undefined) { node.textContent = text; }
  return node;
}

export function button(text, className, pressed) {
  const node = element('button', className, text);
  node.type = 'button';
  node.addEventListener('click', pressed);
  return node;
}

export function fillBar(bar, percent) { bar.style.width = Math.max(0, Math.min(100, percent)) + '%'; }

export function duration(seconds) {
  if (seconds < 90) { return Math.max(1, Math.round(seconds)) + ' s'; }
  if (seconds < 5400) { return Math.round(seconds / 60) + ' min'; }
  return seconds < 172800 ? Math.round(seconds / 3600) + ' h' : Math.round(seconds / 86400) + ' days';
}

export function day(time) {
  const date = new Date(time), options = { day: 'numeric', month: 'short' };
  if (!time || isNaN(date)) { return ''; }
  if (date.getFullYear() !== new Date().getFullYear()) { options.year = 'numeric'; }
  return date.toLocaleDateString(undefined, options);
}

// A question in a dialog, answered by its Delete or Keep.
export function confirmed(title, text, word) {
  const box = at('confirm');
  say(at('confirm-title'), title);
  say(at('confirm-text'), text);
  say(at('confirm-do'), word);
  box.returnValue = '';
  box.showModal();
  return new Promise((resolve) => { box.addEventListener('close', () => resolve(box.returnValue === 'ok'), { once: true }); });
}
