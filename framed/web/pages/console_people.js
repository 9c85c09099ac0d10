// The people in the photos: who has a name, who has none yet, and what belongs to whom.
import { at, attempt, call, confirmed, copy, element, itemsOf, plural, say, toast } from './console_api.js';
import { showAnswer, showNewWish } from './console_ask.js';

const PAGE = 24, FACES = 60;
let which = 'shown', many = PAGE, people = [], open = null, chosen = new Set(), seen = '', waiting = 0;

for (const tab of at('person-tabs').children) {
  tab.addEventListener('click', () => {
    which = tab.dataset.which;
    many = PAGE;
    for (const one of at('person-tabs').children) { one.setAttribute('aria-pressed', String(one === tab)); }
    readPeople();
  });
}
at('persons-more').addEventListener('click', () => { many += PAGE; readPeople(); });

export function readPeople() {
  const asked = which;
  return call('person/list', { hidden: asked === 'hidden', limit: Math.min(500, many + 1) }).then((answer) => {
    if (asked !== which) { return; }
    const items = itemsOf(answer), data = answer.data;
    people = items.filter((person) => person.name);
    at('person-names').replaceChildren(...people.map((person) => new Option(person.name)));
    say(at('persons-count'), [data.named ? plural(data.named, 'person', 'people') : '', data.unnamed ? data.unnamed + ' without a name' : ''].filter(Boolean).join(' · '));
    at('persons-more').hidden = items.length <= many;
    at('persons-empty').hidden = items.length > 0;
    say(at('persons-empty'), asked === 'hidden' ? 'Nobody is hidden.' : data.faces_alone ? 'No face was seen twice yet. Whoever is in several photos appears here.' : 'Nobody yet. Faces are looked for when every photo is ready to be shown.');
    if (!at('persons').contains(document.activeElement) || document.activeElement.tagName !== 'INPUT') {   // not under somebody's hands
      at('persons').replaceChildren(...items.slice(0, many).map(card));
    }
  }).catch((error) => toast(error.message));
}

// Faces are found while the page is open: the list follows, at most every few seconds.
export function peopleMayHaveChanged(library) {
  const now = [library.people, library.analysed].join();
  if (now === seen || waiting) { return; }
  seen = now;
  waiting = setTimeout(() => { waiting = 0; readPeople(); }, 4000);
}

function card(person) {
  const line = copy('person-card'), face = line.querySelector('.face'), form = line.querySelector('form');
  if (person.cover) { face.querySelector('img').src = person.cover.picture; }
  face.setAttribute('aria-label', (person.name || 'Somebody without a name') + ', ' + plural(person.photos, 'photo', 'photos'));
  face.addEventListener('click', () => openPerson(person.id));
  say(line.querySelector('.person-name'), person.name || '');
  line.querySelector('.person-name').hidden = !person.name;
  say(line.querySelector('.muted'), plural(person.photos, 'photo', 'photos'));
  form.hidden = !!person.name || person.hidden;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const input = form.querySelector('input'), name = input.value.trim();
    if (!name) { return; }
    input.blur();
    attempt(call('person/name', { id: person.id, name }).then((answer) => readPeople().then(() => answer)), 'From now on this is ' + name);
  });
  return line;
}

// ---- one person

function openPerson(id) {
  open = { id };
  chosen = new Set();
  at('person-faces').replaceChildren();
  at('person').returnValue = '';
  if (!at('person').open) { at('person').showModal(); }
  at('person').scrollTop = 0;
  read(FACES);
}

function read(limit) {
  const id = open.id;
  call('person/get', { id, limit }).then((answer) => {
    if (!open || open.id !== id) { return; }
    open = { ...answer.data, limit };
    draw();
  }, (error) => { toast(error.message); at('person').close(); });
}

