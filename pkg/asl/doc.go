// Package asl is the Amazon States Language: it parses and checks definitions of state machines, and interprets them.
//
// The interpreter does no I/O, reads no clock and draws no random numbers of its own. An [Execution] is the whole state
// of a run and goes through JSON unchanged; [Machine.Start] and [Machine.Apply] take it, an event and the time, move it
// on as far as it goes, and return what the caller has to do: which tasks to begin, and what to append to the history.
// So the caller makes a run durable by storing the Execution before it acts, and finds after a crash by
// [Execution.Tasks] and [Execution.Deadline] what is still to be done. Equal inputs give equal results, random numbers
// and task tokens included: they follow from the execution's id, its secret and the number of the event.
//
//	definition ──▶ Parse ──▶ Machine ──▶ Start, Apply ──▶ Execution (to be stored)
//	                                          │
//	                                          └─▶ Step: history, tasks to begin
//
// Errors at run time are values of the language (States.Timeout, States.Runtime, …), never Go errors: they go through
// Retry and Catch, or end the execution. The service behind the Step Functions API is the only caller.
//
// One part a file: definition.go and parse.go (what a definition is, and what is wrong with it), path.go (JSONPath),
// intrinsic.go, template.go (Parameters and the like), choice.go, retry.go, and execution.go, interpret.go, nested.go
// and history.go, which run it.
package asl
