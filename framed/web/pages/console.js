// The owner's page: its line to framed, and the order in which its parts begin.
import { at, say, toast } from './console_api.js';
import { fillFrames } from './console_ask.js';
import { changeFrame, framesChanged, readFrames } from './console_frames.js';
import { readPhotos } from './console_photos.js';
import { peopleMayHaveChanged, readPeople } from './console_people.js';
import { drawPlaylists, readPlaylists } from './console_playlists.js';
import { changeJob, drawLibrary, readStatus } from './console_status.js';

let stream = null, wait = 1000;

framesChanged(() => { fillFrames(); drawPlaylists(); });

function connect() {
  stream = new EventSource('/api/v1/events');
  stream.onopen = () => {
    wait = 1000;
    lineIs('good', 'Connected');
    readFrames();
    readPlaylists();
    readPhotos();
    readPeople();
    readStatus();
  };
  hear('library', (library) => { drawLibrary(library); peopleMayHaveChanged(library); });
  hear('frame', changeFrame);
  hear('job', changeJob);
  hear('frames', readFrames);
  hear('playlists', readPlaylists);
  stream.addEventListener('bye', lost);
  stream.onerror = lost;
}

function hear(name, take) { stream.addEventListener(name, (event) => take(JSON.parse(event.data))); }

function lost() {
  if (!stream) { return; }
  stream.close();
  stream = null;
  lineIs('bad', 'Reconnecting');
  setTimeout(connect, wait);
  wait = Math.min(30000, wait * 2);
}

function lineIs(kind, text) { at('line').className = 'status ' + kind; say(at('line-text'), text); }

document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'visible' && stream) { readStatus(); } });

at('sign-out').addEventListener('click', () => {
  fetch('/logout', { method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'application/json' }, body: '{}' })
    .then(() => location.replace('/login'), () => toast('framed is not answering. Is the server running?'));
});

connect();
