// A Node server: one thread for every connection.
require("node:http")
  .createServer((_request, response) => response.writeHead(200, { "Content-Length": 3 }).end("ok\n"))
  .listen(8080, "0.0.0.0", () => console.log("up"));
