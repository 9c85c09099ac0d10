// Keeps the screen of a frame on: by the wake lock where the browser has one, else by a video without end.
(function () {
  'use strict';

  var DRAW_MS = 5000;
  var wanted = false, lock = null, locking = false, refused = false, video = null, drawing = 0;

  // Called with every state and every tap: what was refused is asked for again.
  window.framedAwake = function (on) {
    wanted = on;
    settle();
  };

  function settle() {
    if (!wanted) { release(); endVideo(); return; }
    if (document.visibilityState !== 'visible') { return; }
    if (navigator.wakeLock) { request(); }
    if (!navigator.wakeLock || refused) { playVideo(); }
  }

  function request() {
    if ((lock && !lock.released) || locking) { return; }
    locking = true;
    navigator.wakeLock.request('screen').then(function (got) {
      locking = refused = false;
      lock = got;
      got.addEventListener('release', function () { if (lock === got) { lock = null; } });
      if (wanted) { endVideo(); } else { release(); }
    }, function () {               // a battery saver, or a page inside another one
      locking = false;
      refused = true;
      if (wanted) { playVideo(); }
    });
  }

  function release() {
    if (lock) { lock.release(); lock = null; }
  }

  // A page by plain http has no wake lock. Browsers keep the screen on for a video that is seen: Chromium for one that fills
  // the view, Firefox for a silent one only if it is a stream. So: a black canvas as a stream, below the pictures. An iPad
  // wants sound in it, which would stop the music in the house; it has its own setting.
  function playVideo() {
    if (!video && !makeVideo()) { return; }
    if (video.paused) {
      var begun = video.play();
      if (begun && begun.catch) { begun.catch(function () {}); }   // not before somebody touches the screen: asked again then
    }
  }

  function makeVideo() {
    var canvas = document.createElement('canvas'), ink = canvas.getContext('2d');
    if (!canvas.captureStream) { return false; }
    canvas.width = canvas.height = 16;
    video = document.createElement('video');
    video.id = 'awake';
    video.muted = video.disablePictureInPicture = video.disableRemotePlayback = true;
    video.setAttribute('muted', '');
    video.setAttribute('playsinline', '');
    video.setAttribute('aria-hidden', 'true');
    video.srcObject = canvas.captureStream(1);
    function draw() { ink.fillStyle = '#000'; ink.fillRect(0, 0, 16, 16); }
    draw();
    drawing = setInterval(draw, DRAW_MS);
    var stage = document.getElementById('stage');
    stage.insertBefore(video, stage.firstChild);
    return true;
  }

  function endVideo() {
    if (!video) { return; }
    clearInterval(drawing);
    video.pause();
    video.srcObject.getTracks().forEach(function (track) { track.stop(); });
    video.srcObject = null;
    video.parentNode.removeChild(video);
    video = null;
  }

  document.addEventListener('visibilitychange', settle);
  document.addEventListener('click', settle);
})();
