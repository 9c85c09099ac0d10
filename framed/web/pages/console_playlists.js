// The playlists: play one, look into it, take pictures out, rename, delete.
import { at, attempt, call, confirmed, copy, day, itemsOf, plural, say, toast } from './console_api.js';
import { showAnswer, showNewWish } from './console_ask.js';
import { frames } from './console_frames.js';

let playlists = [];
let renaming = null;

export function readPlaylists() {
  return call('playlist/list').then((answer) => { playlists = itemsOf(answer); drawPlaylists(); }).catch((error) => toast(error.message));
}

export function drawPlaylists() {
  at('playlists').hidden = playlists.length === 0;
  at('playlists-empty').hidden = playlists.length > 0;
  say(at('playlists-count'), playlists.length ? String(playlists.length) : '');
  if (at('playlists').contains(document.activeElement)) { return; }   // not under somebody's hands
  at('playlists').replaceChildren(...playlists.map(row));
}

function row(playlist) {
  const line = copy('playlist-row'), choice = line.querySelector('select'), name = line.querySelector('.open');
  name.textContent = playlist.name;
  name.addEventListener('click', () => open(playlist.id));
  line.querySelector('.muted').textContent = [plural(playlist.count || 0, 'picture', 'pictures'), day(playlist.updated)].filter(Boolean).join(' · ');
  choice.append(new Option('Play on…', ''), ...frames.map((frame) => new Option(frame.name || frame.frame, frame.frame)));
  choice.setAttribute('aria-label', 'Play ' + playlist.name + ' on');
  choice.disabled = frames.length === 0;
  choice.addEventListener('change', () => {
    const frame = choice.value, where = choice.selectedOptions[0].textContent;
    choice.value = '';
    choice.blur();
    if (frame) { attempt(call('playlist/set', { frame, id: playlist.id }), 'Now on ' + where); }
  });
  line.querySelector('.rename').addEventListener('click', () => {
    renaming = playlist;
    at('rename-name').value = playlist.name;
    at('rename').showModal();
    at('rename-name').select();
  });
  line.querySelector('.delete').addEventListener('click', () => remove(playlist));
  return line;
}

function open(id) {
  showNewWish();
  call('playlist/get', { id }).then((answer) => {
    const data = answer.data;
    showAnswer({ ...data, speech: data.name }, { offer: true, edit: (item, card) => takeOut(data, item, card) });
    at('answer').scrollIntoView({ behavior: 'smooth', block: 'start' });
  }).catch((error) => toast(error.message));
}

function takeOut(playlist, item, card) {
  const left = playlist.items.filter((one) => one.photo !== item.photo);
  if (!left.length) { remove(playlist); return; }
  attempt(call('playlist/save', { id: playlist.id, name: playlist.name, photos: left.map((one) => one.photo) }),
    playlist.plan ? 'Taken out. From now on this playlist holds what you left in it.' : 'Taken out').then((answer) => {
    if (answer) { playlist.items = left; playlist.plan = null; card.remove(); }
  });
}

function remove(playlist) {
  confirmed('Delete “' + playlist.name + '”?', 'The photos stay. A frame that plays it keeps its picture.', 'Delete').then((yes) => {
    if (yes) { attempt(call('playlist/delete', { id: playlist.id }).then(readPlaylists), 'Deleted'); }
  });
}

at('rename-cancel').addEventListener('click', () => at('rename').close());
at('rename-form').addEventListener('submit', (event) => {
  event.preventDefault();
  at('rename').close();
  const name = at('rename-name').value.trim();
  if (name && renaming) { attempt(call('playlist/save', { id: renaming.id, name }).then(readPlaylists), 'Renamed'); }
});