function draw() {
  const known = open.name || 'Who is this?';
  say(at('person-title'), known);
  say(at('person-count'), plural(open.photos, 'photo', 'photos') + (open.aliases.length ? ' · also called ' + open.aliases.join(', ') : ''));
  at('person-input').value = open.name || '';
  at('person-faces').replaceChildren(...itemsOf({ data: open }).map(faceTile));
  at('person-faces-more').hidden = open.count <= open.items.length || open.limit >= 500;
  const others = people.filter((one) => one.id !== open.id);
  at('person-same').replaceChildren(new Option('The same person as…', ''), ...others.map((one) => new Option(one.name, one.id)));
  at('person-same').disabled = others.length === 0;
  say(at('person-hide'), open.hidden ? 'Show again' : 'Hide');
  at('person-photos').hidden = !open.name || open.hidden;
  drawChosen();
}

function faceTile(face) {
  const tile = element('button', 'face-tile'), image = element('img');
  tile.type = 'button';
  image.src = face.picture;
  image.alt = face.said_by === 'user' ? 'A face that you said is right' : 'A face';
  image.loading = 'lazy';
  tile.append(image);
  tile.setAttribute('aria-pressed', String(chosen.has(face.face)));
  tile.addEventListener('click', () => {
    if (chosen.has(face.face)) { chosen.delete(face.face); } else { chosen.add(face.face); }
    tile.setAttribute('aria-pressed', String(chosen.has(face.face)));
    drawChosen();
  });
  return element('li').appendChild(tile).parentNode;
}

function drawChosen() {
  at('person-chosen').hidden = chosen.size === 0;
  at('person-hint').hidden = chosen.size > 0;
  say(at('person-not'), (chosen.size === 1 ? 'This is not ' : 'These are not ') + (open.name || (chosen.size === 1 ? 'this person' : 'the same person')));
}

function done(promise, words) {
  return attempt(promise, words).then((answer) => {
    if (!answer) { return null; }
    chosen = new Set();
    readPeople();
    return answer;
  });
}

at('person-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = at('person-input').value.trim();
  if (!name || name === open.name) { return; }
  done(call('person/name', { id: open.id, name }), 'From now on this is ' + name).then((answer) => { if (answer) { open = { id: answer.data.id }; read(FACES); } });
});
at('person-faces-more').addEventListener('click', () => read(Math.min(500, open.limit * 3)));
at('person-not').addEventListener('click', () => {
  const left = open.count - chosen.size;
  done(call('person/reject', { id: open.id, faces: [...chosen] }), 'Noted; it will not come back').then((answer) => {
    if (answer && left > 0) { read(open.limit); } else if (answer) { at('person').close(); }
  });
});
at('person-other').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = at('person-other-name').value.trim(), left = open.count - chosen.size;
  if (!name) { return; }
  at('person-other-name').value = '';
  done(call('person/split', { id: open.id, faces: [...chosen], name }), 'Now with ' + name).then((answer) => {
    if (answer && left > 0) { read(open.limit); } else if (answer) { at('person').close(); }
  });
});
at('person-same').addEventListener('change', () => {
  const into = at('person-same').value, name = at('person-same').selectedOptions[0].textContent, own = open;
  at('person-same').value = '';
  if (!into) { return; }
  confirmed(own.name ? own.name + ' and ' + name + ' are one person?' : 'This is ' + name + '?', 'All these faces become ' + name + '’s. Taking them apart again means choosing the faces by hand.', 'Yes, the same').then((yes) => {
    if (yes) { done(call('person/merge', { id: into, ids: [own.id] }), 'One person now').then((answer) => { if (answer) { open = { id: into }; read(FACES); } }); }
  });
});
at('person-hide').addEventListener('click', () => {
  const on = !open.hidden;
  done(call('person/hide', { id: open.id, on }), on ? 'Hidden from lists and captions; the photos stay' : 'Back among the people').then((answer) => { if (answer) { at('person').close(); } });
});
at('person-photos').addEventListener('click', () => {
  const name = open.name;
  at('person').close();
  showNewWish();
  call('photo/search', { text: 'photos of ' + name }).then((answer) => {
    showAnswer(answer.data, { offer: true });
    at('answer').scrollIntoView({ behavior: 'smooth', block: 'start' });
  }, (error) => toast(error.message));
});
at('person-close').addEventListener('click', () => at('person').close());
at('person').addEventListener('click', (event) => { if (event.target === at('person')) { at('person').close(); } });
at('person').addEventListener('close', () => { open = null; });
