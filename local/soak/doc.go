// Package soak holds one test: the whole pipeline as processes, under faults,
// against its own input.
//
// A broker, a table server and `footfall local` run as processes of their own,
// with a simulated town's sightings and logins going in. Meanwhile the test
// kills function processes, the event source mappings with all their functions,
// the broker and the table server with SIGKILL, in turn and at random moments,
// and starts them anew on their data. It starts second mappings in the same
// consumer groups, freezes the first ones until their partitions are given away
// and lets them go on with what they held. It sets committed offsets back. It
// puts records on the topics that nobody can process.
//
// When all is done it has every record processed once more, from the beginning.
// Then it reads the input back from the topics, computes from it which
// visits there were and whose, and demands that the topics and the tables say
// exactly that: every walk-in once, under one id, for one contact, in one month;
// and that the dead letters are the planted records and no others.
//
// By default it is a small one, of about a minute. A large one:
//
//	go test ./local/soak -run TestSoak -v -timeout 60m -sightings 1000000 -devices 20000 -kills 50 -pollers 10
//
// The seed fixes the town, the order of the faults and their sizes. Where a
// fault strikes is up to the machine, so a seed that failed may pass next time:
// what it left behind is kept for that reason, and the test says where.
//
// It needs Linux: it finds the processes of functions in /proc.
package soak
