'use strict'
// Runs the table server dynalite for as long as
// standard input stays open. It exists because dynalite's own command reads
// port 0 as its default port, and two test runs must not share a port.

// A terminal or a service manager sends its signal to this process too. The parent
// still needs the server to finish its own work, and ends the server afterwards.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})

const { host, port, path } = JSON.parse(process.argv[1])

const server = require('dynalite')({
  path: path || undefined, // undefined keeps the tables in memory
  createTableMs: 0,
  deleteTableMs: 0,
  updateTableMs: 0,
})

// Node closes a connection that was idle for 5 s. A client that writes to it in
// that very moment sees its request fail, so idle connections are kept.
server.keepAliveTimeout = 0

// The parent puts this output into its error, so the output is one line.
const fail = (err) => {
  console.error(err.message)
  process.exit(1)
}
server.on('error', fail)

// dynalite throws when a client goes away within a request. A function that is
// killed in the middle of a write must not take the tables with it.
const clientGone = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED'])
process.on('uncaughtException', (err) => clientGone.has(err.code) || fail(err))

// Standard input ends when the parent closes it and also when the parent is
// killed, on every operating system.
process.stdin.on('end', () => {
  setTimeout(() => process.exit(1), 3000).unref()
  server.close(() => process.exit(0))
  server.closeAllConnections()
})
process.stdin.resume()

server.listen(port, host, () => {
  const { address, family, port } = server.address()
  console.log(family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`)
})
