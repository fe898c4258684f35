// Package simtest runs the real stages, all of them as one pipeline, in a world
// that a seed decides: the broker, the tables, the event source mappings, the
// environments, every order in which calls of the ports take place and every
// fault. What came out is then held against what the input alone calls for.
//
// A run takes no real time and is the same whenever it is repeated: the stages'
// goroutines wait at each call of a port until the scheduler lets that one go
// on, and nothing else does. All of it is in the package's tests; see
// docs/guarantees.md for the commands and for what it proves.
package simtest
