// The browser is the machine's own: an install never downloads one (server/cli/chromium.mjs finds it).
module.exports = { skipDownload: true };
