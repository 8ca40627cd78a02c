// Package terminal is where a person, or a script, meets a session of the management shell: it reads lines, runs
// them and prints what comes of them as Windows PowerShell 5.1 does.
//
// What was asked for goes to Out, everything else to Err: errors, warnings, what -Verbose says, questions. On a
// terminal there is a line editor with history and completion, a command is stopped by Ctrl-C and the shell is left by
// Ctrl-D or exit; without one, lines are read until the input ends.
//
//   - terminal.go: run a text, or texts until the input ends
//   - repair.go: text that was damaged on its way
//   - editor.go, complete.go, history.go: the line editor
//   - plain.go: lines without an editor
//   - prompt.go: questions
//   - streams.go: how records look
package terminal
