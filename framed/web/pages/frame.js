// The page of one frame. It runs for months on old tablets: two layers, one stream, fixed timers, nothing that grows.
(function () {
  'use strict';

  var FADE_MS = 1200, DECODE_MS = 30000, AWAY_MS = 60000, SILENT_MS = 50000, POLL_MS = 60000, CONTROLS_MS = 4000, NOTICE_MS = 6000;
  var RETRY_MIN_MS = 1000, RETRY_MAX_MS = 60000, TURN_MIN_MS = 10000, AHEAD_ITEMS = 200, KEPT_ITEMS = 50;
  var REFUSED = {
    401: 'This frame’s link is no longer valid. Open its new one: it is on framed’s own page, in the settings of this frame, and “framed link FRAME” prints it.',
    404: 'framed no longer has a frame called FRAME. Add it again on framed’s own page, and open its new link here.'
  };
  REFUSED[403] = REFUSED[401];
  var EXTENSION = { 'image/jpeg': 'jpg', 'image/png': 'png', 'image/bmp': 'bmp', 'image/webp': 'webp', 'image/avif': 'avif' };

  var frame = location.pathname.split('/')[2];
  var version = document.documentElement.getAttribute('data-version');
  var asked = new URLSearchParams(location.search);
  var key = asked.get('k');
  var looking = asked.has('look');   // the owner looks in from another device: its size is not the frame's
  var fadeMs = asked.has('fade') ? Math.max(0, Math.min(10000, Number(asked.get('fade')) || 0)) : FADE_MS;

  function at(id) { return document.getElementById(id); }
  var layers = [at('layer-a'), at('layer-b')];
  var front = 0;                 // the layer that is seen
  var state = { name: frame, paused: false, on: true };
  var shown = null;              // the `show` on the screen
  var loading = 0;               // number of the newest load: an older one that ends late is dropped
  var wanted = null;             // the `show` being loaded
  var clearing = 0;

  if (asked.has('fade')) { layers.forEach(function (layer) { layer.style.transitionDuration = fadeMs + 'ms'; }); }

  function address(path, query) {
    var parts = query ? [query] : [];
    if (key !== null) { parts.push('k=' + encodeURIComponent(key)); }
    return '/frame/' + frame + '/' + path + (parts.length ? '?' + parts.join('&') : '');
  }

  function pictureAddress(sha256, mime) { return address('p/' + sha256 + '.' + (EXTENSION[mime] || 'jpg')); }

  function post(what, payload) {
    return fetch(address(what), {
      method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(payload)
    }).then(function (answer) {
      if (!answer.ok) {
        return answer.json().then(function (body) { throw new Error(body.error ? body.error.message : 'framed answered ' + answer.status); });
      }
      return answer.json();
    });
  }

  // ---- pictures

  function decoded(image) {
    var ready = image.decode ? image.decode() : new Promise(function (resolve, reject) {
      if (image.complete && image.naturalWidth) { resolve(); return; }
      image.onload = resolve;
      image.onerror = function () { reject(new Error('not loaded')); };
    });
    var timer;
    var late = new Promise(function (_, reject) { timer = setTimeout(function () { reject(new Error('took too long')); }, DECODE_MS); });
    function settle() { clearTimeout(timer); image.onload = image.onerror = null; }
    return Promise.race([ready, late]).then(settle, function (error) { settle(); throw error; });
  }

  function show(next) {
    if (wanted && wanted.sha256 === next.sha256) { wanted = next; return; }
    if (!wanted && shown && shown.sha256 === next.sha256) {
      if (shown.item !== next.item) { reportShown(next); }
      shown = next; keep(next, pictureAddress(next.sha256, next.mime)); showInfo(); loadAhead(); return;
    }
    wanted = next;
    var source = pictureAddress(next.sha256, next.mime);
    load(source, function () {
      shown = wanted; wanted = null;
      swap();
      keep(shown, source);
      showInfo();
      reportShown(shown);
      loadAhead();
    }, function (error) {          // the picture before it stays
      wanted = null;
      if (navigator.onLine !== false && live) { reportError('picture ' + next.item + ': ' + error.message); }
      retryShow();
    });
  }

  function load(source, then, otherwise) {
    var mine = ++loading, back = layers[1 - front];
    settleFade();
    back.src = source;
    decoded(back).then(function () {
      if (mine === loading) { then(); }
    }, function (error) {
      if (mine === loading) { clear(back); otherwise(error); }
    });
  }

  function swap() {
    var old = layers[front], now = layers[1 - front];
    front = 1 - front;
    now.classList.add('shown');
    old.classList.remove('shown');
    document.body.classList.add('picture');
    clearing = setTimeout(function () { clearing = 0; clear(old); }, fadeMs + 100);
  }

  function settleFade() {
    if (clearing) { clearTimeout(clearing); clearing = 0; clear(layers[1 - front]); }
  }

  function clear(image) { image.removeAttribute('src'); image.alt = ''; }

  var again = 0;
  function retryShow() {
    if (!again) { again = setTimeout(function () { again = 0; poll(); }, 15000); }
  }

  // What the picture is and why it was chosen: over the picture only while somebody touches the frame.
  function showInfo() {
    var caption = shown && shown.caption ? shown.caption : '';
    var why = shown && state.photo === shown.photo && state.why ? state.why : '';
    line('caption', caption);
    line('why', why && 'Chosen because: ' + why);
    line('playing', state.playlist_name ? state.playlist_name + (state.count ? ' · ' + state.position + ' of ' + state.count : '') : '');
    layers[front].alt = caption || 'Picture on ' + (state.name || frame);
  }

  function line(id, text) { at(id).textContent = text; at(id).hidden = !text; }

  // ---- the next picture, ahead of time

  var ahead = null, items = [], itemsAsked = false, itemsRead = false;

  // The stream tells what is rendered ahead after each picture; it is asked for once, and always where there is no stream.
  function loadAhead() {
    if (warm() || itemsAsked || (itemsRead && stream)) { return; }
    itemsAsked = itemsRead = true;
    fetch(address('playlist.json'), { credentials: 'same-origin' }).then(function (answer) { return answer.ok ? answer.json() : null; }).then(function (list) {
      itemsAsked = false;
      takeItems(list);
    }).catch(function () { itemsAsked = false; });   // only a saving: the picture loads when it is shown
  }

  function takeItems(list) {
    items = (list && list.items || []).filter(function (one) { return /^[0-9a-f]{64}$/.test(one.sha256); }).slice(0, AHEAD_ITEMS).map(function (one) {
      var extension = /\.(jpg|jpeg|png|bmp|webp|avif)(\?|$)/.exec(one.url || '');
      return { item: String(one.item), sha256: one.sha256, extension: extension ? extension[1] : 'jpg' };
    });
    warm();
  }

  function warm() {
    for (var i = 0; shown && items.length > 1 && i < items.length; i++) {
      if (items[i].item === String(shown.item)) {
        var next = items[(i + 1) % items.length], wanted = address('p/' + next.sha256 + '.' + next.extension);
        if (!ahead) { ahead = new Image(); }
        if (ahead.getAttribute('src') !== wanted) {
          ahead.onload = keep.bind(null, { item: next.item, sha256: next.sha256, photo: next.item.replace(/-\d+$/, '') }, wanted);
          ahead.src = wanted;
        }
        return true;
      }
    }
    return false;
  }

  // ---- without framed: the pictures that this browser still has take turns

  var kept = [], turning = 0;

  function keep(one, source) {
    var others = kept.filter(function (other) { return other.show.sha256 !== one.sha256; });
    kept = stream ? others.concat({ show: one, source: source }).slice(-KEPT_ITEMS) : [];   // only where it hears which picture was hidden
  }

  function turnWhileAway() {
    if (!turning) { turning = setTimeout(turn, Math.max(TURN_MIN_MS, (state.interval_s || 600) * 1000)); }
  }

  function turn() {
    turning = 0;
    if (live) { return; }
    turnWhileAway();
    if (state.paused || state.on === false || wanted || kept.length < 2) { return; }
    var place = kept.map(function (one) { return one.show.sha256; }).indexOf(shown.sha256);
    var next = kept[(place + 1) % kept.length];
    load(next.source, function () { shown = next.show; swap(); showInfo(); }, function () {
      kept = kept.filter(function (one) { return one !== next; });
    });
  }

  // ---- what framed says

  function takeState(now) {
    if (now.playlist !== state.playlist) { kept = kept.slice(-1); }
    state = now;
    var name = state.name || frame;
    document.title = name + ' – framed';
    at('welcome-name').textContent = name;
    at('welcome-example').textContent = 'show beach photos on the ' + name.toLowerCase().replace(/ frame$/, '') + ' frame';
    document.body.classList.toggle('night', state.on === false);
    dim(state.brightness);
    at('pause').setAttribute('data-action', state.paused ? 'resume' : 'pause');
    at('pause').setAttribute('aria-label', state.paused ? 'Resume' : 'Pause');
    at('pause-icon').setAttribute('href', state.paused ? '#i-resume' : '#i-pause');
    at('favourite').setAttribute('aria-pressed', String(state.favourite === true));
    showInfo();
    window.framedAwake(state.on !== false && !looking);
  }

  function dim(percent) {
    var bright = typeof percent !== 'number' || percent >= 100;
    at('stage').style.filter = bright ? '' : 'brightness(' + Math.max(5, percent) / 100 + ')';
  }

  var identifying = 0;
  function control(order) {
    if (order.action === 'identify') {
      at('identify').textContent = state.name || frame;
      at('identify').hidden = false;
      clearTimeout(identifying);
      identifying = setTimeout(function () { at('identify').hidden = true; }, 10000);
    } else if (order.action === 'brightness') {
      dim(order.value);
    } else if (order.action === 'restart') {
      location.reload();
    }
  }

  function checkVersion(page) {
    if (!page || page === version) { return; }
    try {                        // once for each version: a proxy that keeps the old page must not make it spin
      if (sessionStorage.getItem('framed-page') === page) { return; }
      sessionStorage.setItem('framed-page', page);
    } catch (error) { return; }
    location.reload();
  }

  // ---- the line to framed

  var stream = null, live = false, failures = 0, reconnect = 0, silent = 0, awayTimer = 0, pollTimer = 0;

  function connect() {
    reconnect = 0;
    if (stream) { stream.close(); stream = null; }
    if (!window.EventSource) { schedulePoll(0); return; }
    stream = new EventSource(address('events', looking ? 'look=1' : ''));
    stream.onerror = function () {
      var refused = stream && stream.readyState === 2;   // an answer, and no stream: it says why
      lost();
      if (refused) { poll(); }
    };
    stream.addEventListener('hello', function (event) {
      failures = 0;
      kept = [];                 // what was hidden meanwhile was not heard
      alive();
      checkVersion(JSON.parse(event.data).page);
      sayHello();
    });
    stream.addEventListener('state', function (event) { alive(); takeState(JSON.parse(event.data)); });
    stream.addEventListener('show', function (event) { alive(); show(JSON.parse(event.data)); });
    stream.addEventListener('playlist', function (event) { alive(); takeItems(JSON.parse(event.data)); });
    stream.addEventListener('hidden', function (event) {
      var photo = JSON.parse(event.data).photo;
      kept = kept.filter(function (one) { return one.show.photo !== photo; });
    });
    stream.addEventListener('control', function (event) { alive(); control(JSON.parse(event.data)); });
    stream.addEventListener('tick', alive);
    stream.addEventListener('bye', function (event) {
      if (JSON.parse(event.data).crowded) { failures = 6; }   // too many pages of this frame: this one polls
      lost();
    });
    watch();
  }

  function alive() {
    present();
    if (pollTimer && stream) { clearTimeout(pollTimer); pollTimer = 0; }
    watch();
  }

  function present() {
    live = true;
    clearTimeout(awayTimer); clearTimeout(turning);
    awayTimer = turning = 0;
    at('away').hidden = true;
    at('away-text').textContent = 'Waiting for framed';
  }

  function watch() {             // a line that is only half open gives no error: no heartbeat means lost
    clearTimeout(silent);
    silent = setTimeout(lost, SILENT_MS);
  }

  function lost() {
    if (stream) { stream.close(); stream = null; }
    clearTimeout(silent);
    absent();
    failures += 1;
    if (!reconnect) {
      var wait = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * Math.pow(2, Math.min(failures - 1, 6)));
      reconnect = setTimeout(connect, wait * (0.75 + Math.random() / 2));
    }
    if (failures >= 3) { schedulePoll(POLL_MS); }
  }

  function absent() {
    live = false;
    turnWhileAway();
    if (!awayTimer) { awayTimer = setTimeout(function () { at('away').hidden = false; }, AWAY_MS); }
  }

  function schedulePoll(wait) {
    if (!pollTimer) { pollTimer = setTimeout(function () { pollTimer = 0; poll(); schedulePoll(POLL_MS); }, wait); }
  }

  function poll() {
    fetch(address('show.json', looking ? '' : 'poll=1'), { credentials: 'same-origin', cache: 'no-cache' }).then(function (answer) {
      if (REFUSED[answer.status]) { refuse(REFUSED[answer.status]); }
      if (!answer.ok) { throw new Error('framed answered ' + answer.status); }
      return answer.json();
    }).then(function (now) {
      if (!live) { present(); }
      checkVersion(now.page);
      takeState(now.state);
      if (now.show) { show(now.show); }
    }).catch(absent);
  }

  // The picture stays, and nothing turns: who holds a link that was taken back sees no other.
  function refuse(sentence) {
    failures = Math.max(failures, 6);
    kept = [];
    at('away-text').textContent = sentence.replace('FRAME', frame);
    at('away').hidden = false;
  }

  // ---- what this page says

  var told = '', telling = 0, exact = null;

  // The stage in the screen's own pixels: one of the picture for each, so that nothing is scaled here.
  function panel() {
    var ratio = window.devicePixelRatio || 1, near = { width: Math.round(innerWidth * ratio), height: Math.round(innerHeight * ratio) };
    var meant = exact && Math.abs(exact.width - near.width) < 3 && Math.abs(exact.height - near.height) < 3;   // a screen that is emulated has another box
    return meant ? exact : near;
  }

  if (window.ResizeObserver) {
    try {
      new ResizeObserver(function (entries) {
        var box = entries[0].devicePixelContentBoxSize && entries[0].devicePixelContentBoxSize[0];
        exact = box ? { width: box.inlineSize, height: box.blockSize } : null;
        resized();
      }).observe(at('stage'), { box: 'device-pixel-content-box' });
    } catch (error) { exact = null; }   // Safari knows no such box: rounding is near enough
  }

  function sayHello() {
    if (looking) { return; }
    var size = panel();
    if (size.width < 16 || size.height < 16) { return; }   // a window that is not laid out yet: resized says it
    told = size.width + 'x' + size.height;
    post('hello', {
      v: 1, model: 'browser', fw: version,   // no name: it was given in framed
      width: size.width, height: size.height, rotation: 0,
      formats: ['image/jpeg', 'image/png', 'image/webp'], delivery: 'url', max_bytes: 16000000, sleeps: false
    }).catch(function () { told = ''; });   // said again with the next connection
  }

  function resized() {
    clearTimeout(telling);
    telling = setTimeout(function () {
      var size = panel();
      if (live && told !== size.width + 'x' + size.height) { sayHello(); }
    }, 600);
  }

  function reportShown(what) {
    if (looking) { return; }
    post('report', { v: 1, item: what.item, shown_at: new Date().toISOString() }).catch(absent);
  }

  var lastError = 0;
  function reportError(message) {
    if (looking || Date.now() - lastError < 30000) { return; }
    lastError = Date.now();
    post('report', { v: 1, item: shown ? shown.item : null, error: message.slice(0, 200) }).catch(absent);
  }

  // ---- touch, keys, screen

  var controls = at('controls'), hiding = 0, noticing = 0;
  var SPOKEN = { favourite: true, hide: true, pause: true, resume: true, undo: true };   // next and previous are seen

  function openControls() {
    controls.hidden = false;
    document.body.classList.remove('idle');
    requestAnimationFrame(function () { controls.classList.remove('away'); });
    clearTimeout(hiding);
    hiding = setTimeout(closeControls, CONTROLS_MS);
  }

  function closeControls() {
    clearTimeout(hiding);
    controls.classList.add('away');
    document.body.classList.add('idle');
    if (controls.contains(document.activeElement)) { document.activeElement.blur(); }
    hiding = setTimeout(function () { controls.hidden = true; }, 300);
  }

  function notice(text, undo) {
    at('notice-text').textContent = text;
    at('undo').hidden = !undo;
    at('notice').hidden = false;
    clearTimeout(noticing);
    noticing = setTimeout(function () { at('notice').hidden = true; }, NOTICE_MS);
  }

  function command(action) {
    post('cmd', { action: action }).then(function (answer) {
      if (SPOKEN[action]) { notice(answer.data && answer.data.speech || 'Done', action === 'hide'); }
    }, function (error) { notice(live ? error.message : 'framed is not answering', false); });
  }

  controls.classList.add('away');
  document.body.classList.add('idle');
  controls.addEventListener('click', function (event) {
    var button = event.target.closest('button');
    if (!button) { return; }
    openControls();
    if (button.id === 'fullscreen') { fullscreen(); } else { command(button.getAttribute('data-action')); }
  });
  at('undo').addEventListener('click', function () { at('notice').hidden = true; command('undo'); });

  function fullscreen() {
    var root = document.documentElement;
    var done;
    if (document.fullscreenElement || document.webkitFullscreenElement) {
      done = (document.exitFullscreen || document.webkitExitFullscreen).call(document);
    } else if (root.requestFullscreen || root.webkitRequestFullscreen) {
      done = (root.requestFullscreen || root.webkitRequestFullscreen).call(root);
    }
    if (done && done.catch) { done.catch(function () { notice('This browser does not allow full screen here', false); }); }
  }

  var touch = null, swiped = 0;
  document.addEventListener('touchstart', function (event) {
    touch = event.touches.length === 1 ? { x: event.touches[0].clientX, y: event.touches[0].clientY } : null;
  }, { passive: true });
  document.addEventListener('touchend', function (event) {
    if (!touch) { return; }
    var dx = event.changedTouches[0].clientX - touch.x, dy = event.changedTouches[0].clientY - touch.y;
    touch = null;
    if (Math.abs(dx) > 60 && Math.abs(dx) > 2 * Math.abs(dy)) { swiped = Date.now(); command(dx < 0 ? 'next' : 'previous'); }
  }, { passive: true });
  document.addEventListener('click', function (event) {
    if (Date.now() - swiped < 500 || controls.contains(event.target) || at('notice').contains(event.target)) { return; }
    if (!controls.hidden && !controls.classList.contains('away')) { closeControls(); return; }
    if (at('undo').hidden) { at('notice').hidden = true; }   // a tap asks about the picture: what was said before gives way
    openControls();
  });
  document.addEventListener('mousemove', function () { if (!controls.hidden && !controls.classList.contains('away')) { openControls(); } });
  document.addEventListener('focusin', function (event) { if (controls.contains(event.target)) { openControls(); } });
  document.addEventListener('keydown', function (event) {
    if (event.ctrlKey || event.altKey || event.metaKey) { return; }
    var onButton = event.target.tagName === 'BUTTON';
    if (event.key === 'ArrowRight') { command('next'); }
    else if (event.key === 'ArrowLeft') { command('previous'); }
    else if (event.key === ' ' && !onButton) { command(state.paused ? 'resume' : 'pause'); event.preventDefault(); }
    else if (event.key === 'f') { command('favourite'); }
    else if (event.key === 'h') { command('hide'); }
    else if (event.key === 'F') { fullscreen(); }
    else if (event.key === 'Escape') { closeControls(); }
    else if (event.key === 'Enter' || event.key === 'Tab') { openControls(); }
  });

  if (asked.has('clock')) {
    (function tell() {
      line('clock', new Date().toLocaleTimeString([], { hour: 'numeric', minute: '2-digit' }));
      setTimeout(tell, 60000 - Date.now() % 60000 + 50);
    })();
  }

  document.addEventListener('visibilitychange', function () {
    if (document.visibilityState !== 'visible') { return; }
    if (!stream) { failures = 0; clearTimeout(reconnect); connect(); }
  });
  window.addEventListener('online', function () { if (!stream) { failures = 0; clearTimeout(reconnect); connect(); } });
  window.addEventListener('resize', resized);
  window.addEventListener('orientationchange', resized);
  window.addEventListener('pagehide', function () { if (stream) { stream.close(); stream = null; } });
  window.addEventListener('pageshow', function (event) { if (event.persisted) { connect(); } });

  at('welcome-name').textContent = frame;
  absent();
  connect();
})();
