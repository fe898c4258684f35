// Package soak holds one test, TestSoak: the whole pipeline runs as processes,
// under faults, and its result is compared with its input.
//
// A broker, a table server and `footfall local` run as processes of their own.
// A simulated town's sightings and logins are fed to them. Meanwhile the test
// kills function processes, the event source mappings with all their functions,
// the broker and the table server with SIGKILL, in a random order and at random
// moments, and restarts them on their data. It starts second mappings in the
// same consumer groups, freezes the first ones until their partitions are
// reassigned, and lets them go on with the batches that they held. It sets
// committed offsets back. It produces records that no function can process.
//
// When all input is processed, the test has every record redelivered from the
// beginning. Then it reads the input back from the topics, computes the visits
// and their contacts from that input with the oracle, and requires that the
// topics and the tables hold exactly this result: every walk-in once, under one
// id, for one contact, in one month. The dead letters must be the planted
// records and no others.
//
// By default the soak is small and takes about a minute. A large one:
//
//	go test ./local/soak -run TestSoak -v -timeout 60m -sightings 1000000 -devices 20000 -kills 50 -pollers 10
//
// The seed fixes the town, the order of the faults and their sizes. The moment
// at which a fault strikes depends on the machine, so a seed that failed may
// pass the next time. For that reason the data and logs of a failed run are
// kept, and the test prints their directory.
//
// Start reading at TestSoak in soak_test.go. rig_test.go and process_test.go
// run the processes, chaos_test.go the faults; input_test.go feeds the town;
// groups_test.go looks at consumer groups; collect_test.go reads the result
// back and compare_test.go compares it; figures_test.go prints the figures that
// docs/guarantees.md quotes.
//
// The test needs Linux: it finds the processes of functions in /proc.
package soak
