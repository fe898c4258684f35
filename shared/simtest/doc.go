// Package simtest runs the real code of all stages as one pipeline, in a
// simulated world. The broker, the tables, the event source mappings and the
// environments of the functions are simulated. A seed decides the input, the
// order in which the calls of the stages take place, and every fault. At the end
// of a run the output is compared with the output that the input calls for,
// which shared/presence/oracle computes apart from the code of the stages.
//
// The package consists of tests only. docs/guarantees.md describes what the runs
// prove, and has the figures.
//
// # One run
//
// A run takes no real time. The goroutines of the stages stop at each call of a
// port (a produce, a read or a write of a table). The scheduler waits until all
// of them have stopped, draws one call, carries it out, or a fault in its place,
// and lets that one goroutine go on. So a run with the same seed has the same
// history, call by call; TestRunsRepeat checks it.
//
// # Modes
//
// A mode is a course of events around the stages: replay sets all offsets back
// to 0, partitions-added adds partitions, deployment runs two versions of a
// stage at once. modes_test.go has all of them. TestSimulation runs each mode with
// many seeds. Two other tests run short histories of a few records in place of a
// mode: TestEveryCourse runs every order of calls and every choice of faults, and
// TestMeetings runs many seeds with two pollers on each partition. TestMutants
// replaces a part of the design by a broken one and fails if the simulation does
// not find a difference.
//
// # Running one seed
//
//	go test ./shared/simtest -run 'TestSimulation/replay$' -seed 4711 -v
//
// prints the history of that seed, one line for each call, with the faults in
// capitals. A test that fails prints the history of one failing seed and the
// command that repeats the run. -seeds sets the number of seeds of each mode,
// -faults the number of faults of each seed.
//
// # Where to read
//
// simtest_test.go has the tests and the flags, world_test.go the world and its
// turns, sched_test.go the scheduler, fault_test.go the faults, input_test.go the
// input that is drawn, ports_test.go the ports of the stages, check_test.go and
// contacts_test.go the checks at the end.
package simtest
