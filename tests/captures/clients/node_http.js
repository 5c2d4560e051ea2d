// Node's http: `node node_http.js serve PORT` answers, `node node_http.js get URL` asks.
const http = require('http');
const [, , verb, where] = process.argv;

if (verb === 'serve') {
  http
    .createServer((request, response) => {
      if (request.url.startsWith('/missing')) response.writeHead(404).end('no');
      else if (request.url.startsWith('/broken')) response.writeHead(500).end('broken');
      else if (request.url.startsWith('/stream')) {
        response.write('part 0\n');
        response.end('part 1\n');
      } else request.resume().on('end', () => response.end('hello'));
    })
    .listen(+where, '127.0.0.1');
} else {
  const agent = new http.Agent({ keepAlive: true });
  const ask = (path, method, body) =>
    new Promise((done) => {
      const request = http.request(where + path, { agent, method }, (response) => response.resume().on('end', done));
      request.end(body);
    });
  ask('/users/4711?token=canary', 'GET')
    .then(() => ask('/missing/canary@example.com', 'GET'))
    .then(() => ask('/broken', 'DELETE'))
    .then(() => ask('/users/4711', 'POST', '{"word": "canary"}'))
    .then(() => agent.destroy());
}
