// Package invocation holds three things for every invocation of a Lambda function:
// a deadline with time left for the answer (Margin), a wall clock that goes on
// while the environment is frozen (WallClock), and a log with the id of the
// request in every line (NewLogger, WithRequest).
//
// The package does not depend on stages, topics or tables. Every runner of stages,
// function and adapter may use the package.
package invocation
