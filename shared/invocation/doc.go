// Package invocation holds the three things that every invocation of a Lambda
// function needs: a deadline that leaves time for the answer (Margin), a wall
// clock that is right after a frozen environment thaws (WallClock), and a log
// whose lines name the request (NewLogger, WithRequest).
//
// The package knows nothing of stages, topics or tables. lambdarun, ingest,
// functions and the adapters use it.
package invocation
