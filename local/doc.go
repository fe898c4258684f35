// Package local runs the graph on this machine, as infra deploys it to AWS: a
// Kafka broker (package broker), a table server (dynalite), the Lambda runtime
// with the function binaries (runtime), an event source mapping for every topic
// that a stage reads (esm), and an HTTP API for the stage that takes posts
// (gateway). The commands `footfall local` and `footfall simulate` and many tests
// use a Stack, the running graph.
//
// Start reading at Start in local.go. parts.go starts the servers, functions and
// mappings, data.go checks the data of earlier stacks, expire.go deletes expired
// items, api.go is the HTTP API, schedule.go the schedules. drain.go waits until all
// records are processed, and stats.go counts.
//
// The packages faults and soak below this directory hold only tests: of the Kafka
// clients on brokers that fail, and of the whole pipeline as processes that are
// killed.
package local
