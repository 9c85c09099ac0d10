// The library's photos: new ones, favourites, hidden ones; and everything that framed knows about one.
import { at, attempt, button, call, element, itemsOf, photoAddress, say, toast } from './console_api.js';
import { resultCard, showAnswer, showNewWish } from './console_ask.js';
import { frames } from './console_frames.js';

const PAGE = 24;
const EMPTY = {
  new: 'No photo is known yet. They appear here as soon as framed has looked at them.',
  favourite: 'No favourites yet. Touch the heart on a photo, or on a frame.',
  hidden: 'Nothing is hidden. A hidden photo is shown on no frame until you bring it back here.'
};
let which = 'new', many = PAGE;

for (const tab of at('photo-tabs').children) {
  tab.addEventListener('click', () => {
    which = tab.dataset.which;
    many = PAGE;
    for (const one of at('photo-tabs').children) { one.setAttribute('aria-pressed', String(one === tab)); }
    readPhotos();
  });
}
at('photos-more').addEventListener('click', () => { many += 2 * PAGE; readPhotos(); });

export function readPhotos() {
  const asked = which;
  return call('photo/list', { state: asked, limit: Math.min(1000, many + 1) }).then((answer) => {
    if (asked !== which) { return; }
    const items = itemsOf(answer);
    at('photos-list').replaceChildren(...items.slice(0, many).map((item) => resultCard(item, null)));
    at('photos-more').hidden = items.length <= many || many >= 1000;
    at('photos-empty').hidden = items.length > 0;
    say(at('photos-empty'), EMPTY[asked]);
  }).catch((error) => toast(error.message));
}

// ---- one photo

let open = null;

document.addEventListener('photo:open', (event) => openPhoto(event.detail));

function openPhoto(item) {
  open = item.photo;
  const image = at('photo-image');
  image.removeAttribute('src');
  image.src = photoAddress(item.photo, 'preview');
  image.alt = item.caption || 'Photo';
  at('photo-original').href = photoAddress(item.photo, 'original');
  say(at('photo-title'), item.caption || 'Photo');
  const why = [].concat(item.why || []).filter(Boolean);
  at('photo-why').hidden = why.length === 0;
  say(at('photo-why'), 'Chosen because: ' + why.join(' · '));
  at('photo-facts').replaceChildren();
  at('photo-actions').replaceChildren();
  if (!at('photo').open) { at('photo').showModal(); }
  at('photo').scrollTop = 0;
  call('photo/get', { id: item.photo }).then((answer) => { if (open === item.photo) { fill(answer.data); } }, (error) => toast(error.message));
}
at('photo-close').addEventListener('click', () => at('photo').close());
at('photo').addEventListener('click', (event) => { if (event.target === at('photo')) { at('photo').close(); } });
at('photo').addEventListener('close', () => { open = null; at('photo-image').removeAttribute('src'); });

function fill(photo) {
  say(at('photo-title'), photo.title || photo.caption || 'Photo');
  const problems = Object.entries(photo.steps || {}).filter(([, step]) => step.problem);
  facts([
    ['Taken', taken(photo)],
    ['Where', (photo.places || []).map((place) => place.name).join(', ')],
    ['Who', (photo.people || []).map((person) => person.name).join(', ')],
    ['Shows', words(photo.tags)],
    ['Kind', [photo.kind, photo.orientation].filter(Boolean).join(', ')],
    ['Size', photo.width ? photo.width.toLocaleString() + ' × ' + photo.height.toLocaleString() + (photo.format ? ' ' + photo.format.toUpperCase() : '') : ''],
    ['Camera', photo.camera],
    ['Rating', photo.rating ? '★'.repeat(photo.rating) : ''],
    ['Quality', typeof photo.quality === 'number' ? Math.round(100 * photo.quality) + ' %' : ''],
    ['Left out', photo.duplicate_of ? 'the same picture is in the library a second time' : photo.burst ? 'one of a burst; its best picture stands for it' : ''],
    ['File', photo.path],
    ...problems.map(([name, step]) => [name.replace(/_/g, ' '), step.problem])
  ]);
  actions(photo);
}

function taken(photo) {
  if (!photo.taken) { return 'unknown'; }
  const date = new Date(photo.taken.slice(0, 19));
  return isNaN(date) ? photo.taken : date.toLocaleString(undefined, { dateStyle: 'long', timeStyle: 'short' });
}

function words(tags) {
  const list = Array.isArray(tags) ? tags.map((tag) => [tag.name || tag, tag.score || 0]) : Object.entries(tags || {});
  return list.sort((one, other) => other[1] - one[1]).slice(0, 12).map(([name]) => name).join(', ');
}

function facts(pairs) {
  at('photo-facts').replaceChildren(...pairs.filter(([, value]) => value).flatMap(([name, value]) => [element('dt', '', name), element('dd', '', String(value))]));
}

function actions(photo) {
  const uid = photo.photo;
  const heart = button(photo.favourite ? '♥ Favourite' : '♡ Favourite', 'button quiet', () => decide('photo/favourite', uid, !photo.favourite, photo.favourite ? 'No favourite any more' : 'A favourite now'));
  heart.setAttribute('aria-pressed', String(!!photo.favourite));
  const hide = button(photo.hidden ? 'Show it again' : 'Hide', 'button quiet', () => decide('photo/hide', uid, !photo.hidden, photo.hidden ? 'It may be shown again' : 'It will not be shown again'));
  const who = (photo.people || []).map((person) => person.name).join(' and ');
  const alike = [button('More like this', 'button quiet', () => similar(uid, 'auto'))];
  if (who) { alike.push(button('More of ' + who, 'button quiet', () => similar(uid, 'face'))); }
  if (photo.duplicate_of || photo.near_of) { alike.push(button('Nearly the same', 'button quiet', () => similar(uid, 'hash'))); }
  const show = frames.map((frame) => button('Show on ' + frame.name, 'button quiet', () => attempt(call('playlist/set', { frame: frame.frame, photos: [uid] }), 'Now on ' + frame.name)));
  at('photo-actions').replaceChildren(heart, hide, ...alike, ...(photo.hidden ? [] : show));
}

function decide(verb, uid, on, done) {
  attempt(call(verb, { id: uid, on }), done).then((answer) => {
    if (!answer) { return; }
    readPhotos();
    call('photo/get', { id: uid }).then((again) => { if (open === uid) { fill(again.data); } }, (error) => toast(error.message));
  });
}

const ALIKE = { embedding: 'These look alike.', face: 'These show the same people.', hash: 'These are nearly the same picture.' };

function similar(uid, by) {
  call('photo/similar', { id: uid, by }).then((answer) => {
    const items = itemsOf(answer);
    at('photo').close();
    showNewWish();
    showAnswer({ speech: answer.data.problem || (items.length ? ALIKE[answer.data.by] : 'Nothing else in the library is like it.'), items: items.length ? [{ photo: uid, why: ['the one you chose'] }, ...items] : [] }, { offer: true });
    at('answer').scrollIntoView({ behavior: 'smooth', block: 'start' });
  }, (error) => toast(error.message));
}
